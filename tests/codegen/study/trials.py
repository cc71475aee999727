"""Small studies: one whose trials compute a number, and one whose trials train a tiny language model."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import derive
from codegen.study.ledger import Ledger
from codegen.study.pool import Plan
from codegen.study.protocol import Options, Protocol
from codegen.study.results import Epoch, Outcome, Results
from codegen.study.storage import Storage
from codegen.study.worker import Assignment, Ended, Observer

GRID: Mapping[str, tuple[Any, ...]] = {
    "cell": ("vanilla", "gru"),
    "learning_rate": (0.01, 0.001),
    "seed": (0, 1),
}
TINY: Options = {
    "batch_size": 4,
    "bptt": 5,
    "hidden_size": 7,
    "embedding_size": 6,
    "epochs": 2,
    "checkpoint_every": 7,
    "log_every": 1,
    "backend": "eager",
}


def make_protocol(**changes: Any) -> Protocol:
    return Protocol(**{"name": "tiny", "title": "Tiny", "grid": GRID, "training": TINY, **changes})


def make_plan(directory: Path, make_runner: Callable[[], Any], url: str = "", **changes: Any) -> Plan:
    pace = {"heartbeat": 1, "grace": 5, "poll": 0.05}
    url = url or f"sqlite:///{directory}/study.db"
    return Plan(
        **{"protocol": make_protocol(), **pace, "url": url, **changes},
        directory=directory,
        make_runner=make_runner,
    )


def make_epochs(options: Options, count: int = 2) -> tuple[Epoch, ...]:
    """Numbers that only these options have, and that no short decimal holds."""
    loss = float(options["learning_rate"]) / 3 + int(options["seed"]) + len(str(options["cell"])) / 7
    return tuple(
        Epoch(
            n,
            train=loss + 1 / n,
            valid=loss + 0.1 / n,
            valid_sum=81 * loss / n,
            max_state=0.1,
            seconds=1.1 * n,
        )
        for n in range(1, count + 1)
    )


class Arithmetic:
    """A trial that trains nothing. It counts its runs, and can be told to be slow or to raise."""

    def __init__(
        self,
        seconds: float = 0.0,
        problem: Callable[[Options, Path], None] | None = None,
        data_sha256: str | None = "5a",
        beside: int = 1,
    ) -> None:
        self.seconds, self.problem, self.data_sha256 = seconds, problem, data_sha256
        self.beside = beside

    def together(self, options: Options) -> int:
        return self.beside

    def run(self, assignments: Sequence[Assignment]) -> list[Ended]:
        return [self.run_one(each.options, each.directory, each.observer) for each in assignments]

    def run_one(self, options: Options, directory: Path, observer: Observer) -> Ended:
        with (directory / "runs").open("a") as file:
            file.write("begun\n")
        observer.begin({"host": "here"})
        epochs = make_epochs(options)
        for epoch in epochs:
            time.sleep(self.seconds)
            observer.step()
            observer.epoch(epoch)
            if self.problem is not None:
                self.problem(options, directory)
        return Ended(Outcome.FINISHED, epochs)


class Slowly:
    """The runner that `cellwright study` uses, on a small corpus, at some 10 ms a step."""

    def __init__(self, data: str, protocol: Protocol) -> None:
        import torch

        from codegen.study.training_trial import TrainingRunner

        torch.set_num_threads(1)
        self.runner = TrainingRunner(protocol, data, derive.cell)
        self.data_sha256 = self.runner.data_sha256

    def together(self, options: Options) -> int:
        return self.runner.together(options)

    def run(self, assignments: Sequence[Assignment]) -> Sequence[Ended]:
        for assignment in assignments:
            step = assignment.observer.step

            def dawdle(step: Callable[[], None] = step) -> None:
                time.sleep(0.01)
                step()

            assignment.observer.step = dawdle  # type: ignore[method-assign]
        return self.runner.run(assignments)


def make_tiny_plan(directory: Path, data: Path, url: str = "") -> Plan:
    protocol = make_protocol(grid={"cell": ("vanilla", "gru"), "learning_rate": (0.01,), "seed": (0, 1)})
    return make_plan(directory, partial(Slowly, str(data), protocol), url, protocol=protocol)


def results_of(plan: Plan) -> Results:
    with plan.storage() as storage:
        return plan.ledger(storage).results()


def opened(plan: Plan) -> tuple[Storage, Ledger]:
    storage = plan.storage()
    return storage, plan.ledger(storage)


def without_times(results: Results) -> list[Any]:
    """What must be equal however often a study was disturbed: all of a trial but times and attempts."""
    return [
        (
            trial.options,
            trial.outcome,
            [(e.epoch, e.train, e.valid, e.valid_sum, e.max_state, e.measured) for e in trial.epochs],
        )
        for trial in results.trials
    ]
