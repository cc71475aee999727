"""Small trainings of generated cells, one at a time and in lockstep, and how to compare what they leave."""

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import codegen
from codegen.training.config import TrainingConfig
from codegen.training.data import Corpus, parse_corpus
from codegen.training.lockstep import Training, train_in_lockstep
from codegen.training.log import StepReport
from codegen.training.loop import TrainingResult, train
from codegen.training.model import LanguageModel
from codegen.training.tasks.language import LanguageTask
from tests.codegen.training.standin import make_config, make_files

OnStep: TypeAlias = Callable[[LanguageModel, StepReport], None]

STEPS = 20
TIMES = ("seconds", "tokens_per_second")
RATES = (1e-3, 3e-3, 1e-2)


@cache
def corpus() -> Corpus:
    """An epoch has STEPS steps."""
    return parse_corpus(make_files(76))


def configs(rates: Sequence[float] = RATES, **changes: Any) -> list[TrainingConfig]:
    """One for each rate, with a seed of its own."""
    options = {"cell": "lstm", "biases": {}, "epochs": 2, "checkpoint_every": 12, **changes}
    return [make_config(seed=seed, learning_rate=rate, **options) for seed, rate in enumerate(rates)]


def build(
    config: TrainingConfig, dtype: torch.dtype = torch.float64, backend: str = "eager"
) -> LanguageModel:
    sizes = config.embedding_size, config.hidden_size
    layer = codegen.build(config.cell, *sizes, backend=backend, dtype=dtype)
    return LanguageModel(layer, len(corpus().vocabulary), *sizes).to(dtype)


def prepare(
    config: TrainingConfig,
    directory: Path,
    *,
    dtype: torch.dtype = torch.float64,
    on_step: OnStep | None = None,
) -> Training:
    """A training in a folder of the seed's; `on_step` is also given the model."""
    model = build(config, dtype)

    def tell(report: StepReport) -> None:
        if on_step is not None:
            on_step(model, report)

    return Training(model, config, directory / str(config.seed), on_step=tell)


def alone(training: Training) -> TrainingResult:
    task = LanguageTask(corpus(), training.config)
    return train(training.model, task, training.config, training.run_dir, on_step=training.on_step)


def lockstep(trainings: Sequence[Training]) -> list[Any]:
    return list(train_in_lockstep(trainings, LanguageTask(corpus(), trainings[0].config)))


def log_of(directory: Path) -> list[dict[str, Any]]:
    """The log, but for times and the notes of being resumed."""
    lines = [json.loads(line) for line in (directory / "log.jsonl").read_text().splitlines()]
    return [
        {key: value for key, value in line.items() if key not in TIMES}
        for line in lines
        if line["event"] != "resume"
    ]


def progress_of(directory: Path) -> dict[str, Any]:
    """Position and sums in the last checkpoint, without the times and what depends on their digits."""
    with safe_open(directory / "last.safetensors", framework="pt") as file:
        progress = json.loads(file.metadata()["progress"])
    left_out = (*TIMES, "train_seconds", "log_bytes", "history")  # the epochs are in the log
    return {key: value for key, value in progress.items() if key not in left_out}


def assert_close(found: dict[str, Any], expected: dict[str, Any], tolerance: float = 1e-10) -> None:
    """Two records are equal, real numbers to the tolerance."""
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        close = pytest.approx(value, rel=tolerance, abs=tolerance) if isinstance(value, float) else value
        assert found[key] == close, (key, found, expected)


def assert_same(found: Path, expected: Path, tolerance: float = 1e-10) -> None:
    """All files of two run directories agree, numbers to the tolerance."""
    assert (found / "config.json").read_bytes() == (expected / "config.json").read_bytes()
    pairs = [*zip(log_of(found), log_of(expected), strict=True), (progress_of(found), progress_of(expected))]
    for mine, its in pairs:
        assert_close(mine, its, tolerance)
    for name in ("last.safetensors", "best.safetensors"):
        mine, its = load_file(found / name), load_file(expected / name)
        assert mine.keys() == its.keys()
        for key in its:
            torch.testing.assert_close(
                mine[key], its[key], rtol=tolerance, atol=tolerance, msg=f"{name}: {key}"
            )
