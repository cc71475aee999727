"""Runs that are interrupted, killed and resumed end with the very numbers of those that are not."""

import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from codegen.errors import CheckpointError, DataError, TrainingError
from codegen.training.checkpoint import load_checkpoint
from codegen.training.data import parse_corpus
from codegen.training.log import StepReport
from codegen.training.loop import TrainingResult, train
from codegen.training.model import LanguageModel
from codegen.training.run import Run
from codegen.training.tasks.language import LanguageTask
from tests.codegen.training.standin import make_config, make_corpus, make_files, make_model, train_slowly

TIMES = ("seconds", "tokens_per_second")


def run(
    directory: Path,
    on_step: Callable[[StepReport], None] | None = None,
    measure: Callable[[LanguageModel], dict[str, float]] | None = None,
    **changes: Any,
) -> TrainingResult:
    config, corpus = make_config(**changes), make_corpus()
    return train(
        make_model(config, corpus),
        LanguageTask(corpus, config),
        config,
        directory,
        on_step=on_step,
        measure=measure,
    )


def log_of(directory: Path) -> list[dict[str, Any]]:
    """The log, but for times and the notes of being resumed."""
    lines = [json.loads(line) for line in (directory / "log.jsonl").read_text().splitlines()]
    return [
        {key: value for key, value in line.items() if key not in TIMES}
        for line in lines
        if line["event"] != "resume"
    ]


def assert_same(directory: Path, undisturbed: Path) -> None:
    assert log_of(directory) == log_of(undisturbed)
    for name in ("best.safetensors", "last.safetensors"):
        found, expected = load_file(directory / name), load_file(undisturbed / name)
        assert found.keys() == expected.keys()
        for key in found:
            assert torch.equal(found[key], expected[key]), f"{name}: {key}"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("undisturbed")
    run(directory)
    assert len(log_of(directory)) == 3 * (40 + 1)
    return directory


@pytest.mark.slow
def test_killed_anywhere(tmp_path: Path, undisturbed: Path) -> None:
    """SIGKILL after a random number of lines and a random while (a step takes some 10 ms, a write some 1)."""
    dice = random.Random()  # anew each time: over time, everywhere
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([train_slowly.__module__])  # import torch once, not once a process
    log = tmp_path / "log.jsonl"
    points = sorted(dice.sample(range(5, 110), 3))
    for point in points:
        process = processes.Process(target=train_slowly, args=(str(tmp_path),))
        process.start()
        while not (log.exists() and log.read_bytes().count(b"\n") >= point):
            assert process.is_alive(), f"ended before it could be killed at {point} of {points}"
            time.sleep(0.001)
        time.sleep(dice.uniform(0, 0.03))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    process = processes.Process(target=train_slowly, args=(str(tmp_path),))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert any(json.loads(line)["event"] == "resume" for line in log.read_text().splitlines())
    assert_same(tmp_path, undisturbed)
    assert sorted(os.listdir(tmp_path)) == [
        "best.safetensors",
        "config.json",
        "last.safetensors",
        "log.jsonl",
    ]


class Crash(Exception):
    pass


@pytest.mark.parametrize("at", [(1, 1), (1, 7), (1, 8), (1, 40), (2, 1), (2, 6), (3, 36)])
def test_crash_at_a_step(tmp_path: Path, undisturbed: Path, at: tuple[int, int]) -> None:
    def crash(report: StepReport) -> None:
        if (report.epoch, report.step) == at:
            raise Crash

    with pytest.raises(Crash):
        run(tmp_path, crash)
    torch.manual_seed(12345)  # what the caller draws in between is no concern
    run(tmp_path)
    assert_same(tmp_path, undisturbed)


def test_what_is_measured_is_logged_and_changes_nothing(tmp_path: Path, undisturbed: Path) -> None:
    """Also across a crash: the epochs before it keep their numbers."""

    def measure(model: LanguageModel) -> dict[str, float]:
        return {"largest": model.decoder.weight.abs().max().item(), "endless": float("inf")}

    def crash(report: StepReport) -> None:
        if (report.epoch, report.step) == (3, 5):
            raise Crash

    with pytest.raises(Crash):
        run(tmp_path, crash, measure)
    result = run(tmp_path, measure=measure)
    lines = log_of(tmp_path)
    epochs = [line for line in lines if line["event"] == "epoch"]
    assert [line.pop("endless") for line in epochs] == [None] * 3
    largest = [line.pop("largest") for line in epochs]
    assert largest == [report.measured["largest"] for report in result.history]
    assert largest[-1] == load_file(tmp_path / "last.safetensors")["model.decoder.weight"].abs().max().item()
    assert lines == log_of(undisturbed)


def test_accounting_in_arrears_changes_nothing(
    tmp_path: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on an accelerator, where losses are read some at a time; neither 7 nor 40 is a multiple of 3."""
    begin = Run.__init__

    def begin_lazily(self: Run, *arguments: Any, **options: Any) -> None:
        begin(self, *arguments, **options)
        self.drain_every = 3

    def crash(report: StepReport) -> None:
        if report.step == 9:
            raise Crash

    monkeypatch.setattr(Run, "__init__", begin_lazily)
    with pytest.raises(Crash):
        run(tmp_path, crash)
    run(tmp_path)
    assert_same(tmp_path, undisturbed)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("step", [1, 10, 40])
def test_ctrl_c_leaves_a_checkpoint_of_that_step(tmp_path: Path, undisturbed: Path, step: int) -> None:
    def interrupt(report: StepReport) -> None:
        if (report.epoch, report.step) == (2, step):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, interrupt)
    progress = load_checkpoint(tmp_path / "last.safetensors").progress
    assert (progress.epoch, progress.step) == (2, step)
    seen: list[StepReport] = []
    run(tmp_path, seen.append)
    assert len(seen) == (40 - step) + 40
    assert_same(tmp_path, undisturbed)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_during_validation(tmp_path: Path, undisturbed: Path) -> None:
    config, corpus = make_config(), make_corpus()
    model = make_model(config, corpus)
    model.layer.register_forward_hook(  # type: ignore[attr-defined]
        lambda layer, *_: None if layer.training else signal.raise_signal(signal.SIGINT)
    )
    with pytest.raises(KeyboardInterrupt):
        train(model, LanguageTask(corpus, config), config, tmp_path)
    progress = load_checkpoint(tmp_path / "last.safetensors").progress
    assert (progress.epoch, progress.step, progress.history) == (1, 40, [])
    run(tmp_path)
    assert_same(tmp_path, undisturbed)


def test_finished_run_is_reported_again_not_repeated(tmp_path: Path) -> None:
    first = run(tmp_path)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    steps: list[StepReport] = []
    again = run(tmp_path, steps.append)
    assert steps == []
    assert again.history == first.history
    assert again.best == first.best
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_other_hyperparameters_are_refused(tmp_path: Path) -> None:
    run(tmp_path, epochs=1)
    before = (tmp_path / "log.jsonl").read_bytes()
    with pytest.raises(CheckpointError, match=r"config\.learning_rate was 0\.001 and is now 0\.1") as caught:
        run(tmp_path, epochs=1, learning_rate=0.1, cell="other")
    assert "config.cell was 'stand-in' and is now 'other'" in str(caught.value)
    assert "config.seed" not in str(caught.value)
    assert (tmp_path / "log.jsonl").read_bytes() == before


def test_other_data_and_other_shapes_are_refused(tmp_path: Path) -> None:
    run(tmp_path, epochs=1)
    config, files = make_config(epochs=1), make_files()
    corpus = parse_corpus(files | {"test": files["test"] + b"ba\n"})
    with pytest.raises(CheckpointError, match="data_sha256 was"):
        train(make_model(config, corpus), LanguageTask(corpus, config), config, tmp_path)
    corpus = make_corpus()
    with pytest.raises(
        CheckpointError, match=r"weights\.decoder\.weight was 'torch.float32 .* 'torch.float64 "
    ):
        train(make_model(config, corpus).double(), LanguageTask(corpus, config), config, tmp_path)


def test_starting_over_discards(tmp_path: Path, undisturbed: Path) -> None:
    run(tmp_path, learning_rate=0.1)
    config, corpus = make_config(), make_corpus()
    train(make_model(config, corpus), LanguageTask(corpus, config), config, tmp_path, resume=False)
    assert_same(tmp_path, undisturbed)
    assert json.loads((tmp_path / "config.json").read_text())["config"]["learning_rate"] == 0.001


def test_seeds_differ_and_the_callers_generator_is_left_alone(tmp_path: Path, undisturbed: Path) -> None:
    before = torch.get_rng_state()
    run(tmp_path / "a", seed=1, epochs=1)
    run(tmp_path / "b", seed=2, epochs=1)
    losses = {log_of(directory)[0]["loss"] for directory in (tmp_path / "a", tmp_path / "b", undisturbed)}
    assert len(losses) == 3
    make_model(make_config(), make_corpus())  # draws its own first weights
    after = torch.get_rng_state()
    torch.set_rng_state(before)
    for _ in range(3):
        make_model(make_config(), make_corpus())
    assert torch.equal(torch.get_rng_state(), after)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 8}, "the model's state has size 7; the corpus and the configuration call for 8"),
        ({"embedding_size": 9}, "the model's embedding has size 6; .* call for 9"),
    ],
)
def test_sizes_must_agree(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    corpus = make_corpus()
    with pytest.raises(TrainingError, match=message):
        train(
            make_model(make_config(), corpus),
            LanguageTask(corpus, make_config(**changes)),
            make_config(**changes),
            tmp_path / "new",
        )
    assert not (tmp_path / "new").exists()


def test_too_little_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="273 tokens are too few for a batch of 4 rows by 100 steps"):
        run(tmp_path, bptt=100)
