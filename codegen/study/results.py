"""What a study found: plain records that a report, a notebook or anybody's own script can read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from os import PathLike
from pathlib import Path
from typing import Any

from codegen.errors import DataError
from codegen.files import write_atomic
from codegen.study.protocol import Options, Protocol

FORMAT = "cellwright study results 1"


class Outcome(StrEnum):
    """How a trial ended."""

    FINISHED = "finished"
    DIVERGED = "diverged"  # the loss, the state or a weight became infinite: a result, not a failure
    FAILED = "failed"  # an error, after all retries
    UNFINISHED = "unfinished"  # waiting, running or interrupted


@dataclass(frozen=True)
class Epoch:
    """One epoch of one trial.

    Attributes:
        epoch: counted from 1.
        train, valid: the mean loss of a prediction (nats a word for a language model).
        valid_sum: the sum over the validation batches: the article's unit.
        max_state: the largest |state| during its training.
        seconds: spent on the trial until its end.
        measured: what diagnostics found, by name; None for what is not finite.
    """

    epoch: int
    train: float
    valid: float
    valid_sum: float
    max_state: float
    seconds: float
    measured: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """One training of the grid.

    Attributes:
        options: its point of the grid, `cell` and `seed` included.
        outcome: how it ended.
        epochs: the finished ones, also of a diverged trial.
        number: of the attempt that counts, in the storage; None if there is none yet.
        attempts: how often it was begun or taken up again.
        message: why it failed or diverged, empty otherwise.
        run_directory: relative to the study's folder.
        about: where the numbers are from: `cellwright`, `torch`, `python` versions, `backend`, `device`,
            `host`, `data_sha256`, `command` (the `cellwright train` line that repeats it), as far as known.
    """

    options: Options
    outcome: Outcome
    epochs: tuple[Epoch, ...] = ()
    number: int | None = None
    attempts: int = 0
    message: str = ""
    run_directory: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def best(self) -> Epoch | None:
        """The first epoch of the lowest validation loss."""
        return min(self.epochs, key=lambda epoch: epoch.valid) if self.epochs else None


@dataclass(frozen=True)
class Results:
    """A study's protocol and one `Trial` for each point of its grid, in the grid's order."""

    protocol: Protocol
    trials: tuple[Trial, ...]


def save_results(path: str | PathLike[str], results: Results) -> None:
    """Write `results` as JSON, a line a trial, whole or not at all; every float survives exactly.

    Raises:
        OSError: the file cannot be written.
    """
    trials = ",\n".join(_json(asdict(trial)) for trial in results.trials)
    head = f'{{"format": {_json(FORMAT)},\n"protocol": {_json(results.protocol.as_dict())},\n"trials": ['
    write_atomic(Path(path), f"{head}\n{trials}\n]}}\n".encode())


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def load_results(path: str | PathLike[str]) -> Results:
    """Read what `save_results` wrote.

    Raises:
        DataError: the file is missing, or is something else.
    """
    try:
        document = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}") from error
    found = document.get("format") if isinstance(document, dict) else None
    if found != FORMAT:
        raise DataError(f"{path} is marked {found!r}; expected {FORMAT!r}, as `cellwright study` writes it")
    trials = tuple(_trial(record) for record in document["trials"])
    return Results(Protocol.from_dict(document["protocol"]), trials)


def _trial(record: dict[str, Any]) -> Trial:
    outcome = Outcome(record.pop("outcome"))
    epochs = tuple(Epoch(**epoch) for epoch in record.pop("epochs"))
    return Trial(outcome=outcome, epochs=epochs, **record)
