"""Two published implementations of hand-written conditions certified unstable cells; the toolkit refuses."""

import numpy as np
import pytest

import derive
from derive import Cell, Parameter, Rational, State, Vector, bound, sigmoid, tanh
from derive.bounds.symbols import norm_symbol
from derive.calculus import jacobian

s, r, s_tilde = State("s"), Vector("r"), Vector("s_tilde")
W, W_r = Parameter("W", "n", "n"), Parameter("W_r", "n", "n")
b_h, b = Parameter("b_h", "n"), Parameter("b", "n")
RESET_AFTER = Cell(
    "reset-after",
    {
        r: sigmoid(W_r @ s.prev),
        s_tilde: tanh(r * (W @ s.prev + b_h) + b),
        s: Rational(1, 2) * s.prev + Rational(1, 2) * s_tilde,
    },
    output=s,
)
BISTABLE = {"W": [[0.0]], "W_r": [[2.0]], "b_h": [8.0], "b": [-4.0]}


@pytest.mark.parametrize("norm", [2, "inf"])
@pytest.mark.parametrize("rigorous", [False, True])
def test_a_bias_inside_the_reset_gate_is_not_forgotten(norm, rigorous):
    assert not bound(RESET_AFTER, norm).holds(BISTABLE, rigorous=rigorous)
    tame = BISTABLE | {"b_h": [1.0], "b": [0.0]}
    assert bound(RESET_AFTER, norm).holds(tame, rigorous=rigorous)


def test_the_forgotten_term_is_the_norm_of_the_bias():
    """r(1 - r)(Us + b) is at most ¼(‖U‖ + ‖b‖); with ‖b‖ struck out the bistable cell is certified."""
    condition = bound(RESET_AFTER, "inf").condition
    numbers = {
        norm_symbol(k): float(np.abs(v).sum(axis=-1).max()) for k, v in BISTABLE.items() if k[0] == "W"
    }
    with_bias = condition.subs(numbers | {norm_symbol("b_h"): 8})
    without = condition.subs(numbers | {norm_symbol("b_h"): 0})
    assert (bool(with_bias), bool(without)) == (False, True)


def test_the_cell_has_two_attractors():
    starts = np.array([[1.0], [-1.0]])
    run, _ = derive.evaluate(RESET_AFTER, BISTABLE, np.zeros((400, 2, 0)), (starts,))
    assert run[-1].ravel() == pytest.approx([0.9954, -0.9954], abs=1e-4)
    assert run[-1] == pytest.approx(run[-2], abs=1e-14)
    # both attract: the slope there is below 1 in size
    block = jacobian(RESET_AFTER, "s", "s")
    slopes = [block.evaluate(BISTABLE, np.zeros(0), (end,))[0, 0] for end in run[-1]]
    assert all(abs(slope) < 1 for slope in slopes)


def _params(cell, n, matrix):
    sizes = {"n": n, "m": 1}
    zeros = {name: np.zeros([sizes[a] for a in axes]) for name, axes in cell.parameters.items()}
    return zeros | {"W": matrix}


@pytest.mark.parametrize(("name", "end"), [("gru", 0.9985), ("vanilla", 1.0)])
def test_the_largest_entry_is_no_norm(name, end):
    cell, matrix = derive.cell(name), 0.9 * np.ones((8, 8))
    params = _params(cell, 8, matrix)
    assert np.abs(matrix).max() < 1  # what was taken for the norm
    for norm in (2, "inf"):
        assert not bound(cell, norm, inputs=1).holds(params)
        assert bound(cell, norm, inputs=1).holds(_params(cell, 8, matrix / 80))
    starts = np.array([[0.1] * 8, [-0.1] * 8])
    run, _ = derive.evaluate(cell, params, np.zeros((200, 2, 1)), (starts,))
    assert run[-1, 0] == pytest.approx(end, abs=1e-4)
    assert run[-1, 1] == pytest.approx(-end, abs=1e-4)
