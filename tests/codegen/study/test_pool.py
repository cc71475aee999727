"""The parent of a study's workers: it replaces the dead, gives up on a row of them, and stops in order."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from codegen.study.attempts import State
from codegen.study.pool import Plan, Pool, WorkersDie
from codegen.study.progress import View
from codegen.study.protocol import Options
from codegen.study.results import Outcome
from tests.codegen.study.trials import Arithmetic, make_plan, make_protocol, results_of

ONE = make_protocol(grid={"cell": ("gru",), "learning_rate": (0.01,), "seed": (0,)})
FORKED = multiprocessing.get_context("forkserver")

pytestmark = pytest.mark.slow


def die(options: Options, directory: Path) -> None:
    """As out of memory; only the first time in each folder."""
    if (directory / "runs").read_text() == "begun\n":
        os.kill(os.getpid(), signal.SIGKILL)


class Deadly(Arithmetic):
    """Dies before its first epoch, every time."""

    def run(self, *arguments: object) -> object:  # type: ignore[override]
        os.kill(os.getpid(), signal.SIGKILL)
        return None


def run_pool(plan: Plan) -> None:
    sys.exit(Pool(plan, 1, context=FORKED).run(lambda view: None))


def test_the_dead_are_replaced(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, partial(Arithmetic, problem=die), protocol=ONE)
    seen: list[View] = []
    assert Pool(plan, 2, context=FORKED).run(seen.append) == 0
    assert (seen[-1].trials, seen[-1].finished, seen[-1].running) == (1, 1, ())
    (trial,) = results_of(plan).trials
    assert (trial.outcome, trial.attempts) == (Outcome.FINISHED, 2)


def test_a_row_of_deaths_ends_it(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, Deadly, protocol=ONE)
    with pytest.raises(WorkersDie, match=r"5 workers ended by SIGKILL with no epoch done .* fewer --workers"):
        Pool(plan, 1, context=FORKED).run(lambda view: None)


def test_a_worker_that_cannot_go_on_ends_it_with_its_own_words(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, partial(Arithmetic, data_sha256="aa"), protocol=ONE)
    with plan.storage() as storage:
        plan.ledger(storage).require_data("bb")
    assert Pool(plan, 1, context=FORKED).run(lambda view: None) == 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_the_end_of_the_parent_is_the_workers(tmp_path: Path, number: int, status: int) -> None:
    """Asked to end, it waits for them; killed, they see to it themselves."""
    plan = make_plan(tmp_path, partial(Arithmetic, seconds=0.3), protocol=ONE)
    parent = FORKED.Process(target=run_pool, args=(plan,))
    parent.start()
    while not list(tmp_path.glob("trials/*/runs")):
        time.sleep(0.01)
    assert parent.pid is not None
    os.kill(parent.pid, number)
    parent.join()
    assert parent.exitcode == status
    with plan.storage() as storage:
        ledger = plan.ledger(storage)
        while (attempts := ledger.attempts())[0].state == State.RUNNING:
            time.sleep(0.05)
    assert [(attempt.state, attempt.message) for attempt in attempts] == [(State.INTERRUPTED, "stopped")]
