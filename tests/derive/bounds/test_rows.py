"""Jacobians as nested rows: prefixes factored out, and multiplied out again they are the same numbers."""

import numpy as np
import pytest
import sympy
from hypothesis import given, settings

import derive
from derive import Cell, Input, Parameter, Previous, State, step_jacobian, tanh
from derive.bounds.rows import Row, Term, state_rows
from derive.calculus.jacobian import environment
from derive.evaluate import value
from derive.symbols import MeanMap, Quantity
from tests.strategies import numbers, smooth_cells


def number(row: Row, column: Quantity, env: dict[Quantity, np.ndarray], n: int) -> np.ndarray:
    """The matrix of one row restricted to one column."""
    total = np.zeros((n, n))
    for term in row.restricted(column).terms:
        inner = np.eye(n) if term.rest is None else number(term.rest, column, env, n)
        if term.map is not None:
            matrix = np.full((n, n), 1 / n) if isinstance(term.map, MeanMap) else env[term.map]
            inner = matrix @ inner
        leading = np.broadcast_to(value(term.coefficient, env), (n,))
        total += leading[:, None] * inner
    return total


def tamed(row: Row) -> bool:
    """Whether a normalization's terms were replaced by what bounds them: no longer the Jacobian itself."""
    return any(t.root_mean_square or (t.rest is not None and tamed(t.rest)) for t in row.terms)


def check(cell: Cell) -> None:
    params, inputs, state = numbers(cell, n=3, B=None)
    env = environment(cell, params, inputs[0], state)
    dense = step_jacobian(cell).evaluate(params, inputs[0], state)
    past = [Previous(s, *cell.axes(s)) for s in cell.states]
    for index, row in enumerate(state_rows(cell)):
        if not tamed(row):
            found = np.hstack([number(row, q, env, 3) for q in past])
            np.testing.assert_allclose(found, dense[3 * index : 3 * index + 3], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", derive.catalogue())
def test_multiplied_out_it_is_the_jacobian(name: str) -> None:
    check(derive.cell(name))


@given(smooth_cells())
@settings(max_examples=30)
def test_of_random_cells(cell: Cell) -> None:
    check(cell)


def test_of_the_gru() -> None:
    """diag(z) + diag((s - s̃) z(1-z)) W_z + diag((1-z)(1-s̃²)) W (diag(r) + diag(s r(1-r)) W_r)."""
    cell = derive.cell("gru")
    (row,) = state_rows(cell)
    z, r, c = (cell.symbols[k] for k in ("z", "r", "s_tilde"))
    W, W_z, W_r = (cell.symbols[k] for k in ("W", "W_z", "W_r"))
    s = State("s").prev
    terms = {term.map: term for term in row.terms}
    assert set(terms) == {None, W, W_z}
    assert terms[None] == Term(z, column=s)
    assert sympy.expand(terms[W_z].coefficient ** 2 - ((s - c) * z * (1 - z)) ** 2) == 0  # up to a sign
    assert sympy.expand(terms[W].coefficient - (1 - z) * (1 - c**2)) == 0
    rest = terms[W].rest
    assert rest is not None
    assert {t.map: sympy.expand(t.coefficient) for t in rest.terms} == {
        None: r,
        W_r: sympy.expand(s * r * (1 - r)),
    }


def test_restricted_to_a_column_that_is_not_read() -> None:
    """h is written from the input alone: its row is empty."""
    h, s, x = State("h"), State("s"), Input("x")
    U, W, V = Parameter("U", "n", "m"), Parameter("W", "n", "n"), Parameter("V", "n", "n")
    cell = Cell("empty", {h: tanh(U @ x), s: tanh(W @ s.prev + V @ h.prev)}, states=["s", "h"])
    first, second = state_rows(cell)
    assert second == Row()
    assert first.restricted(h.prev) == Row(tuple(t for t in first.terms if t.map == V))
    assert first.restricted(x) == Row()
