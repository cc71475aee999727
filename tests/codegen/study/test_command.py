"""The command study, from a file to its results."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from codegen.cli import study
from codegen.study.results import Outcome, load_results

FILE = """
name = "tiny"
title = "Tiny"
[data]
source = "embedded"
train_tokens = 3000
valid_tokens = 1000
test_tokens = 1000
vocabulary = 100
[grid]
cell = ["mine.py"]
learning_rate = [1e-2, 1e30]
seed = [0]
[training]
batch_size = 10
bptt = 10
hidden_size = 8
embedding_size = 8
epochs = 1
backend = "eager"
"""
MINE = """
import derive
mine = derive.cell("vanilla")
"""


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    study.register(app)
    app.callback()(lambda: None)
    return app


@pytest.mark.slow
def test_from_a_file_to_its_results(
    tmp_path: Path, app: typer.Typer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "tiny.toml").write_text(FILE)
    (tmp_path / "folder" / "mine.py").write_text(MINE)
    command = ["study", "folder/tiny.toml"]
    app([*command, "--status"], standalone_mode=False)
    assert "Tiny: 0 of 2 trials done; sqlite:///" in capfd.readouterr().out
    app([*command, "--workers", "2", "--export", "out.json"], standalone_mode=False)
    captured = capfd.readouterr()
    assert "2 trials: 1 finished, 1 diverged; " in captured.out
    assert "2 of 2 trials done" in captured.err
    assert "report: runs/tiny/report.html" in captured.out
    assert "0 of 1, 1 diverged" in Path("runs/tiny/report.html").read_text()
    assert len(Path("runs/tiny/trials.csv").read_text().splitlines()) == 3
    results = load_results("out.json")
    assert results == load_results("runs/tiny/results.json")
    by_rate = {trial.options["learning_rate"]: trial for trial in results.trials}
    good, wild = by_rate[1e-2], by_rate[1e30]
    assert (good.outcome, wild.outcome) == (Outcome.FINISHED, Outcome.DIVERGED)
    assert wild.message in captured.out
    assert len(good.epochs) == 1
    assert set(good.about) == {
        *("cellwright", "torch", "python", "backend", "why", "device", "host", "data_sha256", "command"),
        "cell_sha256",
    }
    assert (Path("runs/tiny") / good.run_directory / "best.safetensors").is_file()
    app(command, standalone_mode=False)
    assert "Tiny: 2 of 2 trials done, 1 diverged; sqlite:///" in capfd.readouterr().out
