"""``bound``: what users call; in symbols, in numbers, and with a clear error for what cannot be."""

import re

import numpy as np
import pytest
import sympy
from sympy import S

import derive
from derive import Cell, Input, Parameter, State, Vector, bound, sigmoid, tanh
from derive.errors import DeriveError, EvaluationError
from tests.derive.bounds.norms_of import norms_of
from tests.strategies import numbers

VANILLA, GRU, LSTM = (derive.cell(name) for name in ("vanilla", "gru", "lstm"))
s, x = State("s"), Input("x")
W, U, b = Parameter("W", "n", "n"), Parameter("U", "n", "m"), Parameter("b", "n")
z = Vector("z")
MIXES = Cell("mixes", {z: sigmoid(U @ x + b), s: z * s.prev + (1 - z) * (W @ s.prev)})
"""z and 1 - z never peak together, and here neither reads the state."""


def orthogonal(n: int, rng: np.random.Generator) -> np.ndarray:
    q, r = np.linalg.qr(rng.normal(size=(n, n)))
    return q * np.sign(np.diag(r))


# the article's condition


@pytest.mark.parametrize("norm", [2, "2", 2.0, "inf", float("inf"), sympy.oo])
def test_vanilla(norm: object) -> None:
    """‖W‖ < 1/γ: the article's condition, as it stands."""
    found = bound("vanilla", norm)
    size = found.norms["W"]
    assert found.expr == size
    assert found.condition == (size < 1)
    halved = bound(VANILLA.with_activations({"s": "sigmoid"}), norm)
    assert halved.expr == size / 4
    assert halved.condition in (size / 4 < 1, size < 4)


def test_by_hand_z_and_its_complement() -> None:
    """z + (1 - z)‖W‖ in the ∞-norm; in the 2-norm √2 for ‖W‖ = 1, where the triangle inequality says 2."""
    infinity, two = bound(MIXES, "inf"), bound(MIXES, 2)
    assert infinity.expr.subs(infinity.norms["W"], 1) == 1
    assert infinity.expr.subs(infinity.norms["W"], 3) == 3
    assert float(two.expr.subs(two.norms["W"], 1)) == pytest.approx(np.sqrt(2), rel=1e-6)
    params, _, _ = numbers(MIXES, n=4, m=2, B=None)
    params["W"] = orthogonal(4, np.random.default_rng(0))
    assert two.evaluate(params) == pytest.approx(np.sqrt(2), rel=1e-4)
    # nearly attained: z = (1, 0), W a quarter turn: both rows are (1, 0)
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    saturated = {"U": np.zeros((2, 1)), "b": np.array([40.0, -40.0]), "W": turn}
    found = derive.jacobian(MIXES, "s", "s").evaluate(saturated, np.zeros(1), (np.zeros(2),))
    assert np.linalg.norm(found, 2) == pytest.approx(np.sqrt(2))


def test_gru_in_gates() -> None:
    """B5 with z taken jointly: ‖W‖(r̄ + ¼‖W_r‖) + (1 + s̃̄) z̄ ‖W_z‖ < 1."""
    found = bound("gru", "inf", inputs=1)
    gates = {str(g): g for g in found.gates}
    r, c, keep = gates["r_bar"], gates["s_tilde_bar"], gates["z_bar"]
    n = found.norms
    expected = n["W"] * (r + n["W_r"] / 4) + (1 + c) * keep * n["W_z"] < 1
    assert sympy.expand(found.condition_in_gates.lhs - expected.lhs) == 0
    assert found.condition_in_gates.rhs == 1
    assert found.gates[keep] == 1 / (1 + sympy.exp(-n["W_z"] - n["U_z"] - n["b_z"]))
    assert found.gates[c] == sympy.tanh(n["W"] * r + n["U"] + n["b"])
    assert found.condition.free_symbols == set(n.values())  # the gates are put in
    assert bound("gru", "inf").condition == S.false  # with any input z may be as near to 1 as it likes


def test_lstm_in_gates() -> None:
    """B7: N = [[ōα + D, ō f̄], [α, f̄]] for (h, c) has a spectral radius below 1."""
    found = bound("lstm", "inf", inputs=1)
    assert found.cell.states == ("h", "c")
    g = {str(symbol): symbol for symbol in found.gates}
    f, i, o, c, t = (g[k] for k in ("f_bar", "i_bar", "o_bar", "c_tilde_bar", "tanh(c)_bar"))
    n = found.norms
    alpha = n["W_f"] * i * c / (1 - f) / 4 + i * n["W"] + n["W_i"] * c / 4
    D = n["W_o"] * t / 4
    first = 1 - o * alpha - D
    second = first * (1 - f) - o * f * alpha
    assert isinstance(found.condition_in_gates, sympy.And)
    assert all(r.rel_op == ">" and r.rhs == 0 for r in found.condition_in_gates.args)
    sides = [r.lhs for r in found.condition_in_gates.args]
    for expected in (first, second):
        assert any(sympy.simplify(side - expected) == 0 for side in sides)
    assert found.gates[t] == sympy.tanh(i * c / (1 - f))
    assert any("where it stays" in a and "c" in a for a in found.assumptions)


def test_a_gate_that_reaches_one_must_not() -> None:
    """Hard σ reaches 1, and then all is kept: the condition says z̄ < 1 too."""
    cell = MIXES.with_activations({"z": "hard_sigmoid"})
    found = bound(cell, "inf", inputs=1)
    (top,) = found.gates
    size = found.norms["W"]
    assert found.condition_in_gates == sympy.And(size < 1, top < 1)
    assert bound(MIXES, "inf", inputs=1).condition_in_gates == (size < 1)
    zero = dict.fromkeys(found.norms.values(), 0)
    assert found.condition.subs(zero) == S.true
    # with a bias of 3 the gate can be 1, and the Jacobian the identity
    assert found.condition.subs({**zero, found.norms["b"]: 3}) == S.false


def test_what_is_not_a_fraction_is_not_divided_out() -> None:
    """The carry 2f is at most 2, and |s| is at most whatever it is: neither is a gate."""
    f, u = Vector("f"), Vector("u")
    twice = bound(Cell("twice", {f: sigmoid(U @ x + b), u: 2 * f, s: u * s.prev}), "inf", inputs=1, states=1)
    (top,) = twice.gates
    assert twice.condition_in_gates == (2 * top < 1)
    square = bound(Cell("square", {s: s.prev**2 / 2 + b}), "inf")
    assert square.condition == (square.states["s"] < 1)


# in numbers


@pytest.mark.parametrize("name", ["prototype", "gru", "lstm"])
@pytest.mark.parametrize("norm", [2, "inf"])
def test_substituted_numbers_give_a_number(name: str, norm: object) -> None:
    """The bound in norms is never below the one for weights with these norms."""
    found = bound(name, norm, states=1, inputs=1)
    params, _, _ = numbers(found.cell, n=3, m=2, B=None)
    value = found.expr.xreplace(norms_of(found, params)).doit()
    assert value.is_number
    assert found.evaluate(params) <= float(value) * (1 + 1e-4)
    assert found.condition.xreplace(norms_of(found, params)) in (S.true, S.false)


def test_infinite_where_nothing_bounds_the_state() -> None:
    found = bound("lstm", "inf")
    params, _, _ = numbers(LSTM, n=3, m=2, B=None)
    for norm in (2, "inf"):
        assert bound("lstm", norm).evaluate(params) == np.inf
        assert not bound("lstm", norm).holds(params)
        assert np.isfinite(bound("lstm", norm).evaluate(params, inputs=1))
        assert np.isfinite(bound("lstm", norm, inputs=1).evaluate(params))
        assert np.isfinite(bound("lstm", norm).evaluate(params, states={"c": 1}))
        assert np.isfinite(bound("lstm", norm).evaluate(params, states=1))
        # c is multiplied by W_f alone
        assert np.isfinite(bound("lstm", norm).evaluate({**params, "W_f": 0 * params["W_f"]}))
    symbol = found.states["c"]
    assert found.expr.has(symbol)
    assert found.expr.subs(dict.fromkeys(found.norms.values(), 1) | {symbol: sympy.oo}) == sympy.oo


@pytest.mark.parametrize("norm", [2, "inf"])
@pytest.mark.parametrize("name", ["vanilla", "gru", "lstm", "pseudo-lstm-d12", "normalized-prototype"])
def test_rigorous_is_the_same_with_rounding(name: str, norm: object) -> None:
    found = bound(name, norm, states=1, inputs=1)
    params, _, _ = numbers(found.cell, n=3, m=2, B=None)
    plain, rigorous = found.evaluate(params), found.evaluate(params, rigorous=True)
    assert plain * (1 - 1e-12) <= rigorous <= plain * (1 + 1e-6)


def test_what_is_given_to_evaluate_replaces_what_was_given_to_bound() -> None:
    found = bound("pseudo-lstm", "inf", states=5, inputs=3)
    params, _, _ = numbers(found.cell, n=3, m=2, B=None)
    assert found.evaluate(params, states=1, inputs=1) == bound(
        "pseudo-lstm", "inf", states=1, inputs=1
    ).evaluate(params)
    assert found.evaluate(params) > found.evaluate(params, states=1, inputs=1)


@pytest.mark.parametrize(("n", "most"), [(8, 3.2), (16, 5.5)])
def test_one_gru_step_with_orthogonal_weights(n: int, most: float) -> None:
    """To beat: interval arithmetic 5.4 and 8.7, CROWN 8.4 and 16.4; the best attack reached 1.96 and 2.5."""
    worst = 0.0
    found = bound("gru", "inf", inputs=0)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        params = {
            k: orthogonal(n, rng) if a == ("n", "n") else np.zeros((n, 1) if len(a) == 2 else n)
            for k, a in GRU.parameters.items()
        }
        worst = max(worst, found.evaluate(params))
        if n == 8:
            assert float(found.expr.xreplace(norms_of(found, params)).doit()) < 3.5
    assert 1.9 < worst < most


# what a cell may be


def test_several_states_one_without_a_past_and_no_input() -> None:
    """h is written anew from c: its own column is empty, and the order is the cell's."""
    h, c = State("h"), State("c")
    V = Parameter("V", "n", "n")
    equations = {c: tanh(W @ c.prev + V @ h.prev), h: tanh(V @ c.prev)}
    first, second = (Cell("two", equations, states=order) for order in (["h", "c"], ["c", "h"]))
    params = {"W": np.array([[0.25]]), "V": np.array([[0.5]])}
    for norm in (2, "inf"):
        assert bound(first, norm).assumptions == tuple(reversed(bound(second, norm).assumptions))
        assert bound(first, norm).evaluate(params) == pytest.approx(bound(second, norm).evaluate(params))
    blocks = bound(first, 2).weighted(params).block_norms()
    np.testing.assert_allclose(blocks, [[0.0, 0.5], [0.5, 0.25]], rtol=1e-9)
    assert bound(first, "inf").evaluate(params) == pytest.approx(0.75)
    assert bound(first, "inf").expr.subs({"norm_W": 1}) is not None
    # ρ of [[0, v], [v, w]] is below 1 exactly if 1 - w - v² > 0
    found = bound(first, "inf")
    n = found.norms
    assert found.condition.subs({n["W"]: 0.5, n["V"]: 0.7}) == S.true
    assert found.condition.subs({n["W"]: 0.5, n["V"]: 0.71}) == S.false


@pytest.mark.parametrize("norm", [2, "inf"])
def test_a_state_that_is_written_from_the_input_alone(norm: object) -> None:
    h, c = State("h"), State("c")
    V = Parameter("V", "n", "n")
    cell = Cell("late", {h: tanh(U @ x), c: tanh(W @ c.prev + V @ h.prev)}, states=["h", "c"])
    found = bound(cell, norm)
    n = found.norms
    value = found.expr.subs({n["W"]: 0.5, n["V"]: 2})
    assert float(value) == pytest.approx(2.5 if norm == "inf" else np.sqrt(0.25 + 4), rel=1e-6)
    assert found.condition.subs({n["W"]: 0.5, n["V"]: 2}) == S.true  # nilpotent but for W
    params = {"U": np.eye(2), "W": 0.5 * np.eye(2), "V": 2 * np.eye(2)}
    assert found.evaluate(params) == pytest.approx(float(value), rel=1e-6)
    assert found.holds(params)


def test_one_matrix_in_two_places() -> None:
    """The same W in gate and candidate: one symbol, and one matrix in numbers."""
    cell = Cell("tied", {z: sigmoid(W @ s.prev), s: z * s.prev + (1 - z) * tanh(W @ s.prev)})
    found = bound(cell, "inf")
    assert set(found.norms) == {"W"}
    params = {"W": np.array([[0.3, -0.1], [0.2, 0.1]])}
    assert found.evaluate(params) <= float(found.expr.xreplace(norms_of(found, params)).doit()) * (1 + 1e-4)
    assert found.condition.subs(found.norms["W"], 0.1) == S.true
    assert found.holds(params)


def test_several_axes() -> None:
    memory = State("M", "slots", "width")
    cell = Cell("memory", {memory: tanh(Parameter("W", "width", "width") @ memory.prev)})
    found = bound(cell, "inf")
    assert found.expr == found.norms["W"]
    with pytest.raises(DeriveError, match="bounds for weights need one axis each"):
        found.evaluate({"W": np.eye(2)})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bound("vanilla", 3), "norm=3; expected 2 or 'inf'"),
        (lambda: bound("vanilla", "fro"), "norm='fro'; expected 2 or 'inf'"),
        (lambda: bound("lstm", states={"s": 1}), "lstm: states has no 's'"),
        (lambda: bound("lstm", inputs={"y": 1}), "lstm: inputs has no 'y'"),
        (lambda: bound("lstm", inputs=-1), "lstm: inputs['x'] is -1; expected a bound of |x|, ≥ 0"),
        (lambda: bound("lstm").evaluate({}), "lstm: missing parameters"),
        (
            lambda: bound("vanilla").evaluate({"W": np.eye(2), "U": np.eye(2), "b": np.zeros(3)}),
            "b has shape (3,)",
        ),
    ],
)
def test_errors(call: object, message: str) -> None:
    with pytest.raises(DeriveError, match=re.escape(message)):
        call()  # type: ignore[operator]


def test_an_unknown_cell() -> None:
    with pytest.raises(derive.UnknownCell, match="gru"):
        bound("grv")
    assert issubclass(EvaluationError, DeriveError)


def test_it_prints() -> None:
    text = str(bound("gru", "inf", inputs=1))
    assert text.startswith("‖J‖∞ ≤ ")
    assert "assuming |x| ≤ 1" in text
    assert "with z̄ = " in text
    assert str(bound("vanilla", 2)).startswith("‖J‖₂ ≤ ‖W‖")
    assert bound("vanilla")._repr_latex_() == r"$\displaystyle norm_{W}$"
