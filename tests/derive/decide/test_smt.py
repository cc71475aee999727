"""Verdicts: one for each engine, in time, with the reasons of all that was tried."""

import time
from collections.abc import Generator, Sequence
from contextlib import closing

import pytest

from derive.decide import smt
from derive.decide.engines import Answer
from derive.decide.smt import consult
from tests.derive.decide.problems import PEAK, hopeless, peak


@pytest.fixture
def solvers() -> None:
    pytest.importorskip("z3")
    pytest.importorskip("cvc5")


@pytest.mark.usefixtures("solvers")
def test_both_engines_prove_a_touching_maximum() -> None:
    verdicts = list(consult(peak(PEAK).smtlib(), 10))
    assert [(v.engine, v.result) for v in verdicts] == [("z3", "unsat"), ("cvc5", "unsat")]


@pytest.mark.usefixtures("solvers")
def test_only_the_engines_that_are_asked() -> None:
    (verdict,) = consult(peak(PEAK * 2).smtlib(), 10, ["cvc5"])
    assert (verdict.engine, verdict.result, verdict.how) == ("cvc5", "unsat", "cvc5")


@pytest.mark.usefixtures("solvers")
def test_timeouts_are_unknown_and_in_time() -> None:
    list(consult(peak(PEAK).smtlib(), 10))  # start the processes
    start = time.monotonic()
    verdicts = {v.engine: v for v in consult(hopeless().smtlib(), 1.5)}
    assert time.monotonic() - start < 6
    assert {v.result for v in verdicts.values()} == {"unknown"}
    assert "qfnra-nlsat" in verdicts["z3"].reason
    assert "cvc5" in verdicts["cvc5"].reason


def test_no_time_is_unknown() -> None:
    assert {v.reason for v in consult(peak(PEAK).smtlib(), 0)} == {"z3: no time left", "cvc5: no time left"}


def test_a_faster_tactic_speaks_for_its_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[tuple[str, ...]] = []

    def race(
        asks: Sequence[str], text: str, seconds: float
    ) -> Generator[tuple[str, Answer], str | None, None]:
        rounds.append(tuple(asks))
        for ask in asks:
            known = len(asks) > 1 and ask != "z3:qfnra-nlsat"
            yield ask, {"result": "unsat"} if known else {"result": "unknown", "reason": f"{ask} gave up"}

    monkeypatch.setattr(smt, "race", race)
    verdicts = list(consult("", 100))
    assert rounds == [("z3:qfnra-nlsat",), ("z3:smt",), ("cvc5",), smt.engines.ASKS]
    assert [(v.engine, v.how) for v in verdicts] == [("z3", "z3:smt"), ("cvc5", "cvc5")]


def test_who_has_heard_enough_stops_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []

    def race(
        asks: Sequence[str], text: str, seconds: float
    ) -> Generator[tuple[str, Answer], str | None, None]:
        try:
            for ask in asks:
                yield ask, {"result": "unsat"}
        finally:
            closed.append(True)

    monkeypatch.setattr(smt, "race", race)
    with closing(consult("", 100)) as verdicts:
        assert next(verdicts).engine == "z3"
    assert closed == [True]
