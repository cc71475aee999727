"""Vertices: the extreme of a multi-affine polynomial, and no word about others."""

from fractions import Fraction

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from sympy import oo

from derive.decide import Problem
from derive.decide.vertices import Vertices, vertices

x, y, z = sympy.symbols("x y z")


def test_a_gate_mixes_two_bounded_values() -> None:
    problem = Problem.of({z: (0, 1), x: (-1, 1), y: (-1, 1)}, z * x + (1 - z) * y <= 1)
    assert vertices(problem) == Vertices(Fraction(0), (Fraction(0), Fraction(-1), Fraction(1)), 8)


def test_variables_outside_the_conclusion_do_not_count() -> None:
    found = vertices(Problem.of({z: (0, 1), x: (5, oo)}, z >= 0))
    assert found == Vertices(Fraction(0), (Fraction(0), Fraction(5)), 2)


def test_equality_looks_at_the_farthest_value() -> None:
    found = vertices(Problem.of({z: (0, 1)}, (z, "==", sympy.Rational(1, 3))))
    assert found == Vertices(Fraction(2, 3), (Fraction(1),), 2)


@pytest.mark.parametrize(
    "problem",
    [
        Problem.of({z: (0, 1)}, z**2 >= 0),
        Problem.of({z: (0, oo)}, z >= 0),
        Problem.of(dict.fromkeys(sympy.symbols("x:13"), (0, 1)), sum(sympy.symbols("x:13")) >= 0),
    ],
)
def test_what_vertices_do_not_decide(problem: Problem) -> None:
    assert vertices(problem) is None


@given(st.lists(st.integers(-5, 5), min_size=8, max_size=8), st.tuples(*[st.fractions(0, 1)] * 3))
def test_the_least_value_is_below_all_others(coefficients: list[int], at: tuple[Fraction, ...]) -> None:
    monomials = [1, x, y, z, x * y, x * z, y * z, x * y * z]
    expr = sum(c * m for c, m in zip(coefficients, monomials, strict=True))
    problem = Problem.of({x: (0, 1), y: (0, 1), z: (0, 1)}, (expr, ">=", 0))
    found = vertices(problem)
    assert found is not None
    assert found.value == problem.conclusion.value(found.at) <= problem.conclusion.value(at)
