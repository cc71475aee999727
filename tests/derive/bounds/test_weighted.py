"""Bounds for given weights: exact where they can be, and the best of several norms where not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import derive
from derive import Cell, Parameter, State, Vector, bound, identity, sigmoid, tanh
from derive.bounds.mixed import mixed_rows
from derive.bounds.rows import state_rows
from derive.bounds.two_norm import TwoNorms
from tests.strategies import numbers

s, h, c = State("s"), State("h"), State("c")
W, V, b = Parameter("W", "n", "n"), Parameter("V", "n", "n"), Parameter("b", "n")
z = Vector("z")
LINEAR = Cell("linear", {s: W @ s.prev + b})
TWICE = Cell("twice", {s: W @ tanh(V @ s.prev)})
PAIR = Cell("pair", {h: W @ c.prev, c: V @ h.prev}, states=["h", "c"])


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def test_a_linear_cell_is_exact() -> None:
    params = {"W": normal(4, 4), "b": np.zeros(4)}
    assert bound(LINEAR, "inf").evaluate(params) == pytest.approx(
        np.abs(params["W"]).sum(axis=1).max(), rel=1e-12
    )
    assert bound(LINEAR, 2).evaluate(params) == pytest.approx(np.linalg.norm(params["W"], 2), rel=1e-10)


def test_rows_are_taken_unit_by_unit() -> None:
    """tanh' at a unit with a bias of 3 is small, whatever its row of W is."""
    cell = derive.cell("vanilla")
    params = {"W": np.array([[0.1, 0.1], [2.0, 2.0]]), "U": np.zeros((2, 1)), "b": np.array([0.0, 8.0])}
    found = bound(cell, "inf").weighted(params, states=1, inputs=0)
    (rows,) = found.row_bounds({s.prev: np.ones(2)})
    slope = 1 - np.tanh(4.0) ** 2  # |W s| ≤ 4 at the second unit
    np.testing.assert_allclose(rows, [0.2, 4 * slope], rtol=1e-6, atol=2e-4)
    assert found.infinity_norm() == max(rows)


def test_the_rate_is_the_spectral_radius_of_a_linear_cell_of_positive_weights() -> None:
    positive = np.abs(normal(5, 5))
    positive *= 0.7 / np.abs(np.linalg.eigvals(positive)).max()
    rate, d = bound(LINEAR, "inf").weighted({"W": positive, "b": np.zeros(5)}).rate()
    assert rate == pytest.approx(0.7, rel=1e-4)
    assert rate >= 0.7 * (1 - 1e-12)
    assert (positive @ d["s"] <= rate * d["s"] * (1 + 1e-12)).all()  # which is what it says


def test_the_rate_of_two_states() -> None:
    """[[0, W], [V, 0]]: the square of the radius is that of V W; the ∞-norm knows nothing of it."""
    params = {"W": np.array([[5.0]]), "V": np.array([[0.05]])}
    found = bound(PAIR, "inf")
    assert found.evaluate(params) == pytest.approx(5)
    assert found.weighted(params).rate()[0] == pytest.approx(0.5, rel=1e-4)
    assert found.holds(params)
    assert not found.holds({"W": np.array([[5.0]]), "V": np.array([[0.21]])})
    blocks = bound(PAIR, 2).weighted(params).block_norms()
    np.testing.assert_allclose(blocks, [[0, 5], [0.05, 0]], rtol=1e-10)
    assert bound(PAIR, 2).holds(params)
    assert not bound(PAIR, 2).holds({"W": np.array([[5.0]]), "V": np.array([[0.21]])})


def test_cauchy_schwarz_keeps_the_coupling() -> None:
    """diag(z) + diag(1 - z) W with W orthogonal: √2, where the triangle inequality says 2."""
    cell = Cell("mix", {z: sigmoid(b), s: z * s.prev + (1 - z) * (W @ s.prev)})
    q, _ = np.linalg.qr(normal(6, 6))
    norms = TwoNorms(bound(cell, 2).weighted({"W": q, "b": np.zeros(6)}).intervals)
    (row,) = state_rows(cell)
    assert norms.block(row, s.prev) == pytest.approx(0.5 + 0.5, rel=1e-3)  # b = 0: z is 1/2, and both agree
    free = Cell("mix-free", {z: sigmoid(V @ s.prev), s: z * s.prev + (1 - z) * (W @ s.prev)})
    params = {"W": q, "V": 0 * q}
    assert bound(free, 2).evaluate(params) == pytest.approx(1.0, rel=1e-3)


def test_a_bound_too_large_for_a_float_is_infinite() -> None:
    cell = Cell("mix", {z: sigmoid(b), s: z * s.prev + (1 - z) * (W @ s.prev)})
    params = {"W": 1e200 * np.eye(3), "b": np.zeros(3)}
    assert bound(cell, 2).evaluate(params) == pytest.approx(0.5e200, rel=1e-3)
    norms = TwoNorms(bound(cell, 2).weighted(params).intervals)
    (row,) = state_rows(cell)
    assert norms.block(row, s.prev) == pytest.approx(0.5e200, rel=1e-3)  # though its square is no float


@given(st.integers(0, 50), st.floats(0.01, 10))
@settings(max_examples=20)
def test_two_norms_scale_and_are_below_the_triangle_inequality(seed: int, size: float) -> None:
    """‖diag(a) W + diag(c) V‖ for gates within [1-ā, ā]."""
    cell = Cell("sum", {z: sigmoid(b), s: z * (W @ s.prev) + (1 - z) * (V @ s.prev)})
    params = {
        "W": size * normal(3, 3, seed=seed),
        "V": normal(3, 3, seed=seed + 99),
        "b": normal(3, seed=seed),
    }
    gate = 1 / (1 + np.exp(-params["b"]))
    exact = np.diag(gate) @ params["W"] + np.diag(1 - gate) @ params["V"]
    triangle = np.linalg.norm(np.diag(gate) @ params["W"], 2) + np.linalg.norm(
        np.diag(1 - gate) @ params["V"], 2
    )
    found = bound(cell, 2).evaluate(params)
    assert np.linalg.norm(exact, 2) <= found * (1 + 1e-12)
    assert found <= triangle * (1 + 1e-3)


def test_zero_weights_hide_what_is_infinite() -> None:
    cell = Cell("product", {s: s.prev * (W @ s.prev) + b})
    zero, one = {"W": np.zeros((2, 2)), "b": np.ones(2)}, {"W": np.eye(2), "b": np.ones(2)}
    for norm in (2, "inf"):
        assert bound(cell, norm).evaluate(zero) == 0
        assert bound(cell, norm).evaluate(one) == np.inf
        assert not bound(cell, norm).holds(one)
        assert bound(cell, norm).evaluate(one, states=0.25) == pytest.approx(0.5, rel=1e-3)


# two maps, the second in its 2-norm


def chain(n: int, seed: int = 0) -> tuple[Cell, dict[str, np.ndarray]]:
    q, _ = np.linalg.qr(normal(n, n, seed=seed))
    p, _ = np.linalg.qr(normal(n, n, seed=seed + 1))
    return TWICE, {"W": q, "V": p}


@pytest.mark.parametrize("n", [4, 16, 40])
def test_two_orthogonal_maps_lose_less_than_their_infinity_norms(n: int) -> None:
    """‖Wᵢ diag(a) V‖₁ ≤ √n ‖Wᵢ‖₂ = √n, where the product of absolute values grows like n."""
    cell, params = chain(n)
    product = (np.abs(params["W"]) @ np.abs(params["V"])).sum(axis=1).max()
    found = bound(cell, "inf").evaluate(params, states=1)
    assert np.abs(params["W"] @ params["V"]).sum(axis=1).max() <= found  # at s = 0
    assert found <= np.sqrt(n) * (1 + 1e-6)
    assert found < product or n == 4


def test_mixed_rows_have_nothing_to_say_without_a_second_map() -> None:
    cell = derive.cell("vanilla")
    params, _, _ = numbers(cell, n=3, B=None)
    norms = TwoNorms(bound(cell, "inf").weighted(params).intervals)
    (row,) = state_rows(cell)
    (term,) = row.terms
    assert mixed_rows(norms, term, {s.prev: np.ones(3)}) is None


@given(st.integers(0, 100))
@settings(max_examples=15)
def test_mixed_rows_are_bounds(seed: int) -> None:
    """Against the rows of many Jacobians of the GRU behind W, in a weighted norm."""
    cell = derive.cell("gru")
    params, _, _ = numbers(cell, n=4, m=1, B=None, seed=seed)
    rng = np.random.default_rng(seed)
    d = rng.uniform(0.3, 2.0, 4)
    norms = TwoNorms(bound(cell, "inf").weighted(params, inputs=1).intervals)
    (row,) = state_rows(cell)
    term = next(
        t for t in row.terms if t.rest is not None and any(r.rest is not None and r.map for r in t.rest.terms)
    )
    if len(term.rest.terms) < 2:  # type: ignore[union-attr]
        return
    found = mixed_rows(norms, term, {s.prev: d})
    assert found is not None
    for _ in range(100):
        state = np.sign(rng.uniform(-1, 1, 4)) * rng.uniform(0, 1, 4) ** 0.3
        r = 1 / (1 + np.exp(-(params["W_r"] @ state + params["U_r"] @ rng.uniform(-1, 1, 1) + params["b_r"])))
        inner = np.diag(r) + np.diag(state * r * (1 - r)) @ params["W_r"]
        rows = np.abs(params["W"] @ inner) @ d
        assert (rows <= found * (1 + 1e-9)).all()


def test_identity_and_a_mean() -> None:
    """s - mean(s): the mean's rows are averages."""
    cell = Cell("centred", {s: identity(s.prev - derive.mean(s.prev)) + b})
    params = {"b": np.zeros(4)}
    assert bound(cell, "inf").evaluate(params) == pytest.approx(2.0)  # |1| + |mean|, by rows
    assert bound(cell, 2).evaluate(params) == pytest.approx(2.0, rel=1e-9)


@pytest.mark.parametrize(
    ("scale", "contracts"), [(0.995, True), (0.99999, True), (1.0, False), (1.005, False)]
)
def test_where_a_contraction_ends(scale: float, contracts: bool) -> None:
    params = {"W": scale * np.eye(3), "U": np.zeros((3, 1)), "b": np.zeros(3)}
    for norm in ("inf", 2):
        assert derive.bound("vanilla", norm).holds(params) is contracts
    found = derive.bound("vanilla", "inf").weighted(params).contracts()
    assert (found is not None) is contracts
    assert found is None or scale <= found[0] < 1
