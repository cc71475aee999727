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
from codegen.study.ledger import Claim, Ledger
from codegen.study.protocol import Options
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

    Args:
        poll: seconds to wait where all that is left is in others' hands; they might die.
        check: called after every step and before every trial; may raise to end the work.

    Raises:
        DataError: the study was begun with other data.
        DiskFull, StorageError: this cannot go on now.
        KeyboardInterrupt: on Ctrl-C, with a checkpoint left and the trial handed back.
    """
    ledger.require_data(runner.data_sha256)
    while True:
        check()
        claims = _claim(ledger, runner)
        if claims:
            _attend(ledger, runner, claims, check)
        elif ledger.complete():
            return
        else:
            time.sleep(poll)


def _claim(ledger: Ledger, runner: TrialRunner) -> list[Claim]:
    """The next trial, and as many beside it as the runner wants and there are; none if all are taken."""
    first = ledger.claim()
    if first is None:
        return []
    claims, wanted = [first], runner.together(first.options)
    try:
        while len(claims) < wanted:
            another = ledger.claim(beside=first.options)
            if another is None:
                break
            claims.append(another)
    except BaseException:
        _hand_back(ledger, claims, "stopped")
        raise
    return claims


def _attend(ledger: Ledger, runner: TrialRunner, claims: Sequence[Claim], check: Callable[[], None]) -> None:
    """An attempt at each of some trials, from the claims to their ends, whatever these are."""
    reports = [_Report(ledger, claim, check) for claim in claims]
    try:
        with ExitStack() as alive:
            for report in reports:
                alive.enter_context(report)
            ended = runner.run([Assignment(r.claim.options, r.claim.lock.directory, r) for r in reports])
        for claim, end in zip(claims, ended, strict=True):
            ledger.end(claim, State(end.outcome.value), end.message, end.epochs)
    except _GivenUp:
        # Somebody put it back: whoever takes it goes on from the checkpoint. So it is for those beside it.
        _hand_back(ledger, claims, "a trial beside it was given up for dead")
    except KeyboardInterrupt:
        _hand_back(ledger, claims, "stopped")
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
        _fail(ledger, reports, error)
    except Exception as error:  # noqa: BLE001  whatever a trial raises is its result, and is reported
        _fail(ledger, reports, error)
    finally:
        for claim in claims:
            claim.lock.release()


def _hand_back(ledger: Ledger, claims: Sequence[Claim], why: str) -> None:
    for claim in claims:
        ledger.interrupt(claim, why)
        claim.lock.release()


def _fail(ledger: Ledger, reports: Sequence[_Report], error: Exception) -> None:
    ours = isinstance(error, CodegenError | DeriveError)
    for report in reports:
        ledger.begin(report.claim, {**report.about, "traceback": traceback.format_exc()})
        ledger.end(report.claim, State.FAILED, str(error) if ours else f"{type(error).__name__}: {error}")


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
