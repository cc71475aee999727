"""The command train: options, errors, a tiny run."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from codegen.cli import run

TINY = ["--hidden-size", "8", "--embedding-size", "8", "--batch-size", "10", "--bptt", "10", "--epochs", "1"]


def test_trains_and_resumes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "gru", "--data", "embedded", *TINY, "--run-dir", str(tmp_path / "run"), "--test"]
    assert run(command) == 0
    printed = capsys.readouterr()
    assert "best epoch 1" in printed.out
    assert "test:" in printed.out
    assert "epoch  1" in printed.err
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert '"b_z": 1.0' in json.dumps(config)
    assert run(command) == 0  # finished already: nothing is trained again
    assert "best epoch 1" in capsys.readouterr().out


def test_logs_the_bound_beside_the_loss(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the numbers that certify gives for the same weights, in float64."""
    where = tmp_path / "run"
    command = ["train", "gru", "--data", "embedded", *TINY, "--diagnostics", "--run-dir", str(where)]
    assert run(command) == 0
    assert "  bound " in capsys.readouterr().err
    records = [json.loads(line) for line in (where / "log.jsonl").read_text().splitlines()]
    (epoch,) = [record for record in records if record["event"] == "epoch"]
    assert (
        run(
            [
                "certify",
                "gru",
                "--weights",
                str(where / "best.safetensors"),
                "--float",
                "--norm",
                "2",
                "--json",
            ]
        )
        == 0
    )
    certified = json.loads(capsys.readouterr().out)
    assert epoch["bound"] == pytest.approx(certified["jacobian"], rel=1e-12)
    assert epoch["rate"] == pytest.approx(certified["rate"], rel=1e-12)
    assert 0 < epoch["rate"] <= epoch["bound"]
    assert 0 < epoch["jacobian_mean"] <= epoch["jacobian_max"] <= epoch["bound"]
    assert 0 <= epoch["saturation_low_z"] + epoch["saturation_high_z"] <= 1


def test_memory_sets_the_biases_of_the_gates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--run-dir", str(tmp_path / "run")]
    command = ["train", "lstm", "--data", "embedded", *TINY, "--memory", "10", "--bias", "b_o=1", *where]
    assert run(command) == 0
    assert "'b_f': 2.19" in capsys.readouterr().out.replace("\n", " ")
    biases = json.loads((tmp_path / "run" / "config.json").read_text())["config"]["biases"]
    assert biases == {"b_f": pytest.approx(math.log(9)), "b_i": pytest.approx(-math.log(9)), "b_o": 1.0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "no-such-folder"], "ptb.train.txt"),
        (["--data", "embedded", "--initialization", "artcle"], "article"),
        (["--data", "embedded", "--bias", "b_z"], "NAME=VALUE"),
        (["--data", "embedded", "--bias", "b_y=1", *TINY], "b_y"),
        (["--data", "embedded", "--backend", "nope"], "unknown backend"),
        (["--data", "embedded", "--learning-rate", "-1"], "learning_rate"),
        (["--data", "embedded", "--memory", "1"], "memory is 1.0; expected"),
        (["--data", "embedded", "--forget-bias", "inf"], "forget_bias is inf; expected"),
        (["--data", "embedded", "--clip", "inf"], "clip is inf; expected"),
        (["--data", "embedded", "--length", "10"], "length is 10, which the task 'language' does not look"),
        (["--task", "adding", "--data", "ptb"], "data is 'ptb', which the task 'adding' does not look at"),
        (["--task", "adding", "--train-tokens", "9"], "train_tokens is 9, which the task 'adding'"),
        (["--task", "adding", "--update-every", "9"], "update_every is 9, which the task 'adding'"),
        (["--task", "ading", "--length", "9"], "no task 'ading'"),
        (["--data", "embedded", "--hidden-size", "0"], "--hidden-size"),
        (["--data", "embedded", "--embedding-size", "0"], "--embedding-size"),
    ],
)
def test_wrong_options_say_what_was_expected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(["train", "gru", *arguments, "--run-dir", str(tmp_path / "run")]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert "Traceback" not in printed.err


def test_the_environments_data_are_no_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are there for other trainings; and 0 turns off the clipping that is the task's default."""
    monkeypatch.setenv("CELLWRIGHT_PTB", "no-such-folder")
    sizes = ["--length", "4", "--epoch-steps", "1", "--epochs", "1", "--hidden-size", "3"]
    assert run(["train", "gru", "--task", "adding", *sizes, "--clip", "0", "--run-dir", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "config.json").read_text())["config"]["clip"] is None


def test_no_data_says_where_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CELLWRIGHT_PTB", raising=False)
    assert run(["train", "gru"]) == 2
    printed = capsys.readouterr().err
    assert "--data" in printed
    assert "CELLWRIGHT_PTB" in printed


def test_a_diverging_run_fails_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        "train",
        "vanilla",
        "--data",
        "embedded",
        *TINY,
        "--learning-rate",
        "1e38",
        "--run-dir",
        str(tmp_path / "r"),
    ]
    assert run(command) == 1
    assert "learning rate" in capsys.readouterr().err
