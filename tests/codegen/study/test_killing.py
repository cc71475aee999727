"""A study whose workers are killed at random ends with the very numbers of one that was left alone."""

from __future__ import annotations

import os
import random
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from codegen.study.attempts import State
from codegen.study.pool import Plan
from tests.codegen.study.harness import assert_whole, finish, kill, start, undisturbed_results, write_data
from tests.codegen.study.trials import make_tiny_plan

KILLS = int(os.environ.get("CELLWRIGHT_KILLS", "3"))
WORKERS = 2


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, data: Path) -> list[object]:
    return undisturbed_results(make_tiny_plan(tmp_path_factory.mktemp("undisturbed"), data))


def steps(plan: Plan) -> int:
    """How many lines all trials have logged."""
    return sum(log.read_bytes().count(b"\n") for log in plan.directory.glob("trials/*/log.jsonl"))


def wait(plan: Plan, workers: list[BaseProcess], dice: random.Random) -> None:
    """Any moment, or one while something is trained: opening the storage takes longer than such trials."""
    if dice.random() < 0.2:
        time.sleep(dice.uniform(0, 2))
        return
    seen = steps(plan)
    while steps(plan) < seen + 2 and any(worker.exitcode is None for worker in workers):
        time.sleep(0.001)
    time.sleep(dice.uniform(0, 0.5))


def test_killed_at_random(tmp_path: Path, data: Path, undisturbed: list[object]) -> None:
    """CELLWRIGHT_KILLS says how often; where a study is done before, another one goes on."""
    dice = random.Random()  # anew each time: over time, everywhere
    killed = resumed = studies = 0
    while killed < KILLS:
        plan = make_tiny_plan(tmp_path / str(studies), data)
        workers = [start(plan) for _ in range(WORKERS)]
        while killed < KILLS and any(worker.exitcode is None for worker in workers):
            wait(plan, workers, dice)
            victim = dice.randrange(WORKERS)
            if kill(workers[victim]):
                killed += 1
                workers[victim] = start(plan)
        finish(workers)
        resumed += assert_whole(plan, undisturbed)
        studies += 1
    print(f"{killed} kills, {resumed} trials taken up again, in {studies} studies")


@pytest.mark.slow
def test_sigterm_and_the_parents_death_leave_a_checkpoint(
    tmp_path: Path, data: Path, undisturbed: list[object]
) -> None:
    plan = make_tiny_plan(tmp_path, data)
    worker = start(plan)
    while not list(tmp_path.glob("trials/*/log.jsonl")):
        time.sleep(0.01)
    worker.terminate()
    worker.join()
    assert worker.exitcode == 130
    with plan.storage() as storage:
        (stopped,) = [a for a in plan.ledger(storage).attempts() if a.state == State.INTERRUPTED]
    assert stopped.message == "stopped"
    finish([start(plan)])
    assert assert_whole(plan, undisturbed) == 1
