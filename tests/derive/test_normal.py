"""The normal form: the same for what is the same, and of the same value as the cell."""

import operator
from functools import reduce
from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from sympy import Rational, sqrt

import derive
from derive import Activated, Cell, Input, Parameter, State, Vector, identity, mean, sigmoid, tanh, variance
from derive.evaluate import step
from derive.normal import normal_form, normalize
from derive.symbols import Linear, MeanMap, Previous, affine_parameters
from tests.strategies import cells, numbers

s, x = State("s"), Input("x")
f, g, v = Vector("f"), Vector("g"), Vector("v")
W, U, b = affine_parameters()
V = Parameter("V", "n", "n")


def same(left: sympy.Expr, right: sympy.Expr) -> bool:
    return bool(normalize(left, {}) == normalize(right, {}))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (W @ (s.prev + 2 * b), W @ s.prev + 2 * (W @ b)),
        (W @ (-s.prev), -(W @ s.prev)),
        (W @ (V @ (b + s.prev)), W @ (V @ b) + W @ (V @ s.prev)),
        (W @ ((1 - b) * s.prev), W @ s.prev - W @ (b * s.prev)),
        ((1 - b) * (1 + b), 1 - b**2),
        (identity(W @ s.prev), W @ s.prev),
        (tanh(W @ (s.prev + b)), tanh(W @ s.prev + W @ b)),
        (mean(2 * s.prev - b), 2 * mean(s.prev) - mean(b)),
        (mean(mean(s.prev) * b), mean(s.prev) * mean(b)),
        (mean(mean(s.prev)), mean(s.prev)),
        (mean(sympy.Integer(3)), sympy.Integer(3)),
        (variance(s.prev), mean(s.prev**2) - mean(s.prev) ** 2),
        (mean(b / sqrt(variance(s.prev) + 1)), mean(b) / sqrt(variance(s.prev) + 1)),
        (W @ (0 * s.prev), sympy.S.Zero),
        (b * Rational(1, 2) + b / 2, b),
    ],
)
def test_what_is_the_same(left: sympy.Expr, right: sympy.Expr) -> None:
    assert same(left, right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (W @ (b * s.prev), b * (W @ s.prev)),
        (W @ (V @ s.prev), V @ (W @ s.prev)),
        (tanh(s.prev + b), tanh(s.prev) + tanh(b)),
        (mean(b * s.prev), mean(b) * mean(s.prev)),
        (mean(s.prev) * (W @ b), W @ (mean(s.prev) * b) + b),
        (identity(s.prev) ** 2, s.prev),
    ],
)
def test_what_is_not(left: sympy.Expr, right: sympy.Expr) -> None:
    assert not same(left, right)


def test_vectors_are_put_in() -> None:
    cell = Cell("steps", {f: sigmoid(W @ s.prev), v: f * s.prev, s: v + b, g: v}, output=g)
    gate = sigmoid(W @ s.prev)
    assert normal_form(cell).roots == (gate * s.prev + b, gate * s.prev)
    silent = cell.replace(equations=list(cell.equations.items())[:3], output=None)
    assert normal_form(silent).roots == (gate * s.prev + b, None)


def test_the_states_come_in_their_order() -> None:
    lstm = derive.cell("lstm")
    h_first = normal_form(lstm).roots
    c_first = normal_form(lstm.replace(states=("c", "h"))).roots
    assert h_first == (c_first[1], c_first[0], c_first[2])


def remembered(expr: sympy.Expr, env: dict[Any, Any]) -> Any:
    """The value of an expression, each subexpression evaluated once: normal forms repeat themselves a lot."""
    if expr not in env:
        if isinstance(expr, Activated):
            env[expr] = expr.activation.numpy(remembered(expr.argument, env))
        elif isinstance(expr, Linear):
            vector = remembered(expr.vector, env)
            mean_of = isinstance(expr.map, MeanMap)
            env[expr] = (
                np.full(3, vector.mean())
                if mean_of
                else env[expr.map] @ (vector + np.zeros(env[expr.map].shape[1]))
            )
        elif expr.is_Number:
            env[expr] = np.array(float(expr))
        else:
            parts = [remembered(arg, env) for arg in expr.args]
            combine = {"Add": operator.add, "Mul": operator.mul, "Pow": operator.pow}[type(expr).__name__]
            env[expr] = reduce(combine, parts)
    return env[expr]


@settings(max_examples=15)
@given(cells())
def test_the_normal_form_is_the_cell(cell: Cell) -> None:
    """By numbers: the roots, from parameters, input and past alone, are the states and the output."""
    params, x, state = numbers(cell, B=None)
    env: dict[Any, Any] = {cell.symbols[name]: params[name] for name in cell.parameters}
    env |= {cell.symbols[name]: x[0] for name in cell.inputs}
    env |= {Previous(q, *cell.axes(q)): p for q, p in zip(cell.states, state, strict=True)}
    with np.errstate(all="ignore"):
        vectors = step(cell, params, x[0], state)
        for name, root in zip((*cell.states, cell.output), normal_form(cell).roots, strict=True):
            if root is not None:
                found = np.broadcast_to(remembered(root, env), (3,))
                np.testing.assert_allclose(found, vectors[name], rtol=1e-6, atol=1e-6)


@given(cells())
def test_the_normal_form_is_normal(cell: Cell) -> None:
    """Once more changes nothing, no vector is left, and maps are applied to single unsigned terms."""
    for root in normal_form(cell).roots:
        if root is None:
            continue
        assert normalize(root, {}) == root
        assert not root.atoms(Vector)
        for node in root.atoms(Linear):
            assert not node.vector.is_Add
            assert node.vector.as_coeff_Mul()[0] == 1 or isinstance(node.map, MeanMap)
