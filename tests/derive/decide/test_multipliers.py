"""Multipliers: symbolic norms without a solver, and never a proof of what is false."""

from fractions import Fraction

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Eq, Rational, oo

from derive.decide import Problem
from derive.decide.multipliers import Multiplier, multipliers, remainder
from derive.decide.points import candidates, refuting
from tests.derive.decide.problems import a, b, c, gru_norms, peak, s, w, z


def test_the_gru_contracts_under_a_condition_on_its_norms() -> None:
    found = multipliers(gru_norms(a + c / 4 + 2 * b))
    assert found is not None
    assert (found.hypothesis, found.factors, found.scale) == (0, ((0, 1),), 1)  # (1 − z) times the condition
    assert set(found.covers) == {"1", "a**1", "b**1", "c**1"}


def test_a_weaker_condition_is_not_enough() -> None:
    assert multipliers(gru_norms(a + c / 4 + b / 2)) is None


def test_without_a_hypothesis_all_coefficients_must_be_positive() -> None:
    found = multipliers(Problem.of({z: (0, 1), a: (0, oo)}, z + (1 - z) * a <= 1 + a))
    assert found == Multiplier(None, (), Fraction(0), {"1": ((),), "a**1": ((),)})


def test_norms_count_from_their_finite_ends() -> None:
    assert multipliers(Problem.of({z: (0, 1), a: (2, oo)}, a**2 * z >= 4 * z)) is not None
    assert multipliers(Problem.of({z: (0, 1), a: (2, oo)}, a**2 > 4)) is None  # equal at the end
    assert multipliers(Problem.of({z: (0, 1), a: (-oo, -2)}, a**2 * z >= 4 * z)) is not None
    assert multipliers(Problem.of({z: (0, 1), a: (-oo, 3)}, a**2 >= 9)) is None


def test_the_remainder_is_what_is_left() -> None:
    problem = Problem.of({z: (0, 1), a: (0, oo)}, z + (1 - z) * a <= 1, [a <= 1])
    parts = remainder(problem, 0, [(0, 1)], Fraction(1))  # (1 − z)(1 − a) − (1 − z)(1 − a)
    assert parts == {"1": ([], False)}


@pytest.mark.parametrize(
    "problem",
    [
        Problem.of({z: (0, 1), s: (-oo, oo)}, s**2 >= 0),  # a line without an end
        Problem.of({z: (0, 1)}, (z, "==", z)),
        Problem.of({w: (0, oo)}, w < 2, [Eq(w**2, 3)]),
        peak(Rational(4, 27)),
    ],
)
def test_what_is_left_to_others(problem: Problem) -> None:
    assert multipliers(problem) is None


coefficients = st.lists(st.integers(-2, 2), min_size=6, max_size=6)


@given(coefficients, coefficients, st.sampled_from([">=", ">"]))
@settings(deadline=None, max_examples=60)
def test_what_it_proves_has_no_counterexample(p: list[int], h: list[int], op: str) -> None:
    monomials = [sympy.Integer(1), z, a, a * z, a**2, z**2]
    conclusion, hypothesis = (sum(k * m for k, m in zip(ks, monomials, strict=True)) for ks in (p, h))
    problem = Problem.of({z: (0, 1), a: (0, oo)}, (conclusion, op, 0), [(hypothesis, ">=", 0)])
    if multipliers(problem) is not None:
        assert refuting(problem, candidates(problem)) is None
