"""Two workers on a PostgreSQL server, one of them killed, and the server stopped and started under them.

Skipped unless CELLWRIGHT_POSTGRES_URL names a server: `make test-postgres` starts one. The server is stopped
under them if CELLWRIGHT_POSTGRES_CONTROL, the beginning of a `pg_ctl` command line, is set as well.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from codegen.errors import DataError
from codegen.study.attempts import State
from codegen.study.pool import Plan
from codegen.study.results import Outcome
from codegen.study.worker import work
from tests.codegen.study.harness import assert_whole, finish, kill, start, undisturbed_results, write_data
from tests.codegen.study.trials import Arithmetic, make_plan, make_protocol, make_tiny_plan, opened

URL = os.environ.get("CELLWRIGHT_POSTGRES_URL", "")
CONTROL = shlex.split(os.environ.get("CELLWRIGHT_POSTGRES_CONTROL", ""))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not URL, reason="needs a PostgreSQL server: make test-postgres starts one"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, data: Path) -> list[object]:
    return undisturbed_results(make_tiny_plan(tmp_path_factory.mktemp("undisturbed"), data))


def make_shared_plan(directory: Path, data: Path) -> Plan:
    """A study of its own on the server."""
    plan = make_tiny_plan(directory, data, URL)
    return replace(plan, protocol=replace(plan.protocol, name=f"tiny-{uuid.uuid4()}"))


def wait_for_epochs(plan: Plan, count: int) -> None:
    with plan.storage() as storage:
        ledger = plan.ledger(storage)
        while sum(len(one.counted.epochs) for one in ledger.standings().values() if one.counted) < count:
            time.sleep(0.1)


def test_one_of_two_workers_is_killed(tmp_path: Path, data: Path, undisturbed: list[object]) -> None:
    plan = make_shared_plan(tmp_path, data)
    workers = [start(plan), start(plan)]
    wait_for_epochs(plan, 1)
    assert kill(workers[0])
    workers[0] = start(plan)
    finish(workers)
    assert_whole(plan, undisturbed)


def test_the_dead_of_another_machine_are_known_by_their_silence(
    tmp_path: Path, data: Path, undisturbed: list[object]
) -> None:
    """Another folder is another machine: neither checkpoints nor locks are shared."""
    here = make_shared_plan(tmp_path / "here", data)
    there = replace(here, directory=tmp_path / "there")
    worker = start(there)
    wait_for_epochs(there, 1)
    assert kill(worker)
    finish([start(here)])
    assert_whole(here, undisturbed, shared_folder=False)


@pytest.mark.skipif(not CONTROL, reason="needs CELLWRIGHT_POSTGRES_CONTROL to stop the server")
def test_the_server_is_stopped_and_started(tmp_path: Path, data: Path, undisturbed: list[object]) -> None:
    plan = make_shared_plan(tmp_path, data)
    workers = [start(plan), start(plan)]
    wait_for_epochs(plan, 1)
    subprocess.run([*CONTROL, "-m", "immediate", "stop"], check=True, stdout=subprocess.DEVNULL)
    time.sleep(4)
    assert all(worker.exitcode is None for worker in workers)
    subprocess.run([*CONTROL, "start"], check=True, stdout=subprocess.DEVNULL)
    finish(workers)
    assert_whole(plan, undisturbed)


def test_other_data_are_refused(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, Arithmetic, URL, protocol=make_protocol(name=f"data-{uuid.uuid4()}"))
    storage, ledger = opened(plan)
    with storage:
        work(ledger, Arithmetic())
        assert all(one.outcome == Outcome.FINISHED for one in ledger.standings().values())
        assert {attempt.state for attempt in ledger.attempts()} == {State.FINISHED}
        with pytest.raises(DataError, match=r"the data here \(SHA-256 6b…\) are not those"):
            work(ledger, Arithmetic(data_sha256="6b"))
