"""The commands certify and attack."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import derive
from codegen.attack import Attack
from codegen.cli import run

TINY = ["--restarts", "3", "--steps", "20", "--size", "2", "--input-size", "1"]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    size = {"n": 4, "m": 2}
    axes = derive.cell("gru").parameters
    layer = {f"layer.l0.cell.{k}": 0.1 * rng.normal(size=[size[a] for a in x]) for k, x in axes.items()}
    path = tmp_path / "best.safetensors"
    save_file(layer | {"embedding.weight": np.array([[0.25, -0.5], [0.0, 0.125]])}, path)
    return path


def test_certify_prints_what_is_proved(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["certify", "gru", "--weights", str(weights)]) == 0
    printed = capsys.readouterr().out
    assert "every step brings two states closer" in printed
    assert "|s| ≤ 1 always" in printed
    assert "|x| ≤ 0.5, unit by unit" in printed
    assert "k = 100" in printed


def test_certify_json_is_one_document(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    documents = {}
    for norm in ("2", "inf"):
        assert (
            run(["certify", "gru", "--weights", str(weights), "--json", "--norm", norm, "--inputs", "1"]) == 0
        )
        documents[norm] = json.loads(capsys.readouterr().out)
    for document in documents.values():
        assert document["contracts"] is True
        assert document["states"] == {"s": pytest.approx(1)}
        assert document["layer"] == "layer.l0.cell"
        assert document["influence"]["100"] <= document["influence"]["10"] <= document["influence"]["1"] < 1.5
        assert document["rate"] <= document["jacobian"]
    assert documents["2"]["rate"] != documents["inf"]["rate"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gru", "--weights", "none.safetensors"], "no file none.safetensors"),
        (["grv", "--weights", "none.safetensors"], "gru"),
        (["gru", "--weights", "WEIGHTS", "--norm", "1"], "expected inf or 2"),
        (["lstm", "--weights", "WEIGHTS"], "no layer of lstm"),
        (["gru"], "--weights"),
        (["gru", "--weights", "WEIGHTS", "--inputs", "-1"], "--inputs"),
    ],
)
def test_certify_says_what_was_expected(
    weights: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(["certify", *(str(weights) if a == "WEIGHTS" else a for a in arguments)]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert "Traceback" not in printed.err


def test_attack_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["attack", "vanilla", "--norm", "inf", *TINY]) == 0
    printed = capsys.readouterr().out
    assert "bound ÷ attack" in printed
    assert "vanilla" in printed


def test_attack_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["attack", "vanilla", "gru", "--json", *TINY]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [(r["cell"], r["norm"]) for r in document["attacks"]] == [
        (cell, norm) for cell in ("vanilla", "gru") for norm in ("2", "inf")
    ]
    for row in document["attacks"]:
        assert row["holds"] is True
        assert 0 < row["attack"] <= row["bound"] * (1 + 1e-9)
        assert row["ratio"] == pytest.approx(row["bound"] / row["attack"])


def test_attack_fails_where_a_bound_is_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    exact = Attack.symbolic
    monkeypatch.setattr(Attack, "symbolic", lambda self: 0.5 * exact(self))
    assert run(["attack", "vanilla", "--norm", "inf", *TINY]) == 1
    assert "bounds that do not hold: vanilla (norm inf)" in capsys.readouterr().err
    assert run(["attack", "vanilla", "--norm", "1", *TINY]) == 2
