"""Solver processes: kept while they answer, stopped when they do not, replaced when they died."""

import time
from collections.abc import Iterator

import pytest

from derive.decide import workers
from derive.decide.workers import Worker, race, stop_idle
from tests.derive.decide.problems import PEAK, hopeless, peak

PROOF = peak(PEAK).smtlib()


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    pytest.importorskip("z3")
    pytest.importorskip("cvc5")
    stop_idle()
    yield
    stop_idle()


def test_a_worker_is_used_again() -> None:
    assert list(race(["z3:smt"], PROOF, 5)) == [("z3:smt", {"result": "unsat"})]
    (first,) = workers._idle["z3"]
    assert list(race(["z3:default"], PROOF, 5)) == [("z3:default", {"result": "unsat"})]
    assert workers._idle["z3"] == [first]
    assert first.lives()


def test_who_does_not_stop_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Worker] = []
    original = Worker.send

    def send(worker: Worker, ask: str, text: str, milliseconds: int) -> None:
        started.append(worker)
        original(worker, ask, text, 60_000)  # the solver's own limit does not help

    monkeypatch.setattr(Worker, "send", send)
    asks = ["z3:qfnra-nlsat", "cvc5"]
    list(race(asks, PROOF, 5))  # load both
    start = time.monotonic()
    answers = dict(race(asks, hopeless().smtlib(), 0.3))
    assert time.monotonic() - start < 3
    assert answers["cvc5"] == {"result": "unknown", "reason": "cvc5: stopped after 0.3 s"}
    assert answers["z3:qfnra-nlsat"]["reason"] == "z3 qfnra-nlsat: stopped after 0.3 s"
    assert not any(worker.lives() for worker in started)


def test_losers_are_stopped() -> None:
    asks = ["z3:qfnra-nlsat", "z3:smt", "z3:default", "cvc5"]
    answers = race(asks, PROOF, 5)
    first, answer = next(answers)
    assert answer == {"result": "unsat"}
    engine = first.partition(":")[0]
    try:
        following = [answers.send(engine), *answers]
    except StopIteration:
        following = []
    assert engine not in [ask.partition(":")[0] for ask, _ in following]


def test_closing_early_stops_all() -> None:
    answers = race(["z3:smt", "cvc5"], PROOF, 5)
    next(answers)
    answers.close()
    assert sum(len(waiting) for waiting in workers._idle.values()) == 1


def test_a_dead_worker_is_replaced_or_reported() -> None:
    list(race(["cvc5"], PROOF, 5))
    (worker,) = workers._idle["cvc5"]
    worker.process.kill()
    worker.process.wait()
    assert list(race(["cvc5"], PROOF, 5)) == [("cvc5", {"result": "unsat"})]
    (worker,) = workers._idle["cvc5"]
    worker.process.kill()  # at once, so that it may still look alive
    ((_, answer),) = race(["cvc5"], PROOF, 5)
    assert answer["result"] == "unsat" or "ended with status" in answer["reason"]


def test_a_worker_of_the_parent_is_not_used() -> None:
    list(race(["cvc5"], PROOF, 5))
    (worker,) = workers._idle["cvc5"]
    workers._disown()  # what runs in the child of a fork
    assert not workers._idle
    assert worker.lives()
    workers._foreign.remove(worker)
    worker.stop()
