"""A study's workers on one machine: processes under a parent that watches them and stops them.

A worker is a session of its own, so that Ctrl-C at the terminal is the parent's to answer: it asks the
workers to stop, and each leaves a checkpoint. Workers whose parent is gone stop in the same way.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

from codegen.errors import CodegenError, Stopped
from codegen.study.ledger import Ledger
from codegen.study.progress import View, view
from codegen.study.protocol import Protocol
from codegen.study.storage import GRACE, HEARTBEAT, Storage
from codegen.study.worker import POLL, TrialRunner, work
from derive.errors import DeriveError

_WATCH, _SHOW = 0.2, 2.0  # seconds between two looks at the processes, and at the storage
_DEATHS = 5
INTERRUPTED, TERMINATED = 130, 143  # exit statuses, 128 + the signal


class WorkersDie(Stopped):
    """Workers end without an error of their own, one after the other."""


@dataclass(frozen=True)
class Plan:
    """What a worker is told; it travels to another process.

    Attributes:
        protocol: the study.
        url: of the storage.
        directory: of the study on this machine.
        make_runner: makes what trains a trial, once in each worker.
        heartbeat, grace: see `Storage`.
        poll: see `work`.
    """

    protocol: Protocol
    url: str
    directory: Path
    make_runner: Callable[[], TrialRunner]
    heartbeat: int = HEARTBEAT
    grace: int = GRACE
    poll: float = POLL

    def storage(self) -> Storage:
        """Open the storage."""
        return Storage(self.url, heartbeat=self.heartbeat, grace=self.grace)

    def ledger(self, storage: Storage) -> Ledger:
        """The study's book in it."""
        return Ledger(storage, self.protocol, self.directory)


def run_worker(plan: Plan) -> None:
    """Work in this process until the study is done, SIGTERM comes or its parent is gone; then exit."""
    parent = multiprocessing.parent_process()
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _as_interrupt)

    def check() -> None:
        if parent is not None and not parent.is_alive():
            signal.raise_signal(signal.SIGTERM)

    try:
        with plan.storage() as storage:
            work(plan.ledger(storage), plan.make_runner(), poll=plan.poll, check=check)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except (CodegenError, DeriveError, OSError) as error:
        print(f"cellwright: {error}", file=sys.stderr, flush=True)
        sys.exit(1)


def _as_interrupt(signum: int, frame: FrameType | None) -> None:
    """The first SIGTERM is a Ctrl-C, which a training answers with a checkpoint; then there is no hurry."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.raise_signal(signal.SIGINT)


class Pool:
    """Worker processes.

    Args:
        context: how processes are started.
    """

    def __init__(
        self, plan: Plan, workers: int, *, context: SpawnContext | ForkServerContext | None = None
    ) -> None:
        self.plan, self.workers = plan, workers
        self._context = context or multiprocessing.get_context("spawn")
        self._processes: list[BaseProcess] = []
        self._deaths = 0  # since the last finished epoch
        self._epochs = 0

    def run(self, show: Callable[[View], None]) -> int:
        """Work until the study is done; the exit status: 0, or 1 if a worker could not go on and said why.

        Args:
            show: told every few seconds how far the study is, and once more at the end.

        Raises:
            WorkersDie: again and again, with no epoch done in between.
            KeyboardInterrupt, SystemExit: on Ctrl-C and SIGTERM, once the workers have their checkpoints.
        """
        with self.plan.storage() as storage, _sigterm_exits():
            ledger = self.plan.ledger(storage)
            try:
                self._start(self.workers)
                status = self._watch(ledger, show)
            finally:
                self._stop()
            self._look(ledger, show)
        return status

    def _watch(self, ledger: Ledger, show: Callable[[View], None]) -> int:
        next_look = 0.0
        while self._processes:
            if time.monotonic() >= next_look:
                self._look(ledger, show)
                next_look = time.monotonic() + _SHOW
            time.sleep(_WATCH)
            for process in [process for process in self._processes if process.exitcode is not None]:
                self._processes.remove(process)
                status = process.exitcode
                process.close()
                if status is not None and status > 0:
                    return 1
                if status:
                    self._replace(-status)
        return 0

    def _look(self, ledger: Ledger, show: Callable[[View], None]) -> None:
        def look() -> None:
            found = ledger.look()
            epochs = sum(len(one.counted.epochs) for one in found.values() if one.counted is not None)
            if epochs > self._epochs:
                self._epochs, self._deaths = epochs, 0
            show(view(self.plan.protocol, found, self.workers))

        ledger.storage.attempt(look)

    def _replace(self, signum: int) -> None:
        self._deaths += 1
        if self._deaths >= _DEATHS:
            raise WorkersDie(
                f"{self._deaths} workers ended by {signal.Signals(signum).name} with no epoch done in "
                "between; SIGKILL is what the system does when memory runs out: try fewer --workers"
            )
        self._start(1)

    def _start(self, count: int) -> None:
        # A worker inherits that Ctrl-C is ignored, until it is out of the terminal's reach.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            for _ in range(count):
                process = self._context.Process(target=run_worker, args=(self.plan,))
                process.start()
                self._processes.append(process)
        finally:
            signal.signal(signal.SIGINT, before)

    def _stop(self) -> None:
        """Ask the workers to leave a checkpoint and wait for it; another signal meanwhile kills them."""
        for process in self._processes:
            process.terminate()
        try:
            for process in self._processes:
                process.join()
        except (KeyboardInterrupt, SystemExit):
            for process in self._processes:
                process.kill()
            raise


@contextlib.contextmanager
def _sigterm_exits() -> Iterator[None]:
    """SIGTERM unwinds the stack, as Ctrl-C does."""

    def leave(signum: int, frame: FrameType | None) -> None:
        sys.exit(TERMINATED)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
