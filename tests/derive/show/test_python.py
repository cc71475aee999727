"""``repr(cell)`` is Python that rebuilds the cell."""

import ast
import math
from collections.abc import Callable

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from sympy import Rational

import derive
from derive import Cell, Input, MeanMap, Parameter, State, Vector, cell, mean, sigmoid, tanh, variance
from derive.show.python import PythonNotation
from derive.symbols import affine_parameters
from tests.strategies import cells, gated_cells

s, x = State("s"), Input("x")
f, g = Vector("f"), Vector("g")
W, U, b = affine_parameters()


@pytest.mark.parametrize("name", derive.catalogue())
def test_the_published_cells(name: str, golden: Callable[[str, str], None]) -> None:
    source = repr(cell(name))
    golden(f"show/{name}.repr", f"{source}\n")
    names: dict[str, object] = {}
    exec("from derive import *", names)
    again = eval(source, names)
    assert again == cell(name)
    assert (again.title, again.reference) == (cell(name).title, cell(name).reference)
    assert repr(again) == source


@given(st.one_of(cells(), gated_cells()))
def test_any_cell(cell: Cell) -> None:
    again = eval(repr(cell), vars(derive))
    assert again == cell
    assert repr(again) == repr(cell)


# Where Python's precedence, or SymPy's habit to multiply 2 * (a + b) out, would give another expression.
TRICKY = {
    "minus a product of sums": -(1 - f) * (1 - g),
    "minus a map": -(W @ s.prev),
    "minus a gated map": b - f * (W @ s.prev),
    "twice a product of sums": 2 * (1 - f) * (1 - g),
    "minus three halves of it": Rational(-3, 2) * (1 - f) * (1 - g) * s.prev,
    "minus twice it, first": -2 * (1 - f) * (s.prev - g),
    "half of a map": (W @ s.prev) / 2,
    "a map of a half": W @ (s.prev / 2),
    "a map of a map of a product": W @ (W @ (f * s.prev)),
    "a map of a square": W @ s.prev**2,
    "the square of a map": (W @ s.prev) ** 2,
    "a quotient of sums": (s.prev + 1) / (2 * f + 2),
    "a half over a sum": Rational(1, 2) * s.prev / (f + g),
    "a third over two powers": s.prev / (3 * (f + g) * (f**2 + 1) ** Rational(3, 2)),
    "a number over a sum": Rational(3, 2) / (s.prev + f),
    "fractions inside and out": (f / 2 + 1) * s.prev / (g**2 + 1) / 3,
    "one over a map": 1 / (W @ s.prev),
    "a root of two": sympy.sqrt(2) * s.prev,
    "its half": sympy.sqrt(2) * s.prev / 2,
    "a root of two thirds": sympy.sqrt(Rational(2, 3)) * s.prev,
    "a product of floats": -0.1 * (1 - f) * (0.1 + 0.2) * s.prev,
    "a float times a sum": 0.5 * (1 - f) - 2.5e-17 * s.prev,
    "the sum of a float and an integer": s.prev + 1e300 - 3,
    "powers": s.prev**3 / f ** Rational(2, 3),
    "a normalization": (s.prev - mean(s.prev)) / (variance(s.prev) + 1) ** Rational(1, 2),
    "a mean over the input": U @ (x - mean(x, "m")),
    "an activation of a number": tanh(sympy.Integer(0)) * s.prev,
}


@pytest.mark.parametrize("name", TRICKY)
def test_tricky_expressions(name: str) -> None:
    source = PythonNotation()(TRICKY[name])
    assert eval(source, vars(derive)) == TRICKY[name], source


def test_axes_are_said_where_they_are_not_the_usual() -> None:
    spell = PythonNotation()
    assert spell(Vector("v")) == "Vector('v')"
    assert spell(Vector("v", "width")) == "Vector('v', 'width')"
    assert spell(Input("x")) == "Input('x')"
    assert spell(Input("x", "n")) == "Input('x', 'n')"
    assert spell(State("s", "m").prev) == "State('s', 'm').prev"
    assert spell(Parameter("W", "n", "n")) == "Parameter('W', 'n', 'n')"
    assert spell(MeanMap()) == "MeanMap('mean')"
    assert spell(MeanMap("mean_m", "m", "m")) == "MeanMap('mean_m', 'm', 'm')"


def test_the_text_of_a_small_cell() -> None:
    small = Cell("small", {f: sigmoid(W @ s.prev), s: f * s.prev}, title='It says "no"')
    assert repr(small) == (
        "Cell('small', {\n"
        "    Vector('f'): sigmoid(Parameter('W', 'n', 'n') @ State('s').prev),\n"
        "    State('s'): Vector('f') * State('s').prev,\n"
        "}, states=('s',), title='It says \"no\"')"
    )
    ast.parse(repr(small))


def test_a_leaf_of_a_number_is_spelt_in_full() -> None:
    for value in (math.pi, 1 / 3, 5e-324, 1.7976931348623157e308):
        leak = Cell("leak", {s: value * s.prev})
        assert eval(repr(leak), vars(derive)) == leak
        assert repr(value) in repr(leak)
