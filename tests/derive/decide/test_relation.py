"""Relations: what SymPy writes is read exactly, and what is no polynomial is refused by name."""

from fractions import Fraction
from typing import Any

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from sympy import Eq, Ge, Gt, Le, Lt, Rational, sqrt

from derive.decide.relation import NotPolynomial, Relation, read

x, y, w = sympy.symbols("x y w")
NAMES = ("x", "y")

REFUSED: list[tuple[Any, str]] = [
    (sympy.sin(x) > 0, r"sin\(x\) is not a polynomial"),
    (1 / x > y, r"1/x is not a polynomial"),
    (sqrt(x) * y > 0, r"sqrt\(x\) is not a polynomial"),
    (2**x > 0, r"2\*\*x is not a polynomial"),
    (sympy.Abs(x - y) <= 1, r"Abs\(x - y\) is not a polynomial"),
    (sqrt(3) * x > 0, r"sqrt\(3\) is not .*\(give it as a variable w with its defining equation\)"),
    (sympy.pi > x, r"pi is not a polynomial"),
    (0.5 * x > 0, r"0\.5.* is a float; write it as a Rational"),
    (sympy.Ne(x, 0), "the comparison must be >=, >, <=, < or =="),
    ((x, "=<", 0), "the comparison must be"),
    (x + 1, "is not a relation: write one with >="),
    (w > x, "has w, for which there is no interval"),
]


@pytest.mark.parametrize(("question", "problem"), REFUSED)
def test_refusals_name_the_term(question: Any, problem: str) -> None:
    with pytest.raises(NotPolynomial, match=problem):
        read(question, (x, y))


SHOWN = [
    (Ge(x, y), "x - y >= 0"),
    (Le(x, y), "-x + y >= 0"),
    (Gt(x**2, Rational(4, 27)), "x**2 - 4/27 > 0"),
    (Lt(x * y / 2, 1), "-1/2*x*y + 1 > 0"),
    (Eq(x**2, 3), "x**2 - 3 == 0"),
    ((x**2, "<=", x**2), "0 >= 0"),
    (sympy.true, "0 >= 0"),
    (sympy.false, "-1 >= 0"),
    (True, "0 >= 0"),
    (((x + y) ** 2, ">=", 0), "x**2 + 2*x*y + y**2 >= 0"),
]


@pytest.mark.parametrize(("question", "text"), SHOWN)
def test_reads_and_shows(question: Any, text: str) -> None:
    assert read(question, (x, y)).show(NAMES) == text


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.fractions(max_denominator=9)), max_size=6))
def test_values_agree_with_sympy(terms: list[tuple[int, int, Fraction]]) -> None:
    expr = sum((Rational(c.numerator, c.denominator) * x**i * y**j for i, j, c in terms), sympy.Integer(0))
    value = expr.subs({x: Rational(2, 3), y: Rational(-5, 7)})
    point = (Fraction(2, 3), Fraction(-5, 7))
    relation = read((expr, ">=", 0), (x, y))
    assert relation.value(point) == Fraction(int(value.p), int(value.q))
    assert relation.holds(point) == bool(value >= 0)


def test_degree_and_equality() -> None:
    relation = read(x**2 * y > 1, (x, y))
    assert [relation.degree(i) for i in (0, 1)] == [2, 1]
    assert relation == read((1, "<", y * x**2), (x, y))
    assert Relation((), ">=").degree(0) == 0
