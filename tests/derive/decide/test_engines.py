"""The solvers answer in plain data, or say what is missing."""

import sys
from fractions import Fraction

import pytest
from sympy import Eq, Rational, oo

from derive.decide import Problem
from derive.decide.engines import ASKS, ask
from tests.derive.decide.problems import PEAK, peak, w, z

Z3 = [whom for whom in ASKS if whom != "cvc5"]


@pytest.fixture(autouse=True)
def installed() -> None:
    pytest.importorskip("z3")
    pytest.importorskip("cvc5")


@pytest.mark.parametrize("whom", ASKS)
def test_a_touching_maximum_is_proved(whom: str) -> None:
    assert ask(whom, peak(PEAK).smtlib(), 5000) == {"result": "unsat"}


@pytest.mark.parametrize("whom", ASKS)
def test_models_are_exact(whom: str) -> None:
    problem = peak(PEAK * Rational(98, 100))
    answer = ask(whom, problem.smtlib(), 5000)
    low, high = answer["model"]["z"]
    assert answer["result"] == "sat"
    assert low == high
    assert not problem.holds_at({"z": low})


@pytest.mark.parametrize("whom", ASKS)
def test_irrational_models_are_enclosed(whom: str) -> None:
    problem = Problem.of({w: (0, oo), z: (0, 1)}, w + z < 1, [Eq(w**2, 3)])
    low, high = (Fraction(end) for end in ask(whom, problem.smtlib(), 5000)["model"]["w"])
    ends = sorted((low, high))
    assert ends[0] ** 2 < 3 < ends[1] ** 2
    assert ends[1] - ends[0] < Fraction(1, 1000)


@pytest.mark.parametrize("whom", ASKS)
def test_nonsense_is_unknown_with_the_reason(whom: str) -> None:
    answer = ask(whom, "(assert (> undeclared 0.0))", 1000)
    assert answer["result"] == "unknown"
    assert "undeclared" in answer["reason"]


@pytest.mark.parametrize("whom", ASKS)
def test_a_missing_solver_says_so(whom: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = whom.partition(":")[0]
    monkeypatch.setitem(sys.modules, package, None)
    answer = ask(whom, peak(PEAK).smtlib(), 1000)
    assert answer["result"] == "missing"
    assert answer["reason"] == f"{package} is not installed (pip install cellwright[proofs])"
