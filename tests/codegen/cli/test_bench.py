"""The command bench, on tiny shapes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from codegen.benchmarking import agreement
from codegen.cli import run

TINY = ["--size", "4", "--input-size", "3", "--batch", "2", "--time", "3", "--rounds", "2"]
ALONE = [*TINY, "--backend", "eager", "--no-script"]


def test_it_prints_the_machine_the_shape_a_table_and_notes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "gru", "vanilla", *ALONE]) == 0
    printed = capsys.readouterr().out
    machine, shape, *_ = printed.splitlines()
    assert f"torch {torch.__version__}, 1 thread" in machine
    assert shape.startswith("batch 2, time 3, n = 4, m = 3, float32; forward + backward")
    for word in (
        "gru ",
        "vanilla ",
        "÷ nn.LSTM",
        "÷ nn.RNN",
        "÷ floor",
        "naive loop",
        "GFLOP/s",
        "peak memory",
    ):
        assert word in printed


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    assert (
        run(
            [
                "bench",
                "lstm",
                *TINY,
                "--json",
                "--forward-only",
                "--dtype",
                "float64",
                "--threads",
                "2",
                "--cpu-time",
            ]
        )
        == 0
    )
    document = json.loads(capsys.readouterr().out)
    assert document["machine"]["threads"] == 2
    assert torch.get_num_threads() == threads
    [cell] = document["cells"]
    assert (cell["n"], cell["m"], cell["dtype"], cell["pass"]) == (4, 3, "float64", "forward only")
    assert cell["clock"] == "processor"
    names = [contender["name"] for contender in cell["contenders"]]
    assert {"eager", "naive loop", "naive loop, torch.jit.script", "nn.LSTM", "nn.GRU", "floor"} <= set(names)
    assert cell["refused"] == {}


def test_a_sweep_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "vanilla.svg"
    swept = ["--sweep-sizes", "2,4", "--sweep-batches", "1", "--sweep-times", "2", "--sweep-rounds", "1"]
    assert run(["bench", "vanilla", *ALONE, "--sweep", str(target), *swept]) == 0
    assert target.read_text(encoding="utf-8").startswith("<?xml")
    assert f"wrote {target}" in capsys.readouterr().out
    assert run(["bench", "vanilla", *ALONE, "--sweep", str(target), *swept, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [point["value"] for point in document["sweep"]["n = m"]] == [2, 4]


def test_a_wrong_result_has_no_time_and_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(agreement.TOLERANCES, torch.float32, -1.0)  # nothing is good enough
    assert run(["bench", "gru", *ALONE, "--json"]) == 1
    printed = capsys.readouterr()
    [cell] = json.loads(printed.out)["cells"]
    assert "naive loop" in cell["refused"]
    assert "naive loop" not in [contender["name"] for contender in cell["contenders"]]
    assert "gru by naive loop: " in printed.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "CELL"),
        (["grv"], "did you mean 'gru'"),
        (["gru", "--backend", "eagre"], "unknown backend 'eagre'"),
        (["gru", "--dtype", "float31"], "did you mean 'float32'"),
        (["gru", "--device", "cqu"], "device 'cqu' cannot be used"),
        (["gru", "--cpu-time", "--device", "cuda"], "--cpu-time says nothing about cuda"),
        (["gru", "--rounds", "0"], "--rounds"),
        (["gru", "--sweep", "plot.pdf"], ".svg or .png"),
        (["gru", "lstm", "--sweep", "plot.svg"], "--sweep draws one cell, and 2 are given"),
        (["gru", "--sweep-sizes", "16,x"], "expected whole numbers above 0"),
    ],
)
def test_bad_arguments_are_usage_errors(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(["bench", *arguments]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""
    assert "Traceback" not in printed.err


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--help"]) == 0
    assert "Example: cellwright bench lstm gru" in capsys.readouterr().out
