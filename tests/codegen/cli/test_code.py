"""The commands emit, check, backends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import codegen
import derive
from codegen.backends import choose
from codegen.backends.base import Use
from codegen.checking.report import CheckReport, Comparison
from codegen.cli import run


def test_emit_prints_the_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["emit", "gru"]) == 0
    assert capsys.readouterr().out == codegen.emit("gru")


def test_emit_writes_a_file_whole_or_not_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "gru.py"
    assert run(["emit", "gru", "-o", str(target)]) == 0
    assert target.read_text(encoding="utf-8") == codegen.emit("gru")
    assert run(["emit", "gru", "-o", str(tmp_path / "no" / "gru.py")]) == 2
    assert run(["emit", "gru", "--backend", "nope", "-o", str(tmp_path / "other.py")]) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["gru.py"]
    assert "unknown backend 'nope'" in capsys.readouterr().err


def test_check_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "vanilla", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["cell"] == "vanilla"
    assert document["passed"] is True
    assert document["why"].startswith("chosen by auto for cpu, float32, n = 3: ")
    assert all({"name", "error", "tolerance", "passed"} == set(c) for c in document["comparisons"])


def test_a_failed_check_exits_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = CheckReport("gru", "eager", (Comparison("values", 1.0, 1e-10),))
    monkeypatch.setattr("codegen.checking.check", lambda cell, backend: failed)
    assert run(["check", "gru"]) == 1
    assert "FAIL" in capsys.readouterr().out


def test_backends_say_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["backends"]) == 0
    assert "eager: runs here" in capsys.readouterr().out


def test_check_says_which_backend_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "vanilla", "--backend", "eager"]) == 0
    assert capsys.readouterr().out.startswith("vanilla, eager backend (asked for): passed")
    assert run(["check", "vanilla"]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    backend, why = choose("auto", derive.cell("vanilla"), Use(hidden_size=3))
    assert first.startswith(f"vanilla, {backend.name} backend (chosen by auto for cpu, float32, n = 3: ")
    assert first == f"vanilla, {backend.name} backend ({why}): passed"
