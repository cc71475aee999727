"""The Jacobian of all states by all states."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import derive
from derive import Cell, DeriveError, Parameter, State, jacobian, mean, step_jacobian, tanh
from derive.balls import ball_environment, ball_value, ends
from tests.derive.calculus.perturbed import error, of_a_run, place
from tests.strategies import smooth_cells

h, M = State("h"), State("M", "slots", "n")
A, b = Parameter("A", "slots", "slots"), Parameter("b", "slots")
MEMORY = Cell(
    "matrix-memory",
    {h: tanh(mean(h.prev) * h.prev), M: M.prev**2 / 2 + A @ tanh(M.prev)},
    states=("M", "h"),
)
"""States of two shapes, the larger first."""


@pytest.mark.parametrize("name", derive.catalogue())
def test_blocks_stand_in_the_order_of_the_states(name: str) -> None:
    found = step_jacobian(name)
    params, x, state = place(found.cell)
    expected = of_a_run(found.cell, params, x[None], state)
    assert error(found.evaluate(params, x, state), expected) < 1e-13
    for of in found.cell.states:
        for wrt in found.cell.states:
            assert found.block(of, wrt) == jacobian(name, of, wrt)
    assert list(found) == [block for row in found.blocks for block in row]


@given(cell=smooth_cells(), seed=st.integers(0, 99))
def test_random_cells(cell: Cell, seed: int) -> None:
    params, x, state = place(cell, seed)
    expected = of_a_run(cell, params, x[None], state)
    assert error(step_jacobian(cell).evaluate(params, x, state), expected) < 1e-11


def test_states_of_different_shapes_are_flattened() -> None:
    params, x, state = place(MEMORY, slots=2, n=3)
    found = step_jacobian(MEMORY)
    assert error(found.evaluate(params, x, state), of_a_run(MEMORY, params, x[None], state)) < 1e-14
    low, high = ends(found.at(ball_environment(MEMORY, params, x, state), ball_value))
    np.testing.assert_allclose(low, found.evaluate(params, x, state), atol=1e-13)
    np.testing.assert_allclose(high, low, atol=1e-13)


def test_substituted_puts_values_into_every_block() -> None:
    """At the gates f = 1 and i = 0 the LSTM's cell state is carried and reads nothing."""
    carried = step_jacobian("lstm").substituted({"f": 1, "i": 0, "o": 1})
    assert str(carried.block("c", "c")) == "∂cₜ/∂cₜ₋₁ = I"
    assert str(carried.block("c", "h")) == "∂cₜ/∂hₜ₋₁ = 0"
    assert str(carried.block("h", "c")) == "∂hₜ/∂cₜ₋₁ = diag(1 - tanh(cₜ)²)"
    assert str(carried.block("h", "h")) == "∂hₜ/∂hₜ₋₁ = 0"


def test_other_names_are_refused() -> None:
    with pytest.raises(DeriveError, match=r"lstm has no state 'C'; did you mean 'c'\? States: h, c"):
        step_jacobian("lstm").block("C", "h")
    with pytest.raises(DeriveError, match=r"lstm has no state 'x'\. States: h, c"):
        step_jacobian("lstm").block("h", "x")
