"""Train a model as in the article: truncated backpropagation with the state carried from batch to batch,
Adam, and a stop when the validation loss no longer falls.

A run directory holds
    config.json          hyperparameters, data, shapes; versions and threads
    log.jsonl            one line every few steps and one an epoch
    last.safetensors     the last checkpoint
    best.safetensors     the weights after the epoch of the lowest validation loss
and each of them is whole at any moment (the log but for its last line). A killed run goes on from its last
checkpoint with the very numbers of an uninterrupted one, on the same machine with as many threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from codegen.training.config import TrainingConfig
from codegen.training.interrupt import deferred_interrupt
from codegen.training.log import EpochReport, StepReport
from codegen.training.model import Model
from codegen.training.rng import seeded
from codegen.training.run import BEST, Measure, Run
from codegen.training.tasks import Task


@dataclass(frozen=True)
class TrainingResult:
    """A finished run.

    Attributes:
        history: one report an epoch.
        best: the report of the epoch with the lowest validation loss, the first of several.
        run_dir: where its files are.
        weights: the file of the best epoch's weights, for `load_weights`.
        seconds: spent on the run, over all processes that worked on it.
    """

    history: tuple[EpochReport, ...]
    best: EpochReport
    run_dir: Path
    weights: Path
    seconds: float


def train(
    model: Model,
    task: Task[Any],
    config: TrainingConfig,
    run_dir: str | PathLike[str],
    *,
    on_step: Callable[[StepReport], None] | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
    measure: Measure | None = None,
    resume: bool = True,
) -> TrainingResult:
    """Initialize `model` from the seed and train it, or go on from the checkpoint in `run_dir`.

    Afterwards the model has the last epoch's weights; those of the best are in `result.weights`. Ctrl-C is
    answered between two steps, with a checkpoint. torch's random generators are left as they were.

    Args:
        model: on the device and in the precision to train in.
        task: what it is to learn, on the same device.
        on_step, on_epoch: told of each step and each epoch.
        measure: numbers by name to log with each epoch, computed from the model as it is at the epoch's end,
            which it must leave as it is: such as a bound of the Jacobian.
        resume: False discards the run in `run_dir`, if any, and starts over.

    Raises:
        ConfigError: `config.biases` names what the layer does not have.
        TrainingError: the sizes of model, task and configuration differ.
        Diverged: the loss, the state or a weight is no longer finite.
        CheckpointError: the checkpoint is damaged or belongs to another run.
        KeyboardInterrupt: on Ctrl-C, once the checkpoint is written.
        OSError: the run directory cannot be written.
    """
    task.check(model)
    directory = Path(run_dir)
    directory.mkdir(parents=True, exist_ok=True)
    with seeded(config.seed, model.device), deferred_interrupt() as interrupted:
        run = Run(
            model,
            task,
            config,
            directory,
            interrupted=interrupted,
            on_step=on_step or _ignore,
            on_epoch=on_epoch or _ignore,
            measure=measure,
        )
        with run.open_log(resume=resume):
            while not run.progress.finished:
                run.epoch()
    history = tuple(run.progress.history)
    best = min(history, key=lambda report: report.valid.article)
    return TrainingResult(history, best, directory, directory / BEST, run.progress.seconds)


def _ignore(report: object) -> None:
    pass
