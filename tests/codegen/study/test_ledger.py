"""Claims: every trial is trained once, the dead are seen, and results are kept."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from codegen.errors import ConfigError, DataError
from codegen.study.attempts import State
from codegen.study.ledger import CellChanged, Ledger
from codegen.study.places import RunLock, run_name
from codegen.study.pool import Plan
from codegen.study.protocol import trial_key
from codegen.study.results import Outcome
from codegen.study.storage import Storage
from tests.codegen.study.harness import finish, kill, start
from tests.codegen.study.trials import Arithmetic, make_epochs, make_plan, make_protocol, results_of

SHORT = make_protocol(grid={"cell": ("gru",), "learning_rate": (0.01,), "seed": (0, 1)})


@pytest.fixture
def plan(tmp_path: Path, empty_database: Path) -> Plan:
    shutil.copy(empty_database, tmp_path / "study.db")
    return make_plan(tmp_path, Arithmetic, protocol=SHORT)


@pytest.fixture
def storage(plan: Plan) -> Iterator[Storage]:
    with plan.storage() as storage:
        yield storage


@pytest.fixture
def ledger(plan: Plan, storage: Storage) -> Ledger:
    return plan.ledger(storage)


def test_a_trial_is_taken_once_and_its_result_kept_exactly(plan: Plan, ledger: Ledger) -> None:
    points = list(SHORT.points())
    first, second = ledger.claim(), plan.ledger(ledger.storage).claim()
    assert first is not None
    assert second is not None
    assert [first.options, second.options] == points
    assert ledger.claim() is None
    assert not ledger.complete()
    epochs = make_epochs(points[0])
    ledger.begin(first, {"torch": "2"})
    ledger.epochs(first, epochs[:1])
    ledger.end(first, State.FINISHED, epochs=epochs)
    ledger.end(second, State.DIVERGED, "too high a rate", epochs[:1])
    assert ledger.complete()
    trials = ledger.results().trials
    assert [trial.outcome for trial in trials] == [Outcome.FINISHED, Outcome.DIVERGED]
    assert (trials[0].epochs, trials[0].about, trials[0].message) == (epochs, {"torch": "2"}, "")
    assert (trials[1].epochs, trials[1].message) == (epochs[:1], "too high a rate")
    assert trials[0].run_directory == run_name(points[0])


def test_optuna_sees_the_study(ledger: Ledger) -> None:
    claim = ledger.claim()
    assert claim is not None
    epochs = make_epochs(claim.options)
    ledger.epochs(claim, epochs)
    ledger.end(claim, State.FINISHED, epochs=epochs)
    trial, waiting = ledger.storage.optuna.get_all_trials(1)
    assert trial.params == {"learning_rate": 0.01, "seed": 0}
    assert trial.user_attrs["cell"] == "gru"
    assert trial.value == min(epoch.valid_sum for epoch in epochs)
    assert waiting.state.name == "WAITING"


def test_a_dead_worker_is_seen_by_its_lock(ledger: Ledger) -> None:
    claim, other = ledger.claim(), ledger.claim()
    assert claim is not None
    assert other is not None
    ledger.epochs(claim, make_epochs(claim.options)[:1])
    assert ledger.claim() is None
    claim.lock.release()  # as the kernel does
    again = ledger.claim()
    assert again is not None
    assert (again.options, again.number) == (claim.options, 2)
    assert again.epochs == make_epochs(claim.options)[:1]
    assert not ledger.beat(claim)
    assert ledger.beat(again)
    ledger.end(claim, State.FINISHED, epochs=make_epochs(claim.options))  # it lived, after all
    assert ledger.standings()[trial_key(claim.options)].outcome == Outcome.UNFINISHED
    ledger.end(again, State.FINISHED, epochs=make_epochs(claim.options))
    states = Counter(a.state for a in ledger.attempts() if a.key == trial_key(claim.options))
    assert states == {State.FINISHED: 1, State.INTERRUPTED: 1}


def test_who_was_given_up_but_lives_keeps_its_folder(ledger: Ledger) -> None:
    claim = ledger.claim()
    assert claim is not None
    ledger._end(claim.trial_id, State.INTERRUPTED, "silent")  # by somebody on another machine
    taken = ledger.claim()
    assert taken is not None
    assert taken.options != claim.options
    assert ledger.claim() is None
    claim.lock.release()
    back = ledger.claim()
    assert back is not None
    assert back.options == claim.options


def silence(storage: Storage) -> None:
    """As if no trial had given a sign of life for years."""
    with storage.optuna.engine.begin() as connection:
        connection.execute(text("UPDATE trial_heartbeats SET heartbeat = '2000-01-01 00:00:00'"))


def test_the_lock_alone_tells_who_is_dead_on_this_machine(
    plan: Plan, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silence is for those of other machines; another folder is another machine."""
    there = Ledger(ledger.storage, SHORT, plan.directory / "there")
    ours, theirs = ledger.claim(), there.claim()
    assert ours is not None
    assert theirs is not None
    silence(ledger.storage)
    monkeypatch.setattr(ledger.storage, "_listening_since", 0.0)
    again = ledger.claim()
    assert again is not None
    assert again.options == theirs.options
    assert ledger.beat(ours)
    assert not there.beat(theirs)


def test_nobody_is_called_silent_after_an_outage(
    plan: Plan, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a heartbeat of 1 s and a grace of 5: five seconds of answers, none 2 s after the last."""
    there = Ledger(ledger.storage, SHORT, plan.directory / "there")
    taken = [there.claim(), there.claim()]
    silence(ledger.storage)
    start = time.time()

    def look(seconds: float) -> bool:
        monkeypatch.setattr(time, "time", lambda: start + seconds)
        return ledger.claim() is not None

    assert all(taken)
    assert [look(t) for t in (10, 11.9, 13.8, 14.9)] == [False] * 4  # we were away for ten seconds
    assert [look(t) for t in (17, 18.9, 20.8, 21.9)] == [False] * 4  # and again for two
    assert look(22.1)


def test_a_claim_is_let_go_if_the_server_goes(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock on the study is left by a commit, after the attempt is taken."""
    exclusive, failures = Storage.exclusive, [OperationalError("COMMIT", {}, Exception("database is locked"))]

    @contextlib.contextmanager
    def breaking(self: Storage, name: str) -> Iterator[None]:
        with exclusive(self, name):
            yield
        if failures:
            raise failures.pop()

    monkeypatch.setattr(Storage, "exclusive", breaking)
    claims = [ledger.claim(), ledger.claim()]
    assert not failures
    assert [claim is not None and claim.options for claim in claims] == list(SHORT.points())


def test_attempts_that_two_machines_made_at_once_are_tidied(ledger: Ledger) -> None:
    ledger._give_up_the_dead()
    ledger._make_attempts(ledger.look())
    for key in ledger.look():
        ledger._make(key, None)  # as if the other had not seen ours
    claims = [ledger.claim(), ledger.claim(), ledger.claim()]
    assert [claim is not None and claim.number for claim in claims] == [0, 1, False]
    states = [attempt.state for attempt in ledger.attempts()]
    assert states == [State.RUNNING, State.RUNNING, State.SUPERFLUOUS, State.SUPERFLUOUS]


def test_failures_are_retried_and_then_final_until_asked_for(plan: Plan, storage: Storage) -> None:
    protocol = replace(SHORT, retries=1, grid={**SHORT.grid, "seed": (0,)})
    ledger = Ledger(storage, protocol, plan.directory)
    for number in (0, 1):
        claim = ledger.claim()
        assert claim is not None
        ledger.end(claim, State.FAILED, f"error {number}")
        claim.lock.release()
    assert ledger.claim() is None
    (trial,) = ledger.results().trials
    assert (trial.outcome, trial.message, trial.attempts) == (Outcome.FAILED, "error 1", 2)
    assert ledger.retry_failed() == 1
    assert ledger.retry_failed() == 0
    assert ledger.claim() is not None


def test_a_study_can_grow_but_not_change(plan: Plan, ledger: Ledger) -> None:
    claim = ledger.claim()
    assert claim is not None
    more = replace(SHORT, grid={"cell": ("gru", "lstm"), "learning_rate": (0.01, 1.0), "seed": (0, 1)})
    grown = Ledger(ledger.storage, more, plan.directory)
    found = [grown.claim() for _ in range(8)]
    assert len({trial_key(claim.options) for claim in found if claim is not None}) == 7
    with pytest.raises(ConfigError, match=r"has another study 'tiny': grid\.cell had 'lstm' as well; grid"):
        Ledger(ledger.storage, SHORT, plan.directory)
    changed = replace(more, training={**more.training, "epochs": 9})
    with pytest.raises(ConfigError, match=r"training\.epochs was 2 and is now 9\. .* another name"):
        Ledger(ledger.storage, changed, plan.directory)
    Ledger(ledger.storage, replace(changed, name="another"), plan.directory)


def test_all_train_on_the_same_text(ledger: Ledger) -> None:
    ledger.require_data(None)
    ledger.require_data("aa")
    ledger.require_data("aa")
    with pytest.raises(DataError, match=r"the data here .*bb.* are not those .*aa"):
        ledger.require_data("bb")


def test_a_cell_keeps_its_equations(plan: Plan, ledger: Ledger) -> None:
    first, second = ledger.claim(), ledger.claim()
    assert first is not None
    assert second is not None
    ledger.begin(first, {"cell_sha256": "aa"})
    ledger.begin(second, {"cell_sha256": "aa"})
    with pytest.raises(
        CellChanged, match=r"other equations of the cell 'gru' \(SHA-256 aa.*bb.* another name"
    ):
        ledger.begin(second, {"cell_sha256": "bb"})
    assert [attempt.about["cell_sha256"] for attempt in ledger.attempts()] == ["aa", "aa"]
    grown = Ledger(
        ledger.storage, replace(SHORT, grid={**SHORT.grid, "cell": ("gru", "lstm")}), plan.directory
    )
    other = grown.claim()
    assert other is not None
    grown.begin(other, {"cell_sha256": "bb"})


def test_a_run_lock_is_held_by_one(tmp_path: Path) -> None:
    lock = RunLock.take(tmp_path / "a")
    assert lock is not None
    assert RunLock.take(tmp_path / "a") is None
    assert RunLock.take(tmp_path / "b") is not None
    lock.release()
    assert RunLock.take(tmp_path / "a") is not None


@pytest.mark.slow
def test_processes_share_the_work_and_do_nothing_twice(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, partial(Arithmetic, seconds=0.02))
    finish([start(plan), start(plan), start(plan)])
    results = results_of(plan)
    for trial in results.trials:
        assert trial.outcome == Outcome.FINISHED
        assert trial.epochs == make_epochs(trial.options)
        assert (tmp_path / trial.run_directory / "runs").read_text() == "begun\n"


@pytest.mark.slow
def test_other_machines_see_the_dead_by_their_silence(tmp_path: Path) -> None:
    """Another folder is another machine, as far as locks go."""
    there = make_plan(tmp_path / "there", partial(Arithmetic, seconds=60), protocol=SHORT, grace=3)
    worker = start(there)
    while not list(tmp_path.glob("there/trials/*/runs")):
        assert worker.is_alive()
    assert kill(worker)
    here = replace(there, directory=tmp_path / "here", make_runner=Arithmetic)
    finish([start(here)])
    trials = results_of(here).trials
    assert [trial.outcome for trial in trials] == [Outcome.FINISHED] * 2
    assert sum(trial.attempts for trial in trials) == 3
