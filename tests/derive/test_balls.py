"""Ball arithmetic encloses what the evaluator computes, without waste where there need be none."""

import math
import sys
from itertools import product
from typing import Any

import numpy as np
import pytest
import sympy
from flint import arb, ctx
from hypothesis import given
from hypothesis import strategies as st
from sympy import Interval, Rational, oo

from derive import (
    ACTIVATIONS,
    Activated,
    Activation,
    Cell,
    DeriveError,
    EvaluationError,
    State,
    cell,
    mean,
    variance,
)
from derive.activations import _DEFINITIONS, Definition, Slope, a, slope_of
from derive.balls import ball_activation, ball_environment, ball_value, balls, box, ends
from derive.calculus.jacobian import environment
from derive.symbols import Linear, Previous
from tests.codegen.unusual_cells import UNUSUAL
from tests.strategies import cells, numbers

s = State("s")


def inside(enclosure: Any, values: Any) -> bool:
    low, high = ends(enclosure)
    return bool(np.all((low <= values) & (values <= high)))


def unbatched(cell: Cell, seed: int = 0) -> tuple[Any, Any, Any]:
    params, inputs, state = numbers(cell, T=1, B=None, seed=seed)
    return params, inputs[0], state


# Cells


@given(cell=cells(), seed=st.integers(0, 99))
def test_exact_numbers_give_thin_balls_around_the_evaluators(cell: Cell, seed: int) -> None:
    params, x, state = unbatched(cell, seed)
    reference = environment(cell, params, x, state)
    with ctx.workprec(120):
        found = ball_environment(cell, params, x, state)
    assert found.keys() == reference.keys()
    for symbol in cell.equations:
        middle = np.array([float(b.mid()) for b in found[symbol].ravel()]).reshape(found[symbol].shape)
        np.testing.assert_allclose(middle, reference[symbol], rtol=1e-10, atol=1e-12)
        assert max(float(b.rad()) for b in found[symbol].ravel()) < 1e-25


@given(cell=cells(), seed=st.integers(0, 99), width=st.sampled_from([1e-3, 0.1, 2.0]))
def test_a_box_of_states_and_inputs_encloses_every_run_from_it(cell: Cell, seed: int, width: float) -> None:
    params, x, state = unbatched(cell, seed)
    boxes = tuple(box(v - width, v + width) for v in state)
    found = ball_environment(cell, params, box(x - width, x + width), boxes)
    rng = np.random.default_rng(seed)
    for _ in range(5):
        point = tuple(v + rng.choice([-1.0, 1.0, rng.uniform(-1, 1)], v.shape) * width for v in state)
        reference = environment(cell, params, x + rng.choice([-1.0, 1.0], x.shape) * width, point)
        for symbol in cell.equations:
            assert found[symbol].shape == reference[symbol].shape
            low, high = ends(found[symbol])
            slack = 1e-12 * (1 + abs(reference[symbol]))  # the reference itself is rounded
            assert np.all((low - slack <= reference[symbol]) & (reference[symbol] <= high + slack)), symbol


@pytest.mark.parametrize("cell", UNUSUAL, ids=lambda c: c.name)
def test_unusual_cells(cell: Cell) -> None:
    params, x, state = unbatched(cell)
    reference = environment(cell, params, x, state)
    found = ball_environment(cell, params, x, state)
    for symbol in cell.equations:
        low, high = ends(found[symbol])
        np.testing.assert_allclose(low, reference[symbol], rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(high, reference[symbol], rtol=1e-12, atol=1e-13)


def test_leading_axes_are_batches() -> None:
    gru = cell("gru")
    W, past = gru.symbols["W"], Previous("s")
    matrix, vectors = np.arange(9.0).reshape(3, 3), np.arange(12.0).reshape(2, 2, 3)
    found = ball_value(Linear(W, past) + mean(past), {W: balls(matrix), past: balls(vectors)})
    expected = vectors @ matrix.T + vectors.mean(-1, keepdims=True)
    np.testing.assert_array_equal(found.astype(float), expected)


def test_numbers_of_an_expression_are_exact() -> None:
    third = ball_value(Rational(1, 3) * Previous("s"), {Previous("s"): balls([1.0])})[0]
    assert third.contains(arb(1) / 3)
    assert not third.is_exact()  # float(1/3) would be


def test_misshapen_numbers_are_refused() -> None:
    params, x, state = unbatched(cell("lstm"))
    with pytest.raises(EvaluationError, match=r"U_i has shape \(3, 2\), expected \(n=3, m\)|x has shape"):
        ball_environment(cell("lstm"), params, x[:1], state)
    with pytest.raises(
        EvaluationError, match=r"lstm: inputs .* expected inputs \(m,\) and a tuple of the sta"
    ):
        ball_environment(cell("lstm"), params, x, state[:1])
    with pytest.raises(EvaluationError, match="missing parameters"):
        ball_environment(cell("lstm"), {}, x, state)


# No overestimation where a function is monotone


@pytest.mark.parametrize(
    ("power", "low", "high", "least", "most"),
    [
        (2, -1.0, 2.0, 0.0, 4.0),
        (2, -3.0, -1.0, 1.0, 9.0),
        (3, -1.0, 2.0, -1.0, 8.0),
        (-1, 0.5, 4.0, 0.25, 2.0),
        (-2, -2.0, -1.0, 0.25, 1.0),
        (Rational(1, 2), 0.0, 4.0, 0.0, 2.0),
        (Rational(-1, 2), 1.0, 4.0, 0.5, 1.0),
        (Rational(3, 2), -1.0, 4.0, 0.0, 8.0),  # the root is taken of what is not negative
    ],
)
def test_powers(power: Any, low: float, high: float, least: float, most: float) -> None:
    found = ball_value(Previous("s") ** power, {Previous("s"): box([low], [high])})
    below, above = ends(found)
    assert below[0] <= least <= most <= above[0]
    assert below[0] == pytest.approx(least, abs=1e-7)
    assert above[0] == pytest.approx(most, abs=1e-7)


def test_powers_beyond_their_domain_say_nothing() -> None:
    def power(base: Any, exponent: Any) -> Any:
        return ball_value(Previous("s") ** exponent, {Previous("s"): np.array([base], dtype=object)})[0]

    assert not power(arb(0, 1), -1).is_finite()
    assert power(arb(-2, 1), Rational(1, 2)).is_nan()
    assert power(arb("nan"), 2).is_nan()


def test_a_variance_is_not_negative() -> None:
    norm = Cell("norm", {s: s.prev / (variance(s.prev) + 1) ** Rational(1, 2)})
    boxes = (box([-1.0, -1.0], [1.0, 1.0]),)
    found = ball_environment(norm, {}, [], boxes)[s]
    assert np.all(np.isfinite(ends(found)))
    assert inside(found, np.array([1, -1]) / math.sqrt(2))


MONOTONE = [name for name, activation in ACTIVATIONS.items() if activation.monotone]


@pytest.mark.parametrize("name", MONOTONE)
@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), (-50.0, 40.0), (-0.25, -0.125), (-1000.0, 1000.0)])
def test_monotone_activations_are_enclosed_by_their_ends(name: str, low: float, high: float) -> None:
    found = ball_activation(ACTIVATIONS[name], box([low], [high]))
    least, most = ACTIVATIONS[name].numpy(np.array([low, high]))
    below, above = ends(found)
    scale = 1 + abs(high)
    assert below[0] == pytest.approx(least, abs=1e-8 * scale)
    assert above[0] == pytest.approx(most, abs=1e-8 * scale)
    assert below[0] <= least + 1e-15 * scale
    assert above[0] >= most - 1e-15 * scale


SLOPES = [name for name, activation in ACTIVATIONS.items() if activation.derivative is None]


@pytest.mark.parametrize("name", SLOPES)
@pytest.mark.parametrize(("low", "high"), [(-4.0, 5.0), (-0.5, 0.25), (0.5, 1.0), (-3.0, -2.0)])
def test_slopes_are_enclosed_within_a_tenth(name: str, low: float, high: float) -> None:
    found = ball_activation(Slope(name), box([low], [high]))[0]
    inner = np.linspace(low, high, 2001)[1:-1]
    slopes = Slope(name).numpy(inner)
    below, above = float(found.lower()), float(found.upper())
    assert np.all((below - 1e-12 <= slopes) & (slopes <= above + 1e-12))
    touched = [float(k) for k in ACTIVATIONS[name].kinks if low <= k <= high]
    if touched:  # the slopes of both sides, even where one side is not in the box
        beside = Slope(name).numpy(np.array([k + d for k, d in product(touched, (-1e-9, 1e-9))]))
        slopes = np.concatenate([slopes, beside])
        assert below <= slopes.min()
        assert above >= slopes.max()
    assert below >= slopes.min() - 0.1
    assert above <= slopes.max() + 0.1


def test_a_kink_has_every_slope_between_its_sides() -> None:
    at_zero = ball_value(slope_of(ACTIVATIONS["relu"](s.prev)), {s.prev: balls([0.0])})
    assert inside(at_zero, np.array([0.0]))
    assert inside(at_zero, np.array([1.0]))


@pytest.mark.parametrize("activation", [*ACTIVATIONS.values(), *map(Slope, SLOPES)], ids=str)
@pytest.mark.parametrize("argument", [arb(0, "inf"), arb("nan"), arb(1e6, 1)], ids=str)
def test_no_enclosure_leaves_the_declared_range(activation: Activation, argument: Any) -> None:
    found = ball_activation(activation, np.array([argument], dtype=object))[0]
    if activation.range.sup.is_finite:
        assert activation.range.inf - 1e-7 <= float(found.lower())
        assert float(found.upper()) <= activation.range.sup + 1e-7
    elif argument.is_finite():
        assert found.is_finite()


# An activation that was not there before


def gelu(x: Any) -> Any:
    return np.array([v * (1 + math.erf(v / math.sqrt(2))) / 2 for v in np.ravel(x)])


NEW = {
    "gelu": Definition(
        latex="",
        formula=a * (1 + sympy.erf(a / sympy.sqrt(2))) / 2,
        numpy=gelu,
        torch="",
        range=Interval(-1, oo),
        derivative=None,
        lipschitz=Rational(113, 100),
        monotone=False,
    ),
    "softplus": Definition(
        latex="",
        formula=sympy.log(1 + sympy.exp(a)),
        numpy=lambda x: np.log1p(np.exp(x)),
        torch="",
        range=Interval.open(0, oo),
        derivative=None,
        lipschitz=sympy.Integer(1),
        monotone=True,
    ),
    "elu": Definition(
        latex="",
        formula=sympy.Piecewise((a, a > 0), (sympy.exp(a) - 1, True)),
        numpy=lambda x: np.where(x > 0, x, np.expm1(x)),
        torch="",
        range=Interval.open(-1, oo),
        derivative=None,
        lipschitz=sympy.Integer(1),
        monotone=True,
    ),
    "arctan": Definition(
        latex="",
        formula=2 * sympy.atan(a) / sympy.pi,
        numpy=lambda x: 2 / np.pi * np.arctan(x),
        torch="",
        range=Interval.open(-1, 1),
        derivative=None,
        lipschitz=2 / sympy.pi,
        monotone=True,
    ),
}


@pytest.mark.parametrize("name", NEW)
def test_a_new_activation_needs_no_edit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_DEFINITIONS, name, NEW[name])
    inner = np.linspace(-1.5, 1.0, 201)
    values = NEW[name].numpy(inner)
    below, above = (v[0] for v in ends(ball_activation(Activation(name), box([-1.5], [1.0]))))
    assert np.all((below <= values + 1e-15) & (values - 1e-15 <= above))
    assert below >= values.min() - 0.1
    assert above <= values.max() + 0.1
    h = 1e-6
    slopes = (NEW[name].numpy(inner + h) - NEW[name].numpy(inner - h)) / (2 * h)
    below, above = (v[0] for v in ends(ball_activation(Slope(name), box([-1.5], [1.0]))))
    assert np.all((below <= slopes + 1e-6) & (slopes - 1e-6 <= above))
    assert below >= slopes.min() - 0.1
    assert above <= slopes.max() + 0.1


def test_a_formula_beyond_ball_arithmetic_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    strange = Definition(
        "", sympy.Function("strange")(a), np.tanh, "", Interval(-1, 1), None, sympy.S.One, False
    )
    monkeypatch.setitem(_DEFINITIONS, "strange", strange)
    with pytest.raises(DeriveError, match=r"no ball arithmetic for strange\(a\).*expected sums, products"):
        ball_value(Activated(Activation("strange"), s.prev), {s.prev: balls([1.0])})


# Arrays of balls


def test_boxes_and_ends() -> None:
    low, high = ends(box([-1.0, 0.1], [2.0, 0.1]))
    assert low[0] <= -1
    assert high[0] >= 2
    assert low[1] < 0.1 < high[1]
    np.testing.assert_allclose([low, high], [[-1, 0.1], [2, 0.1]], rtol=1e-8)
    with ctx.workprec(200):
        third = arb(1) / 3  # lies between two floats
        below, above = ends(np.array([third], dtype=object))
        assert arb(float(below[0])) < third < arb(float(above[0]))


def test_balls_stay_balls() -> None:
    mixed = balls([1, arb(0, 1), 0.5])
    assert [type(v) for v in mixed] == [arb] * 3
    assert float(mixed[1].rad()) == pytest.approx(1)
    assert balls(2.0).shape == ()


def test_without_flint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flint", None)
    with pytest.raises(DeriveError, match=r"needs python-flint: pip install 'cellwright\[proofs\]'"):
        balls([1.0])
