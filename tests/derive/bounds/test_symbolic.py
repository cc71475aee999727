"""Closed forms of suprema, settings, and conditions in symbols."""

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Rational, S, oo

import derive
from derive import Cell, Input, Parameter, State, Vector, hard_sigmoid, relu, sigmoid, tanh
from derive.bounds.condition import positive_minors
from derive.bounds.extremes import Greatest
from derive.bounds.ranges import Range, symmetric
from derive.bounds.setting import setting
from derive.bounds.symbolic import closed_supremum, times, vertices
from derive.bounds.symbols import norm_symbol, read_norm, state_symbol, typeset_bound
from derive.errors import DeriveError
from tests.derive.bounds.brute import maximum

v, u, w = (sympy.Symbol(n, real=True) for n in "vuw")
top, A = sympy.Symbol("z_bar", positive=True), sympy.Symbol("A", nonnegative=True)
GATE = Range(1 - top, top, positive=True)
UNIT, BALL = Range(S.Zero, S.One), symmetric(1)
TOPS = {top: Rational(1, 2)}


@pytest.mark.parametrize(
    ("polynomial", "box", "expected"),
    [
        (v, {v: GATE}, top),
        (1 - v, {v: GATE}, top),
        (v * (1 - v), {v: GATE}, Rational(1, 4)),
        (v * (1 - v), {v: UNIT}, Rational(1, 4)),
        (v**2 * (1 - v), {v: UNIT}, Rational(4, 27)),
        (3 * v * (1 - u**2), {v: GATE, u: UNIT}, 3 * top),
        (v * (1 - v) * u, {v: GATE, u: Range(S.Zero, A, positive=True)}, A / 4),
        (2 * v - 1, {v: UNIT}, 1),
        ((2 * v - 1) * u, {v: UNIT, u: UNIT}, 1),
        ((1 - 2 * v) * (u - 2), {v: UNIT, u: UNIT}, 2),  # both signs: |1 - 2v| |u - 2|
        (u + v, {v: GATE, u: UNIT}, 1 + top),
    ],
)
def test_a_closed_supremum(
    polynomial: sympy.Expr, box: dict[sympy.Symbol, Range], expected: sympy.Expr
) -> None:
    assert sympy.expand(closed_supremum(polynomial, box, TOPS) - expected) == 0


def test_a_sign_that_changes_beyond_one() -> None:
    """(4 - v) u with |v| ≤ A: A may be above 4, where |4 - v| is no longer 4 - v; with v ≥ 0, A - 4."""
    box = {v: Range(S.Zero, A, positive=True), u: UNIT}
    found = closed_supremum((4 - v) * u, box, {})
    assert found.subs(A, 1).doit() == 4
    assert found.subs(A, 10).doit() == 6


FACTORS = (v, 1 - v, u, 1 - u**2, 2 * v - 1, u - v, w, w * (1 - w), 1 - 2 * w**2, v + w - 1)


@given(st.lists(st.sampled_from(FACTORS), min_size=1, max_size=3), st.sampled_from((-2, 1, 3)))
@settings(max_examples=40)
def test_closed_suprema_are_never_below(factors: list[sympy.Expr], number: int) -> None:
    polynomial = sympy.factor(number * sympy.Mul(*factors))
    box = {v: Range(Rational(1, 10), Rational(4, 5)), u: BALL, w: UNIT}
    value = sympy.lambdify([v, u, w], polynomial, "numpy")
    reached = maximum(
        lambda p: np.broadcast_to(value(*p), p.shape[1:]), np.array([[0.1, 0.8], [-1, 1], [0, 1]]), seed=0
    )
    assert reached <= float(closed_supremum(polynomial, box, {}).doit()) + 1e-9


def test_vertices() -> None:
    assert vertices(v * u, [v, u], {v: GATE, u: UNIT}, TOPS) == top
    assert vertices(A * v + (1 - v), [v], {v: GATE}, TOPS) == Greatest(A * top - top + 1, -A * top + A + top)
    assert vertices(v**2, [v], {v: GATE}, TOPS) is None
    assert vertices(sympy.Abs(v - u), [v, u], {v: UNIT, u: UNIT}, TOPS) is None


def test_products_of_bounds() -> None:
    assert times(S.Zero, oo) == 0
    assert times(A, oo) == oo
    assert times(A, A) == A**2


# settings

s, c, x = State("s"), State("c"), Input("x")
W, U, b = Parameter("W", "n", "n"), Parameter("U", "n", "m"), Parameter("b", "n")
z = Vector("z")


def written(gate: derive.Activation, candidate: derive.Activation = relu) -> Cell:
    return Cell("written", {z: gate(U @ x + b), s: z * s.prev + candidate(U @ x)})


def test_what_is_proved_is_assumed() -> None:
    found = setting(derive.cell("gru"), oo, None, None)
    assert found.ranges(s.prev) == symmetric(1)
    assert found.ranges(x) == Range(-oo, oo)
    assert found.symbols == {}
    assert found.assumptions == ("any x", "s in [-1, 1], where it stays")


def test_a_state_without_a_box_is_a_symbol() -> None:
    found = setting(derive.cell("lstm"), oo, None, None)
    assert found.symbols == {"c": state_symbol("c")}
    assert found.ranges(c.prev) == symmetric(state_symbol("c"))


def test_what_is_given_is_exact() -> None:
    found = setting(derive.cell("lstm"), oo, {"c": 0.1}, 0.5)
    assert found.ranges(c.prev) == symmetric(Rational(1, 10))
    assert found.ranges(x) == symmetric(Rational(1, 2))
    assert found.symbols == {}
    symbolic = setting(derive.cell("lstm"), oo, {"c": A}, None)
    assert symbolic.ranges(c.prev) == symmetric(A)


def test_a_box_that_is_solved_for_needs_a_carry_below_one() -> None:
    """|s| ≤ r̄/(1 - z̄) for σ; hard σ can be 1, and then nothing is bounded."""
    found = setting(written(sigmoid), oo, None, 1)
    (gate,) = (g for g in found.ranges.gate_bounds if str(g) == "z_bar")
    assert found.ranges(s.prev).high == norm_symbol("U") / (1 - gate)
    assert found.symbols == {}
    open_ = setting(written(hard_sigmoid), oo, None, 1)
    assert open_.symbols == {"s": state_symbol("s")}
    assert setting(written(sigmoid), oo, None, None).symbols == {"s": state_symbol("s")}  # any input


def test_gates_are_put_in_to_the_last() -> None:
    found = setting(written(sigmoid, tanh), oo, None, 1)
    high = found.put_in(found.ranges(s.prev).high)
    assert high.free_symbols == {norm_symbol("U"), norm_symbol("b")}
    values = {norm_symbol("U"): 1, norm_symbol("b"): 0}
    assert float(high.subs(values)) == pytest.approx(np.tanh(1) * (1 + np.e))


# conditions


@given(st.integers(1, 3), st.integers(0, 200), st.floats(0.2, 1.5))
@settings(max_examples=40)
def test_minors_say_what_the_spectral_radius_says(n: int, seed: int, radius: float) -> None:
    blocks = np.abs(np.random.default_rng(seed).normal(size=(n, n)))
    blocks *= radius / np.abs(np.linalg.eigvals(blocks)).max()
    if abs(radius - 1) > 1e-9:
        assert bool(positive_minors(sympy.Matrix(blocks))) == (radius < 1)


def test_minors_of_what_is_infinite() -> None:
    assert positive_minors(sympy.Matrix([[0, oo], [0, 0]])) == S.false
    assert positive_minors(sympy.Matrix([[A]])) == (A < 1)


def test_norms_are_read() -> None:
    assert [read_norm(n) for n in (2, "2", 2.0, "inf", float("inf"), oo, "OO")] == [2, 2, 2, oo, oo, oo, oo]
    with pytest.raises(DeriveError, match="norm=1; expected 2 or 'inf'"):
        read_norm(1)


def test_symbols_are_typeset() -> None:
    assert typeset_bound(norm_symbol("W_z") * state_symbol("s") + top**2) == "z̄² + |s|·‖W_z‖"
