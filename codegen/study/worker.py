"""Train a study's trials, one after the other or some side by side, until none is left."""

from __future__ import annotations

import errno
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from codegen.errors import CodegenError, Stopped
from codegen.study.attempts import State
from codegen.study.ledger import CellChanged, Claim, Ledger
from codegen.study.protocol import Options, may_go_beside
from codegen.study.results import Epoch, Outcome
from codegen.study.storage import StorageError
from derive.errors import DeriveError

POLL = 2.0  # seconds between two looks for something to do
_FULL = (errno.ENOSPC, errno.EDQUOT)


class DiskFull(Stopped):
    """No room for a checkpoint: the study stops, and goes on from the last one when started again."""


class Observer(Protocol):
    """Whom a trial tells how it comes along."""

    def begin(self, about: Mapping[str, Any]) -> None:
        """It begins, or is taken up again; where its numbers are from."""

    def step(self) -> None:
        """A step is done. May raise to end the trial."""

    def epoch(self, epoch: Epoch) -> None:
        """An epoch is done."""


@dataclass(frozen=True)
class Ended:
    """How a trial ended.

    Attributes:
        outcome: FINISHED or DIVERGED; errors are raised.
        epochs: all of them.
        message: where and how it diverged.
    """

    outcome: Outcome
    epochs: tuple[Epoch, ...]
    message: str = ""


@dataclass(frozen=True)
class Assignment:
    """A trial to be trained.

    Attributes:
        options: of the trial.
        directory: where its files go; what is there is gone on from, with the very same numbers.
        observer: whom to tell.
    """

    options: Options
    directory: Path
    observer: Observer


class TrialRunner(Protocol):
    """What trains trials.

    Attributes:
        data_sha256: checksum of the text that it reads; None if it reads none.
    """

    @property
    def data_sha256(self) -> str | None: ...

    def together(self, options: Options) -> int:
        """How many trials like this one, but for seed and learning rate, are best trained at a time."""

    def run(self, assignments: Sequence[Assignment]) -> Sequence[Ended]:
        """Train them side by side, or the only one; how they ended, in their order.

        Raises:
            KeyboardInterrupt: on Ctrl-C, with checkpoints left.
        """


def work(
    ledger: Ledger,
    runner: TrialRunner,
    *,
    poll: float = POLL,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Train until every trial of the study has come to an end, here or elsewhere.

    An error among trials side by side might be that of any, or of their being together: those like them are
    trained one at a time from then on, and only an error of one alone counts as its failure.

    Args:
        poll: seconds to wait where all that is left is in others' hands; they might die.
        check: called after every step and before every trial; may raise to end the work.

    Raises:
        CellChanged, DataError: the study was begun with other equations, or other data.
        DiskFull, StorageError: this cannot go on now.
        KeyboardInterrupt: on Ctrl-C, with a checkpoint left and the trial handed back.
    """
    ledger.require_data(runner.data_sha256)
    apart: list[Options] = []  # those of a trial of each team that had an error
    while True:
        check()
        claims = _claim(ledger, runner, apart)
        if claims:
            if not _attend(ledger, runner, claims, check):
                apart.append(claims[0].options)
        elif ledger.complete():
            return
        else:
            time.sleep(poll)


def _claim(ledger: Ledger, runner: TrialRunner, apart: Sequence[Options]) -> list[Claim]:
    """The next trial, and as many beside it as the runner wants and there are; none if all are taken."""
    first = ledger.claim()
    if first is None:
        return []
    claims = [first]
    try:
        alone = any(may_go_beside(first.options, options) for options in apart)
        wanted = 1 if alone else runner.together(first.options)
        while len(claims) < wanted:
            another = ledger.claim(beside=first.options)
            if another is None:
                break
            claims.append(another)
    except BaseException:
        _hand_back(ledger, claims, "stopped")
        raise
    return claims


def _attend(ledger: Ledger, runner: TrialRunner, claims: Sequence[Claim], check: Callable[[], None]) -> bool:
    """An attempt at each of some trials, from the claims to their ends; whether they may go together again.

    They give signs of life until their ends are written down, however long the storage is away.
    """
    with ExitStack() as held:
        for claim in claims:
            held.callback(claim.lock.release)
        reports = [held.enter_context(_Report(ledger, claim, check)) for claim in claims]
        return _train(ledger, runner, reports)


def _train(ledger: Ledger, runner: TrialRunner, reports: Sequence[_Report]) -> bool:
    claims = [report.claim for report in reports]
    try:
        ended = runner.run([Assignment(r.claim.options, r.claim.lock.directory, r) for r in reports])
        for claim, end in zip(claims, ended, strict=True):
            ledger.end(claim, State(end.outcome.value), end.message, end.epochs)
    except _GivenUp:
        # Somebody put it back: whoever takes it goes on from the checkpoint. So it is for those beside it.
        _hand_back(ledger, claims, "a trial beside it was given up for dead")
    except KeyboardInterrupt:
        _hand_back(ledger, claims, "stopped")
        raise
    except CellChanged:
        _hand_back(ledger, claims, "the cell had other equations")
        raise
    except (StorageError, DiskFull):
        raise
    except OSError as error:
        if error.errno in _FULL:
            _hand_back(ledger, claims, "the disk was full")
            raise DiskFull(
                f"{error.strerror}: {error.filename or claims[0].lock.directory}. Nothing is lost: make "
                "room and start the same command again, and every trial goes on from its last checkpoint"
            ) from error
        return _fail(ledger, reports, error)
    except Exception as error:  # noqa: BLE001  whatever a trial raises is its result, and is reported
        return _fail(ledger, reports, error)
    return True


def _hand_back(ledger: Ledger, claims: Sequence[Claim], why: str) -> None:
    for claim in claims:
        ledger.interrupt(claim, why)
        claim.lock.release()


def _fail(ledger: Ledger, reports: Sequence[_Report], error: Exception) -> bool:
    """Write an error down, as a failure of the trial that was alone; whether it was."""
    ours = isinstance(error, CodegenError | DeriveError)
    message = str(error) if ours else f"{type(error).__name__}: {error}"
    alone = len(reports) == 1
    for report in reports:
        ledger.begin(report.claim, {**report.about, "traceback": traceback.format_exc()})
        ledger.end(report.claim, State.FAILED if alone else State.INTERRUPTED, message)
    return alone


class _GivenUp(Exception):
    """This attempt was given up for dead by somebody; it was not, but it no longer counts."""


class _Report:
    """The observer of one attempt; in a `with` block, it gives signs of life from a thread of its own."""

    def __init__(self, ledger: Ledger, claim: Claim, check: Callable[[], None]) -> None:
        self.ledger, self.claim, self.check = ledger, claim, check
        self.about: Mapping[str, Any] = {}
        self._epochs = claim.epochs
        self._given_up = threading.Event()
        self._over = threading.Event()
        self._pulse = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> _Report:
        self._pulse.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._pulse.join()

    def _beat(self) -> None:
        while not self._over.wait(self.ledger.storage.heartbeat):
            if not self.ledger.beat(self.claim):
                self._given_up.set()
                return

    def begin(self, about: Mapping[str, Any]) -> None:
        self.about = dict(about)
        self.ledger.begin(self.claim, self.about)

    def step(self) -> None:
        self.check()
        if self._given_up.is_set():
            raise _GivenUp

    def epoch(self, epoch: Epoch) -> None:
        self._epochs = (*self._epochs[: epoch.epoch - 1], epoch)
        self.ledger.epochs(self.claim, self._epochs)
