"""Workers to be killed, and what a study must be like after that."""

from __future__ import annotations

import json
import multiprocessing
import signal
from collections import Counter
from multiprocessing.process import BaseProcess
from pathlib import Path

from codegen.study.attempts import State
from codegen.study.pool import Plan, run_worker
from codegen.study.results import Outcome
from tests.codegen.study.trials import results_of, without_times
from tests.codegen.training.standin import make_files


def start(plan: Plan) -> BaseProcess:
    processes = multiprocessing.get_context("forkserver")
    # Imported once, not once a worker; without effect where another test has started the server before.
    processes.set_forkserver_preload([__name__, "codegen.study.training_trial", "optuna.storages"])
    process = processes.Process(target=run_worker, args=(plan,))
    process.start()
    return process


def finish(workers: list[BaseProcess]) -> None:
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0


def kill(worker: BaseProcess) -> bool:
    """Whether it was still at work."""
    worker.kill()
    worker.join()
    return worker.exitcode == -signal.SIGKILL


def write_data(directory: Path) -> Path:
    for split, text in make_files().items():
        (directory / f"ptb.{split}.txt").write_bytes(text)
    return directory


def undisturbed_results(plan: Plan) -> list[object]:
    finish([start(plan)])
    results = results_of(plan)
    assert all(trial.attempts == 1 for trial in results.trials)
    return without_times(results)


def assert_whole(plan: Plan, undisturbed: list[object], *, shared_folder: bool = True) -> int:
    """Everything is there, once, and nothing is left open; how often a trial was taken up again.

    Args:
        shared_folder: whether all run directories are in the plan's.
    """
    results = results_of(plan)
    assert without_times(results) == undisturbed
    assert all(trial.outcome == Outcome.FINISHED for trial in results.trials)
    with plan.storage() as storage:
        attempts = plan.ledger(storage).attempts()
    assert {attempt.state for attempt in attempts} <= {State.FINISHED, State.INTERRUPTED}
    finished = Counter(attempt.key for attempt in attempts if attempt.state == State.FINISHED)
    assert set(finished.values()) == {1}
    for trial in results.trials if shared_folder else ():
        log = (plan.directory / trial.run_directory / "log.jsonl").read_text().splitlines()
        epochs = [line["epoch"] for line in map(json.loads, log) if line["event"] == "epoch"]
        assert epochs == [1, 2]
    return sum(trial.attempts - 1 for trial in results.trials)
