"""Problems: exact at every point, the same after a round trip, and scripts that the solvers read."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import sympy
from sympy import Eq, Rational, oo

from derive.decide import NotPolynomial, Problem
from derive.decide.engines import ASKS, ask

z, w, s = sympy.symbols("z w s")

TOUCHING = Problem.of({z: (0, 1)}, z**2 * (1 - z) <= Rational(4, 27))
ROOT = Problem.of({z: (0, 1), w: (0, oo)}, 2 * w * z <= 4, [Eq(w**2, 3), z > Rational(-1, 2)])

SCRIPT = """\
; unsat: on this box and under these hypotheses, the conclusion holds
(set-logic QF_NRA)
(declare-const z Real)
(declare-const w Real)
(assert (>= z 0.0))
(assert (<= z 1.0))
(assert (>= w 0.0))
(assert (= (+ (* w w) (- 3.0)) 0.0))
(assert (> (+ z (/ 1.0 2.0)) 0.0))
; not the conclusion
(assert (not (>= (+ (* (- 2.0) z w) 4.0) 0.0)))
(check-sat)
"""


def test_the_script_is_fixed() -> None:
    assert ROOT.smtlib() == SCRIPT


@pytest.mark.parametrize("problem", [TOUCHING, ROOT])
def test_json_is_plain_and_comes_back(problem: Problem) -> None:
    data = problem.to_json()
    assert Problem.from_json(data) == problem
    assert Problem.from_json(data).smtlib() == problem.smtlib()
    assert data["variables"][-1][2] in ("1", "oo")


def test_str_shows_the_whole_question() -> None:
    assert str(TOUCHING) == "z in [0, 1] ⊢ z**3 - z**2 + 4/27 >= 0"
    assert str(ROOT).startswith("z in [0, 1], w in [0, oo], w**2 - 3 == 0, z + 1/2 > 0 ⊢")


def test_holds_at_is_exact() -> None:
    assert TOUCHING.holds_at({"z": Fraction(2, 3)})
    lower = Problem.of({z: (0, 1)}, z**2 * (1 - z) <= Rational(4, 27) - Rational(1, 10**30))
    assert not lower.holds_at({"z": "2/3"})
    assert lower.holds_at({"z": 2})  # outside the box
    false = Problem.of({z: (0, 1)}, z <= 0, [z <= Rational(1, 2)])
    assert false.holds_at({"z": 1})  # violates the hypothesis
    assert not false.holds_at({"z": Rational(1, 2)})
    with pytest.raises(ValueError, match="has no value for z"):
        false.holds_at({"s": 1})


def test_assumptions_of_symbols_do_not_decide() -> None:
    positive = sympy.Symbol("a", nonnegative=True)
    problem = Problem.of({positive: (-1, 1)}, (positive, ">=", 0))
    assert not problem.holds_at({"a": -1})
    assert problem.relation((positive, ">=", 0)) == problem.conclusion
    assert problem.relation((sympy.Symbol("a"), ">=", 0)) == problem.conclusion


WRONG: list[tuple[Callable[[], Problem], type[Exception], str]] = [
    (lambda: Problem.of({z: (0, 0.5)}, z > 0), NotPolynomial, "bound 0.5 of z is not an exact rational"),
    (lambda: Problem.of({z: (0, sympy.sqrt(2))}, z > 0), NotPolynomial, "bound sqrt.2. of z"),
    (lambda: Problem.of({z: (1, 0)}, z > 0), ValueError, "the interval of z is empty"),
    (
        lambda: Problem.of({z: (0, 1), sympy.Symbol("z", real=True): (0, 1)}, z > 0),
        ValueError,
        "two variables",
    ),
    (lambda: Problem.of({z: (0, 1)}, w > 0), NotPolynomial, "has w, for which there is no interval"),
]


@pytest.mark.parametrize(("make", "error", "problem"), WRONG)
def test_wrong_problems_say_what_is_wrong(make: Callable[[], Problem], error: Any, problem: str) -> None:
    with pytest.raises(error, match=problem):
        make()


def test_json_with_other_variables_is_refused() -> None:
    data = TOUCHING.to_json()
    data["conclusion"]["terms"][0][1] = {"q": 3}
    with pytest.raises(NotPolynomial, match="'q'"):
        Problem.from_json(data)
    data = TOUCHING.to_json()
    data["conclusion"]["op"] = "!="
    with pytest.raises(NotPolynomial, match="'!=' is none of"):
        Problem.from_json(data)


ODD = [
    "pi",
    "e",
    "max",
    "and",
    "s_tilde",
    "‖W‖",
    "\\sigma",
    "v1",
    "a|b",
    "_x",
    "W.T",
    "let",
    "real",
    "sup norm",
]


@pytest.mark.parametrize("whom", ASKS)
def test_every_solver_reads_every_name(whom: str) -> None:
    symbols = sympy.symbols([name.replace(" ", r"\ ") for name in ODD])
    problem = Problem.of(dict.fromkeys(symbols, (0, 1)), sum(symbols) <= len(symbols))
    names = problem.smt_names()
    assert len(set(names)) == len(ODD)
    assert "; v5 is ‖W‖" in problem.smtlib()
    answer = ask(whom, problem.smtlib(), 5000)
    assert answer["result"] in ("unsat", "missing")
