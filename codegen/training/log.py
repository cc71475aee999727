"""What a training reports, and its log: one JSON object a line."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from codegen.errors import CheckpointError
from codegen.training.evaluation import Loss


@dataclass(frozen=True)
class StepReport:
    """One training step.

    Attributes:
        epoch: counted from 1.
        step: within the epoch, counted from 1.
        steps: of a whole epoch.
        loss: of this step's batch, nats a word.
        max_state: the largest absolute value of the carried state so far in this epoch.
        seconds: spent on the run so far, earlier processes included.
    """

    epoch: int
    step: int
    steps: int
    loss: float
    max_state: float
    seconds: float

    def as_record(self) -> dict[str, Any]:
        """The line of the log."""
        return {
            "event": "step",
            "epoch": self.epoch,
            "step": self.step,
            "loss": self.loss,
            "max_state": self.max_state,
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class EpochReport:
    """One epoch; `max_state` and `seconds` as in `StepReport`.

    Attributes:
        train: the mean over the epoch's steps, each with the weights it then had.
        valid: with the weights at the end of the epoch.
        tokens_per_second: of training, validation and checkpoints not counted.
        best: whether the validation loss is below that of every earlier epoch.
        measured: what `train(…, measure=…)` found with those weights, by name; None for what is not finite.
    """

    epoch: int
    train: Loss
    valid: Loss
    max_state: float
    tokens_per_second: float
    seconds: float
    best: bool
    measured: Mapping[str, float | None] = field(default_factory=dict)

    def as_record(self) -> dict[str, Any]:
        """The line of the log; `from_record` reads it back."""
        return {
            "event": "epoch",
            "epoch": self.epoch,
            **_loss_record("train", self.train, words=self.valid.correct is None),
            **_loss_record("valid", self.valid, words=self.valid.correct is None),
            "max_state": self.max_state,
            "tokens_per_second": self.tokens_per_second,
            "seconds": self.seconds,
            "best": self.best,
            **self.measured,
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> EpochReport:
        """The report that `as_record` wrote down."""
        return cls(
            train=_loss("train", record),
            valid=_loss("valid", record),
            **{key: record[key] for key in ("epoch", "max_state", "tokens_per_second", "seconds", "best")},
            measured={key: value for key, value in record.items() if key not in _EPOCH_KEYS},
        )


_EPOCH_KEYS = {
    *("event", "epoch", "max_state", "tokens_per_second", "seconds", "best"),
    *(
        f"{split}_{unit}"
        for split in ("train", "valid")
        for unit in ("article", "batches", "nats", "perplexity", "mean", "correct")
    ),
}


def _loss(split: str, record: Mapping[str, Any]) -> Loss:
    return Loss(record[f"{split}_article"], record[f"{split}_batches"], record.get(f"{split}_correct"))


def _loss_record(split: str, loss: Loss, *, words: bool) -> dict[str, float | int | None]:
    record: dict[str, float | int | None] = {
        f"{split}_article": loss.article,
        f"{split}_batches": loss.batches,
    }
    if words:
        # JSON has no infinity.
        perplexity = loss.perplexity if math.isfinite(loss.perplexity) else None
        return record | {f"{split}_nats": loss.nats, f"{split}_perplexity": perplexity}
    record[f"{split}_mean"] = loss.nats
    return record if loss.correct is None else record | {f"{split}_correct": loss.correct}


class RunLog:
    """An append-only file of JSON lines; each is one system call, so only the last can be torn."""

    def __init__(self, path: Path, size: int = 0) -> None:
        """Open the log and cut it back to its first `size` bytes.

        Raises:
            CheckpointError: it is shorter than that.
        """
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        found = os.fstat(self._descriptor).st_size
        if found < size:
            os.close(self._descriptor)
            raise CheckpointError(
                f"{path} has {found} bytes, fewer than the {size} at the last checkpoint: it was changed "
                "since. Put it back, or start the run over"
            )
        os.ftruncate(self._descriptor, size)
        self.size = size

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def write(self, record: dict[str, Any]) -> None:
        """Append one line."""
        line = json.dumps(record, allow_nan=False).encode() + b"\n"
        written = os.write(self._descriptor, line)
        if written != len(line):
            raise OSError(errno.ENOSPC, f"the log took {written} of {len(line)} bytes: no space left")
        self.size += written

    def sync(self) -> int:
        """Bring all lines to the disk; the size in bytes."""
        os.fsync(self._descriptor)
        return self.size
