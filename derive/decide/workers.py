"""Solver processes: kept while they answer in time, killed when they do not.

A process of its own costs a tenth of a second to start, once, and nothing can keep it from being stopped.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Generator, Sequence

from derive.decide import engines

_GRACE = 0.1  # seconds that a solver may run past its own limit

_idle: dict[str, list[Worker]] = {}
_foreign: list[Worker] = []  # kept, so that nobody closes them


class Worker:
    """A process that answers for one engine."""

    def __init__(self, engine: str) -> None:
        self.engine, self.ready = engine, False
        # -P keeps this directory off the module path
        self.process = subprocess.Popen(
            [sys.executable, "-P", engines.__file__, engine],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        self.received = b""

    def prepare(self) -> None:
        """Wait until the solver is loaded."""
        while not self.ready:
            self.ready = self.receive() is not None

    def send(self, ask: str, text: str, milliseconds: int) -> None:
        self.received = b""
        question = json.dumps({"ask": ask, "text": text, "milliseconds": milliseconds})
        with contextlib.suppress(BrokenPipeError):  # a process that has ended says so to the next receive()
            if self.process.stdin is not None:
                self.process.stdin.write(question.encode() + b"\n")

    def fileno(self) -> int:
        return -1 if self.process.stdout is None else self.process.stdout.fileno()

    def receive(self) -> engines.Answer | None:
        """The answer, if what can be read now completes it."""
        chunk = os.read(self.fileno(), 1 << 16)
        if not chunk:
            self.process.kill()
            status = self.process.wait()
            return {"result": "unknown", "reason": f"{self.engine}: its process ended with status {status}"}
        self.received += chunk
        if not self.received.endswith(b"\n"):
            return None
        answer: engines.Answer = json.loads(self.received)
        return answer

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()

    def lives(self) -> bool:
        return self.process.poll() is None


def _borrow(engine: str) -> Worker:
    while waiting := _idle.get(engine):
        worker = waiting.pop()
        if worker.lives():
            return worker
        worker.stop()
    return Worker(engine)


def _give_back(worker: Worker) -> None:
    waiting = _idle.setdefault(worker.engine, [])
    if worker.lives() and not waiting:
        waiting.append(worker)
    else:
        worker.stop()


@atexit.register
def stop_idle() -> None:
    """Stop the processes that wait for the next question."""
    for waiting in _idle.values():
        while waiting:
            waiting.pop().stop()


def _disown() -> None:
    """After a fork: the processes belong to the parent, who goes on using them."""
    _foreign.extend(worker for waiting in _idle.values() for worker in waiting)
    _idle.clear()


os.register_at_fork(after_in_child=_disown)


def race(
    asks: Sequence[str], text: str, seconds: float
) -> Generator[tuple[str, engines.Answer], str | None, None]:
    """Ask all at once and yield answers as they come; who does not answer in time is stopped.

    Send the name of an engine to drop its other tactics.
    """
    running = {ask: _borrow(ask.partition(":")[0]) for ask in asks}
    try:
        for worker in running.values():  # all have started; loading counts for none
            worker.prepare()
        start = time.monotonic()
        with selectors.DefaultSelector() as selector:
            for ask, worker in running.items():
                worker.send(ask, text, max(1, int(1000 * seconds)))
                selector.register(worker, selectors.EVENT_READ, ask)
            while running and (left := start + seconds + _GRACE - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    ask = key.data
                    if ask not in running:
                        continue
                    answer = running[ask].receive()
                    if answer is None:
                        continue
                    selector.unregister(running[ask])
                    _give_back(running.pop(ask))
                    done = yield ask, answer
                    for other in [a for a in running if done is not None and a.partition(":")[0] == done]:
                        selector.unregister(running[other])
                        running.pop(other).stop()
        for ask in running:
            yield (
                ask,
                {"result": "unknown", "reason": f"{ask.replace(':', ' ')}: stopped after {seconds:.1f} s"},
            )
    finally:
        for worker in running.values():
            worker.stop()
