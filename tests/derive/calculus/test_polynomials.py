"""Coefficients as polynomials with generators; factors; means; what numbers decide."""

import numpy as np
import pytest
import sympy
from hypothesis import example, given
from hypothesis import strategies as st
from sympy import Rational

from derive import (
    Cell,
    Linear,
    Parameter,
    State,
    Vector,
    hard_sigmoid,
    jacobian,
    mean,
    relu,
    sigmoid,
    softsign,
    tanh,
)
from derive.activations import Slope
from derive.calculus.polynomials import factored, folded, mean_of, split, with_generators
from derive.symbols import substitute, variance
from tests.strategies import cells

s = State("s")
f, g, v = Vector("f"), Vector("g"), Vector("v")
W = Parameter("W", "n", "n")
M = mean(s).map
q = (variance(v) + 1) ** Rational(-1, 2)


# Generators


def test_vectors_stand_for_themselves() -> None:
    expr = f * (1 - g) + 3
    assert with_generators(expr) == (expr, {})


def test_roots_are_one_generator_and_its_powers() -> None:
    polynomial, meanings = with_generators(f * q + v * q**3)
    ((symbol, meaning),) = meanings.items()
    assert polynomial == f * symbol + v * symbol**3
    assert meaning == q


def test_opaque_nodes_are_generators_once() -> None:
    polynomial, meanings = with_generators(tanh(s) ** 2 * f + tanh(s) + (W @ s) * tanh(s))
    assert set(meanings.values()) == {tanh(s), W @ s}
    assert polynomial.is_polynomial()
    assert substitute(polynomial, meanings) == tanh(s) ** 2 * f + tanh(s) + (W @ s) * tanh(s)


@pytest.mark.parametrize(
    ("expr", "powers"),
    [(v**-1, 1), (v**-2, 2), ((v + 2) ** Rational(3, 2), 3), ((v + 2) ** Rational(-5, 2), 5), (v**3, None)],
)
def test_powers(expr: sympy.Expr, powers: int | None) -> None:
    polynomial, meanings = with_generators(expr)
    assert substitute(polynomial, meanings) == expr
    if powers is None:
        assert meanings == {}
    else:
        ((symbol, _),) = meanings.items()
        assert polynomial == symbol**powers


@given(cell=cells())
def test_every_coefficient_is_a_polynomial_in_its_generators(cell: Cell) -> None:
    for of in cell.states:
        for word in jacobian(cell, of, cell.states[0]).words:
            for coefficient in word.coefficients:
                polynomial, meanings = with_generators(coefficient)
                assert polynomial.is_polynomial(*polynomial.free_symbols)
                assert substitute(polynomial, meanings) == coefficient


# Factors


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        (f - f * g, f * (1 - g)),
        (g * f - f, -f * (1 - g)),
        ((1 - f) * (1 + f), 1 - f**2),
        (1 - tanh(s) ** 2, 1 - tanh(s) ** 2),
        ((1 - f) ** 2, (1 - f) ** 2),
        ((1 - f) ** 2 * (1 + f), (1 - f) ** 2 * (1 + f)),
        (s * f * (1 - f) - g * f * (1 - f), f * (1 - f) * (s - g)),
        (v * q - v * q**3, v * q * (1 - q**2)),
        (f + g, f + g),
        (sympy.S.Zero, sympy.S.Zero),
        (Rational(3, 2), Rational(3, 2)),
        (f * f - f**2, sympy.S.Zero),
    ],
)
def test_factors_as_one_writes_them(expr: sympy.Expr, expected: sympy.Expr) -> None:
    assert factored(expr) == expected


@pytest.mark.parametrize("number", [1, -1, 2, Rational(-3, 4)])
@pytest.mark.parametrize("expr", [1 - f**2, f * (1 - g), f - g, v * q, sympy.S.One])
def test_numbers_are_split_off(number: sympy.Expr, expr: sympy.Expr) -> None:
    first, rest = split(sympy.expand(number * expr, deep=False))
    assert rest == split(expr)[1]
    assert first / split(expr)[0] == number
    assert (first * rest - number * expr).expand() == 0


POLYNOMIALS = st.recursive(
    st.sampled_from([f, g, s, tanh(s), q, sympy.S.One, sympy.Integer(-2), Rational(1, 3)]),
    lambda parts: st.builds(sympy.Add, parts, parts) | st.builds(sympy.Mul, parts, parts),
    max_leaves=6,
)


@given(expr=POLYNOMIALS)
@example(expr=f + (f + q) * q)
def test_factoring_changes_no_value(expr: sympy.Expr) -> None:
    """At q = 13/7: its square has no root in it, so that the variance is what is given a value."""
    opaque = {tanh(s): sympy.Symbol("a"), variance(v): sympy.Symbol("V")}
    difference = substitute(expr, opaque) - substitute(factored(expr), opaque)
    numbers = (*(Rational(k, 7) for k in (2, 3, 5, 11)), Rational(7, 13) ** 2 - 1)
    assert difference.xreplace(dict(zip((f, g, s, *opaque.values()), numbers, strict=True))) == 0


# Means


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        (sympy.Integer(3), 3),
        (2 * v, 2 * mean(v)),
        (v - mean(v), 0),
        (f * mean(v), mean(f) * mean(v)),
        (v * (v - mean(v)), mean(v**2) - mean(v) ** 2),
        (1 - f, 1 - mean(f)),
    ],
)
def test_means_are_distributed(expr: sympy.Expr, expected: sympy.Expr) -> None:
    assert (mean_of(expr, M) - expected).expand() == 0


# What numbers decide


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        (Linear(W, sympy.S.Zero), 0),
        (f + Linear(W, 0 * s), f),
        (Linear(M, Rational(1, 2)), Rational(1, 2)),
        (Linear(W, sympy.S.One), Linear(W, sympy.S.One)),  # the row sums of W
        (sigmoid(sympy.S.Zero), Rational(1, 2)),
        (tanh(Linear(W, sympy.S.Zero)), 0),
        (relu(sympy.Integer(-2)), 0),
        (relu(Rational(1, 3)), Rational(1, 3)),
        (softsign(sympy.Integer(3)), Rational(3, 4)),
        (hard_sigmoid(sympy.S.Zero), Rational(1, 2)),
        (tanh(sympy.S.One), tanh(sympy.S.One)),  # no fraction
        (Slope("softsign")(sympy.S.Zero), 1),
        (Slope("hard_sigmoid")(sympy.S.One), Rational(1, 6)),
        (Slope("relu")(sympy.S.Zero), Slope("relu")(sympy.S.Zero)),  # a kink has no slope
        (f * tanh(g * mean(tanh(sympy.S.Zero))), 0),
        ((Linear(M, sympy.Integer(3)) + 1) ** Rational(-1, 2), Rational(1, 2)),
    ],
)
def test_folded(expr: sympy.Expr, expected: sympy.Expr) -> None:
    assert folded(expr) == expected


def test_folding_agrees_with_the_evaluator() -> None:
    for number in (-3, -1, 0, 2):
        for activation in (relu, softsign, hard_sigmoid, sigmoid):
            found = folded(activation(sympy.Integer(number)))
            if found.is_Rational:
                assert float(found) == pytest.approx(float(activation.numpy(np.float64(number))))
