"""What a worker makes of a trial's end: a result, an error, a full disk, Ctrl-C."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from codegen.errors import TrainingError
from codegen.study.attempts import State
from codegen.study.ledger import CellChanged, Claim, Ledger
from codegen.study.protocol import Options
from codegen.study.results import Outcome
from codegen.study.worker import Assignment, DiskFull, Ended, Observer, work
from tests.codegen.study.trials import Arithmetic, make_epochs, make_plan, make_protocol

ONE = make_protocol(grid={"cell": ("gru",), "learning_rate": (0.01,), "seed": (0,)}, retries=2)


@pytest.fixture
def ledger(tmp_path: Path, empty_database: Path) -> Iterator[Ledger]:
    shutil.copy(empty_database, tmp_path / "study.db")
    plan = make_plan(tmp_path, Arithmetic, protocol=ONE)
    with plan.storage() as storage:
        yield plan.ledger(storage)


def first_times(count: int, error: BaseException) -> Callable[[Options, Path], None]:
    """A problem that goes away."""
    left = [count]

    def raise_some(options: Options, directory: Path) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise error

    return raise_some


def test_an_error_is_tried_again(ledger: Ledger) -> None:
    work(ledger, Arithmetic(problem=first_times(2, RuntimeError("odd"))))
    (trial,) = ledger.results().trials
    assert (trial.outcome, trial.attempts, trial.message) == (Outcome.FINISHED, 3, "")
    assert trial.epochs == make_epochs(trial.options)
    failed = [attempt for attempt in ledger.attempts() if attempt.state == State.FAILED]
    assert [attempt.message for attempt in failed] == ["RuntimeError: odd"] * 2
    assert "raise error\nRuntimeError: odd" in failed[0].about["traceback"]


def test_an_error_that_stays_is_reported(ledger: Ledger) -> None:
    work(ledger, Arithmetic(problem=first_times(9, TrainingError("the sizes differ"))))
    (trial,) = ledger.results().trials
    assert (trial.outcome, trial.attempts, trial.message) == (Outcome.FAILED, 3, "the sizes differ")


def test_divergence_is_not_tried_again(ledger: Ledger) -> None:
    class Diverging(Arithmetic):
        def run_one(self, options: Options, directory: Path, observer: Observer) -> Ended:
            super().run_one(options, directory, observer)
            return Ended(Outcome.DIVERGED, make_epochs(options, 1), "the loss became nan")

    work(ledger, Diverging())
    (trial,) = ledger.results().trials
    assert (trial.outcome, trial.attempts, trial.message) == (Outcome.DIVERGED, 1, "the loss became nan")
    assert trial.epochs == make_epochs(trial.options, 1)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_stops_the_work_and_counts_as_no_failure(ledger: Ledger, number: int) -> None:
    full = OSError(number, os.strerror(number), "last.safetensors")
    runner = Arithmetic(problem=first_times(1, full))
    with pytest.raises(DiskFull, match=r"last\.safetensors. Nothing is lost: make room and start the same"):
        work(ledger, runner)
    assert [attempt.state for attempt in ledger.attempts()] == [State.INTERRUPTED]
    work(ledger, runner)
    (trial,) = ledger.results().trials
    assert (trial.outcome, trial.attempts) == (Outcome.FINISHED, 2)


def test_ctrl_c_hands_the_trial_back(ledger: Ledger) -> None:
    with pytest.raises(KeyboardInterrupt):
        work(ledger, Arithmetic(problem=first_times(1, KeyboardInterrupt())))
    (attempt,) = ledger.attempts()
    assert (attempt.state, attempt.message) == (State.INTERRUPTED, "stopped")
    assert attempt.epochs == make_epochs(next(ONE.points()))[:1]
    claim = ledger.claim()
    assert claim is not None  # and its folder is free


def test_who_was_given_up_for_dead_stops_and_goes_on(ledger: Ledger) -> None:
    """The signs of life come back with the news; one second apart here."""
    known = threading.Event()

    class Superseded(Arithmetic):
        def run_one(self, options: Options, directory: Path, observer: Observer) -> Ended:
            if not known.is_set():
                (attempt,) = ledger.attempts()
                ledger._end(attempt.trial_id, State.INTERRUPTED, "silent")
                known.set()
                while True:
                    observer.step()
            return super().run_one(options, directory, observer)

    work(ledger, Superseded())
    (trial,) = ledger.results().trials
    assert (trial.outcome, trial.attempts) == (Outcome.FINISHED, 2)


def test_signs_of_life_go_on_until_the_end_is_written(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the storage is away; a heartbeat is 1 s here."""
    end, beat, beaten = ledger.end, ledger.beat, threading.Event()

    def beat_and_tell(claim: Claim) -> bool:
        beaten.set()
        return beat(claim)

    def end_after_a_beat(*given: Any, **named: Any) -> None:
        beaten.clear()
        assert beaten.wait(30)
        end(*given, **named)

    monkeypatch.setattr(ledger, "beat", beat_and_tell)
    monkeypatch.setattr(ledger, "end", end_after_a_beat)
    work(ledger, Arithmetic())
    assert ledger.results().trials[0].attempts == 1


def test_a_changed_cell_stops_the_work_and_counts_as_no_failure(ledger: Ledger) -> None:
    class Declared(Arithmetic):
        cell_sha256 = "aa"

        def run_one(self, options: Options, directory: Path, observer: Observer) -> Ended:
            observer.begin({"cell_sha256": self.cell_sha256})
            return super().run_one(options, directory, observer)

    runner = Declared(problem=first_times(1, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        work(ledger, runner)
    runner.cell_sha256 = "bb"
    with pytest.raises(CellChanged, match="the cell 'gru'"):
        work(ledger, runner)
    assert [attempt.state for attempt in ledger.attempts()] == [State.INTERRUPTED] * 2
    runner.cell_sha256 = "aa"
    work(ledger, runner)
    assert ledger.complete()


def test_the_check_can_end_it(ledger: Ledger) -> None:
    steps: list[None] = []

    def check() -> None:
        steps.append(None)
        if len(steps) == 3:  # before the trial, and at its first two steps
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            work(ledger, Arithmetic(), check=check)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(ledger.attempts()[0].epochs) == 1
    work(ledger, Arithmetic())
    assert ledger.complete()


def test_trials_that_differ_in_seed_and_rate_alone_go_together(tmp_path: Path, empty_database: Path) -> None:
    """Three at a time of the four of a cell, then the one that is left; the other cell apart."""
    shutil.copy(empty_database, tmp_path / "study.db")
    teams: list[list[tuple[object, ...]]] = []

    class Team(Arithmetic):
        def run(self, assignments: Sequence[Assignment]) -> list[Ended]:
            teams.append([tuple(each.options.values()) for each in assignments])
            return super().run(assignments)

    with make_plan(tmp_path, Arithmetic).storage() as storage:
        ledger = make_plan(tmp_path, Arithmetic).ledger(storage)
        work(ledger, Team(beside=3))
        trials = ledger.results().trials
    assert [len(team) for team in teams] == [3, 3, 1, 1]
    assert all(len({options[0] for options in team}) == 1 for team in teams)
    done = [options for team in teams for options in team]
    assert sorted(done) == sorted(tuple(trial.options.values()) for trial in trials)
    assert [trial.epochs for trial in trials] == [make_epochs(trial.options) for trial in trials]


def test_who_fails_among_others_fails_alone(tmp_path: Path, empty_database: Path) -> None:
    """The four of a cell are trained apart once one of them raised, and the three others finish."""
    shutil.copy(empty_database, tmp_path / "study.db")
    plan = make_plan(tmp_path, Arithmetic, protocol=make_protocol(retries=1))
    teams: list[int] = []

    class Team(Arithmetic):
        def run(self, assignments: Sequence[Assignment]) -> list[Ended]:
            teams.append(len(assignments))
            if len(teams) > 20:
                pytest.fail("the same team, again and again")
            return super().run(assignments)

    def problem(options: Options, directory: Path) -> None:
        if options == {"cell": "vanilla", "learning_rate": 0.001, "seed": 0}:
            raise RuntimeError("odd")

    with plan.storage() as storage:
        ledger = plan.ledger(storage)
        work(ledger, Team(beside=4, problem=problem))
        attempts = ledger.attempts()
        trials = ledger.results().trials
    assert sorted(teams) == [1, 1, 1, 1, 1, 4, 4]
    failed = [trial for trial in trials if trial.outcome == Outcome.FAILED]
    assert [(trial.options["learning_rate"], trial.message) for trial in failed] == [
        (0.001, "RuntimeError: odd")
    ]
    assert [trial.outcome for trial in trials].count(Outcome.FINISHED) == 7
    handed_back = [attempt for attempt in attempts if attempt.state == State.INTERRUPTED]
    assert [attempt.message for attempt in handed_back] == ["RuntimeError: odd"] * 4
    assert all("RuntimeError: odd" in attempt.about["traceback"] for attempt in handed_back)
