"""Input-to-state stability: the secant map of a step and its gains."""

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

import derive
from derive import Cell, Input, State, Vector, affine_parameters, tanh
from derive.bounds.stability import stability
from derive.bounds.symbols import norm_symbol
from derive.errors import DeriveError

W, U = norm_symbol("W"), norm_symbol("U")


def _ends(found, *names):
    return [found.setting.ranges(found.cell.symbols[n]).high for n in names]


def test_the_gru_gets_rid_of_z():
    found = stability("gru", inputs=1)
    (r,) = _ends(found, "r")
    assert found.condition_in_gates == (W * r < 1)
    assert sympy.sympify(found.condition).free_symbols == {W, *map(norm_symbol, ("W_r", "U_r", "b_r"))}


def test_the_gains_of_the_lstm():
    found = stability("lstm", inputs=1)
    i, o, f = _ends(found, "i", "o", "f")
    assert found.blocks == sympy.Matrix([[i * o * W, f * o], [i * W, f]])
    assert found.gains["x"] == sympy.Matrix([i * o * U, i * U])
    assert found.gains["b"] == sympy.Matrix([i * o, i])
    assert found.gains["b_f"] == sympy.zeros(2, 1)


def test_every_catalogue_cell_has_a_condition():
    for name in derive.catalogue():
        found = stability(name, inputs=1)
        assert found.vanishes
        assert found.condition_in_gates not in (sympy.true, sympy.false)


def test_without_a_rest_state_nothing_is_stable():
    found = stability(derive.cell("vanilla").with_activations({"s": "sigmoid"}), inputs=1)
    assert (found.vanishes, found.condition_in_gates) == (False, sympy.false)
    params = {"W": [[0.0]], "U": [[0.0]], "b": [0.0]}
    assert not found.holds(params)
    with pytest.raises(DeriveError, match="s does not vanish with what it reads"):
        found.weighted(params).rate()


def test_slopes_of_activations_never_cancel():
    """tanh(s) - tanh(2s) is no (1 - 2) s: the two slopes differ."""
    s, t = State("s"), Vector("t")
    W_, U_, b_ = affine_parameters()
    cell = Cell(
        "twice", {t: tanh(s.prev) - tanh(2 * s.prev), s: t + tanh(W_ @ s.prev + U_ @ Input("x") + b_)}
    )
    assert stability(cell, inputs=1).blocks == sympy.Matrix([[3 + W]])


def test_two_norm():
    found = stability("lstm", 2, inputs=1)
    i, f = _ends(found, "i", "f")
    assert found.blocks[1, 1] == f
    assert found.blocks[1, 0].subs({W: 2, i: sympy.Rational(1, 2)}) == 1


@given(st.integers(0, 10**6), st.sampled_from(["gru", "lstm", "peephole-lstm", "prototype"]))
def test_no_step_leaves_what_the_gains_allow(seed, name):
    cell, rng = derive.cell(name), np.random.default_rng(seed)
    params = {k: rng.normal(0, 0.5, [3 for _ in axes]) for k, axes in cell.parameters.items()}
    found = stability(cell, inputs=1).weighted(params, states=1)
    x, state = rng.uniform(-1, 1, 3), [rng.uniform(-1, 1, 3) for _ in cell.states]
    sizes = {cell.symbols["x"]: np.abs(x)} | {cell.symbols[b]: np.abs(params[b]) for b in cell.biases}
    sizes |= {cell.symbols[f"{s}[t-1]"]: np.abs(v) for s, v in zip(cell.states, state, strict=True)}
    after = derive.evaluate(cell, params, x[None], tuple(state))[1]
    for value, most in zip(after, found.row_bounds(sizes), strict=True):
        assert (np.abs(value) <= most * (1 + 1e-9) + 1e-12).all()


def test_holds_where_the_condition_does():
    found, rng = stability("gru", inputs=1), np.random.default_rng(1)
    params = {k: rng.uniform(-1, 1, [4 for _ in axes]) for k, axes in found.cell.parameters.items()}
    tame = params | {"W": params["W"] * 0.2}
    assert np.abs(tame["W"]).sum(axis=1).max() < 1
    assert found.holds(tame)
    assert found.holds(tame, rigorous=True)
    assert not found.holds(params | {"W": 3 * np.ones((4, 4))})
