"""A training under way: its steps, its accounts, and what it leaves on disk. `loop.train` is the way in."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import torch
from torch import Tensor, nn

from codegen.errors import Diverged
from codegen.files import write_atomic
from codegen.training.checkpoint import Progress, load_checkpoint, save_checkpoint, save_weights
from codegen.training.config import TrainingConfig
from codegen.training.evaluation import Loss
from codegen.training.gradients import find_method
from codegen.training.initialization import initialize
from codegen.training.log import EpochReport, RunLog, StepReport
from codegen.training.model import Model, State
from codegen.training.tasks import Task

Measure: TypeAlias = Callable[[Any], Mapping[str, float]]  # of the model that is trained
CONFIG, LOG, LAST, BEST = "config.json", "log.jsonl", "last.safetensors", "best.safetensors"


def should_stop(valid_losses: Sequence[float], *, epochs: int, patience: int) -> bool:
    """Whether a run ends after these epochs: all are done, or the lowest loss is `patience` epochs old.

    A loss equal to the lowest has not fallen.
    """
    best = min(range(len(valid_losses)), key=valid_losses.__getitem__)
    return len(valid_losses) >= epochs or len(valid_losses) - 1 - best >= patience


def adam(model: nn.Module, learning_rate: float) -> torch.optim.Adam:
    """Adam on all weights, fused where torch can: one pass over the memory instead of a dozen.

    Every row of the embedding takes part in every step, those of words that did not occur too: their moments
    decay and move them.
    """
    fused = all(weight.device.type in ("cpu", "cuda") for weight in model.parameters())
    return torch.optim.Adam(model.parameters(), learning_rate, fused=fused)


class Run:
    """A model, a task and a directory, between two steps of a training.

    Args:
        interrupted: whether to save and stop, asked after each step and each validation batch.
        on_step, on_epoch: told of each step and each epoch.
        measure: numbers to log with each epoch, from the model as it then is.
    """

    def __init__(
        self,
        model: Model,
        task: Task[Any],
        config: TrainingConfig,
        directory: Path,
        *,
        interrupted: Callable[[], bool],
        on_step: Callable[[StepReport], None],
        on_epoch: Callable[[EpochReport], None],
        measure: Measure | None = None,
    ) -> None:
        self.model, self.task, self.config, self.directory = model, task, config, directory
        self.interrupted, self.on_step, self.on_epoch = interrupted, on_step, on_epoch
        self.measure = measure
        self.optimizer = adam(model, config.learning_rate)
        self.gradient = find_method(config.gradient).make(config)
        self.identity = _identity(model, task, config)
        self.progress = Progress()
        self.carry: State | None = None
        self.pending: list[Tensor] = []  # (loss, largest |state|) of the steps not accounted for yet
        # To read a number off an accelerator is to wait for it: there, do it for some steps at a time.
        self.drain_every = 1 if model.device.type == "cpu" else config.log_every
        self.clock = time.perf_counter()

    def open_log(self, *, resume: bool) -> RunLog:
        """Begin, or take up the last checkpoint; the log is cut back to what that checkpoint has seen."""
        last = self.directory / LAST
        if not (resume and last.exists()):
            return self._begin()
        checkpoint = load_checkpoint(last)
        defaults = _identity(self.model, self.task, TrainingConfig(cell=self.config.cell))
        checkpoint.require(self.identity, {"config": defaults["config"]})
        self.carry = checkpoint.restore(self.model, self.optimizer)
        self.progress = checkpoint.progress
        self.log = RunLog(self.directory / LOG, self.progress.log_bytes)
        if not self.progress.finished:
            position = {"epoch": self.progress.epoch, "step": self.progress.step}
            self.log.write({"event": "resume", **position, **_environment(self.config)})
        return self.log

    def _begin(self) -> RunLog:
        for name in (LAST, BEST):  # the checkpoint first, lest it pass for the new run's
            (self.directory / name).unlink(missing_ok=True)
        about = self.identity | {"environment": _environment(self.config)}
        write_atomic(self.directory / CONFIG, json.dumps(about, indent=2).encode())
        config = self.config
        initialize(
            self.model, config.initialization, scale=config.scale, biases=config.biases, seed=config.seed
        )
        self.log = RunLog(self.directory / LOG)
        return self.log

    def epoch(self) -> None:
        """Train to the end of the epoch, validate, report, and leave a checkpoint."""
        progress, config = self.progress, self.config
        self.model.train()
        self._lap()
        for inputs, targets in self.task.batches(progress.epoch, progress.step):
            self._step(inputs, targets)
            progress.step += 1
            if progress.step % self.drain_every == 0:
                self._drain()
            if progress.step % config.checkpoint_every == 0:
                self._save()
            self._answer_interrupt()
        self._drain()
        self._close(self.task.evaluate(self.model, self._answer_interrupt))

    def _step(self, inputs: Tensor, targets: Tensor) -> None:
        self.optimizer.zero_grad()
        taken = self.gradient(self.model, inputs, targets, self.carry)
        if self.config.clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimizer.step()
        self.carry = taken.carry if self.task.carries_state else None
        self.pending.append(torch.stack((taken.loss, taken.peak)))

    def _drain(self) -> None:
        """Account for the pending steps: check, add up, log, report."""
        progress = self.progress
        if not self.pending:
            return
        values = torch.stack(self.pending).tolist()
        self.pending.clear()
        progress.train_seconds += self._lap()
        for step, (loss, peak) in enumerate(values, progress.step - len(values) + 1):
            if not math.isfinite(loss):
                self._diverged("loss", loss, step)
            if not math.isfinite(peak):
                self._diverged("state", peak, step)
            progress.train_sum += loss
            progress.last_loss = loss
            progress.max_state = max(progress.max_state, peak)
            report = StepReport(
                progress.epoch, step, self.task.steps, loss, progress.max_state, progress.seconds
            )
            if step % self.config.log_every == 0:
                self.log.write(report.as_record())
            self.on_step(report)

    def _close(self, valid: Loss) -> None:
        """The end of an epoch. A crash before the checkpoint repeats the same; after it, nothing of it."""
        progress, config = self.progress, self.config
        if not math.isfinite(valid.article):
            self._diverged("validation loss", valid.article, progress.step)
        self._lap()
        earlier = [report.valid.article for report in progress.history]
        report = EpochReport(
            epoch=progress.epoch,
            train=Loss(progress.train_sum, self.task.steps),
            valid=valid,
            max_state=progress.max_state,
            tokens_per_second=self.task.steps * self.task.predictions / progress.train_seconds,
            seconds=progress.seconds,
            best=all(valid.article < loss for loss in earlier),
            measured=self._measured(),
        )
        if report.best:
            save_weights(self.directory / BEST, self.model)
        self.log.write(report.as_record())
        self.carry = None
        self.progress = Progress(
            epoch=progress.epoch + 1,
            last_loss=progress.last_loss,
            seconds=progress.seconds,
            finished=self.task.solved(valid)
            or should_stop([*earlier, valid.article], epochs=config.epochs, patience=config.patience),
            history=[*progress.history, report],
        )
        self._save()
        self.on_epoch(report)

    def _measured(self) -> dict[str, float | None]:
        """JSON has no infinity."""
        found = {} if self.measure is None else self.measure(self.model)
        return {name: value if math.isfinite(value) else None for name, value in found.items()}

    def _save(self) -> None:
        self._drain()
        # A finite loss can have an infinite gradient: keep that out of the checkpoint.
        if not all(bool(weight.isfinite().all()) for weight in self.model.parameters()):
            self._diverged("weights", math.nan, self.progress.step)
        self._lap()
        self.progress.log_bytes = self.log.sync()
        path = self.directory / LAST
        save_checkpoint(path, self.model, self.optimizer, self.carry, self.progress, self.identity)
        self._lap()

    def _answer_interrupt(self) -> None:
        if self.interrupted():
            self._save()
            raise KeyboardInterrupt

    def _lap(self) -> float:
        """The seconds since the last call, counted into the run's."""
        now = time.perf_counter()
        elapsed, self.clock = now - self.clock, now
        self.progress.seconds += elapsed
        return elapsed

    def _diverged(self, what: str, value: float, step: int) -> NoReturn:
        progress, rate = self.progress, self.config.learning_rate
        self.log.write(
            {
                "event": "diverged",
                "epoch": progress.epoch,
                "step": step,
                "what": what,
                "value": str(value),  # JSON has neither nan nor infinity
                "last_finite_loss": progress.last_loss,
                "max_state": progress.max_state,
            }
        )
        before = "no finite loss before"
        if progress.last_loss is not None:
            before = f"the last finite loss was {progress.last_loss:.4g}"
        clip = "clip the gradient's norm" if self.config.clip is None else f"clip below {self.config.clip:g}"
        raise Diverged(
            f"the {what} became {value} at epoch {progress.epoch}, step {step} of {self.task.steps}: "
            f"{before}, the largest |state| {progress.max_state:.4g}. Lower the learning rate ({rate:g} was "
            f"given; try {rate / 3:.1g}) or {clip}, and start over",
            tuple(progress.history),
        )


def _identity(model: Model, task: Task[Any], config: TrainingConfig) -> dict[str, Any]:
    """What must be the same for a run to be resumed."""
    weights = {name: f"{weight.dtype} {tuple(weight.shape)}" for name, weight in model.state_dict().items()}
    options = {name: value for name, value in config.as_dict().items() if name != "backend"}
    return {"config": options, **task.identity, "weights": weights}


def _environment(config: TrainingConfig) -> dict[str, Any]:
    """What may differ on resume, at the price of other roundings."""
    return {"backend": config.backend, "torch": torch.__version__, "threads": torch.get_num_threads()}
