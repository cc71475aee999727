"""Bernstein form: exact against evaluation, enclosing against sampling, honest where it cannot decide."""

import itertools
import time
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from derive.decide.bernstein import (
    BadBox,
    Below,
    Cover,
    fraction,
    from_monomials,
    halves,
    maximize,
    nonnegative,
    tensor,
)

x, y, z = sympy.symbols("x y z")
HALF = Fraction(1, 2)

numbers = st.fractions(min_value=-3, max_value=3, max_denominator=8)
unit = st.fractions(min_value=0, max_value=1, max_denominator=16)


@st.composite
def boxes(draw: Any, k: int) -> list[tuple[Fraction, Fraction]]:
    ends = [sorted((draw(numbers), draw(numbers))) for _ in range(k)]
    return [(low, high) for low, high in ends]


@st.composite
def polynomials(draw: Any) -> sympy.Poly:
    degrees = [draw(st.integers(0, 3)) for _ in range(2)]
    terms = {
        exponents: sympy.Rational(draw(numbers))
        for exponents in itertools.product(*(range(d + 1) for d in degrees))
    }
    return sympy.Poly.from_dict(terms, x, y, domain="QQ")


def bernstein_value(form: np.ndarray, at: tuple[Fraction, ...]) -> Any:
    """De Casteljau at t, one axis after the other: slow and obvious."""
    for t in at:
        while len(form) > 1:
            form = form[:-1] * (1 - t) + form[1:] * t
        form = form[0]
    return form


@given(polynomials(), boxes(2), st.tuples(unit, unit))
def test_tensor_has_the_values_of_the_polynomial(poly: sympy.Poly, box: Any, at: Any) -> None:
    form = tensor(poly, box)
    point = [low + (high - low) * t for (low, high), t in zip(box, at, strict=True)]
    value = poly.eval(tuple(sympy.Rational(p.numerator, p.denominator) for p in point))
    assert bernstein_value(form, at) == fraction(value)
    assert min(form.flat) <= fraction(value) <= max(form.flat)


@given(polynomials(), boxes(2), st.integers(0, 1))
def test_halves_are_the_forms_of_the_half_boxes(poly: sympy.Poly, box: Any, axis: int) -> None:
    low, high = box[axis]
    parts = halves(tensor(poly, box)[None], axis)
    for part, ends in zip(parts, [(low, (low + high) / 2), ((low + high) / 2, high)], strict=True):
        box[axis] = ends
        assert (part[0] == tensor(poly, box)).all()


@pytest.mark.parametrize(
    ("box", "problem"),
    [
        ([(0, sympy.oo)], "x in .0, oo.: Bernstein form needs finite bounds"),
        ([(1, 0)], "the lower one first"),
        ([(0, 1), (0, 1)], "1 variables"),
        ([(0, sympy.sqrt(2))], "sqrt.2. is not a rational number; give a variable w"),
    ],
)
def test_boxes_that_cannot_be(box: Any, problem: str) -> None:
    with pytest.raises(BadBox, match=problem):
        tensor(sympy.Poly(x**2, x), box)


def random_batch(batch: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    lows = np.zeros((batch, 3))
    lows[:, 1] = -1
    return rng.normal(size=(batch, 3, 3, 3)), lows, np.ones((batch, 3))


def sampled(coefficients: np.ndarray, lows: np.ndarray, highs: np.ndarray, n: int) -> np.ndarray:
    t = np.linspace(0, 1, n)
    axes = [low[:, None] + (high - low)[:, None] * t for low, high in zip(lows.T, highs.T, strict=True)]
    powers = [axis[..., None] ** np.arange(3) for axis in axes]
    values = np.einsum("bijk,bxi,byj,bzk->bxyz", coefficients, *powers)
    return values.reshape(len(values), -1).max(axis=1)


def test_maximize_encloses_what_sampling_finds() -> None:
    coefficients, lows, highs = random_batch(60)
    lower, upper, leaves = maximize(from_monomials(coefficients, lows, highs), tolerance=1e-3)
    found = sampled(coefficients, lows, highs, 33)
    assert (found <= upper + 1e-12).all()
    assert (upper - lower <= 1e-3 * np.maximum(1, abs(upper))).all()
    assert (found >= lower - 0.05).all()  # the samples are dense enough to come near
    assert (leaves >= 1).all()


@pytest.mark.parametrize(("tolerance", "most"), [(1e-9, 10_000), (1e-9, 6)])
def test_maximize_at_a_point_that_halving_does_not_reach(tolerance: float, most: int) -> None:
    form = from_monomials(np.array([[0.0, 0, 1, -1]]), np.zeros((1, 1)), np.ones((1, 1)))  # z²(1 − z)
    lower, upper, _ = maximize(form, tolerance=tolerance, most_boxes=most)
    assert lower[0] <= 4 / 27 <= upper[0]
    assert (upper[0] - lower[0] <= tolerance) == (most == 10_000)  # a spent budget leaves a valid bound


def test_maximize_in_fractions_is_exact() -> None:
    form = tensor(sympy.Poly(x * y - x, x, y), [(0, 1), (-1, 1)])
    lower, upper, leaves = maximize(form[None], tolerance=1e-3)
    assert (lower[0], upper[0], leaves[0]) == (0, 0, 1)
    assert isinstance(upper[0], Fraction)


def test_maximize_of_nothing() -> None:
    lower, upper, leaves = maximize(np.zeros((0, 3, 3)), tolerance=1e-3)
    assert lower.shape == upper.shape == leaves.shape == (0,)


def test_maximize_in_arb_contains_the_exact_maximum() -> None:
    arb = pytest.importorskip("flint").arb
    ball = np.vectorize(lambda v: arb(v, 1e-6), otypes=[object])  # each coefficient with a radius
    exactly = np.vectorize(arb, otypes=[object])
    coefficients, lows, highs = random_batch(20)
    form = from_monomials(ball(coefficients), exactly(lows), exactly(highs))
    lower, upper, _ = maximize(form, tolerance=1e-3)
    for shift in (-1e-6, 1e-6):
        inside, _, _ = maximize(from_monomials(coefficients + shift, lows, highs), tolerance=1e-6)
        assert all(low <= value + 1e-9 for low, value in zip(lower, inside.tolist(), strict=True))
        assert all(value <= high for value, high in zip(inside.tolist(), upper, strict=True))


def test_maximize_in_arb_is_above_the_exact_maximum_by_rounding_only() -> None:
    arb = pytest.importorskip("flint").arb
    cubic = np.array([[arb(0), arb(0), arb(1), arb(-1)]], dtype=object)
    zero, one = np.array([[arb(0)]], dtype=object), np.array([[arb(1)]], dtype=object)
    lower, upper, _ = maximize(from_monomials(cubic, zero, one), tolerance=1e-12)
    assert lower[0] <= arb(4) / 27 <= upper[0]
    assert float(upper[0] - lower[0]) < 2e-12


def test_maximize_in_arb_of_the_unbounded_is_infinite() -> None:
    arb = pytest.importorskip("flint").arb
    form = np.array([[arb(0), arb("+inf")]], dtype=object)
    lower, upper, _ = maximize(form, tolerance=1e-3)
    assert not upper[0].is_finite()
    assert upper[0] > 10**300
    assert lower[0] < -(10**300)


def test_maximize_is_fast_enough_for_every_row_of_a_weight_matrix() -> None:
    arb = pytest.importorskip("flint").arb
    exactly = np.vectorize(arb, otypes=[object])
    arrays = random_batch(250)
    start = time.process_time()
    maximize(from_monomials(*arrays), tolerance=1e-3)
    floats = time.process_time() - start
    arrays = tuple(exactly(a) for a in arrays)
    start = time.process_time()
    maximize(from_monomials(*arrays), tolerance=1e-3)
    balls = time.process_time() - start
    assert floats < 0.5  # measured 0.02
    assert balls < 2  # measured 0.03


@given(polynomials(), st.booleans())
@settings(deadline=None)
def test_nonnegative_is_right(poly: sympy.Poly, strict: bool) -> None:
    form = tensor(poly, [(0, 1), (0, 1)])
    result = nonnegative(form, strict=strict, most_boxes=200)
    if isinstance(result, Below):
        value = bernstein_value(form, result.point)
        assert value == result.value
        assert value < 0 or (strict and value == 0)
    elif isinstance(result, Cover):
        for i, j in itertools.product(range(9), repeat=2):
            value = bernstein_value(form, (Fraction(i, 8), Fraction(j, 8)))
            assert value > 0 or (value == 0 and not strict)


def test_nonnegative_finds_the_narrowest_counterexample() -> None:
    poly = sympy.Poly(sympy.Rational(4, 27) - sympy.Rational(1, 10**9) - z**2 + z**3, z)
    found = nonnegative(tensor(poly, [(0, 1)]))
    assert isinstance(found, Below)
    assert poly.eval(sympy.Rational(found.point[0].numerator, found.point[0].denominator)) < 0


def test_nonnegative_closes_a_touch_at_a_half_and_no_other() -> None:
    assert isinstance(nonnegative(tensor(sympy.Poly((2 * z - 1) ** 2, z), [(0, 1)])), Cover)
    assert nonnegative(tensor(sympy.Poly(sympy.Rational(4, 27) - z**2 + z**3, z), [(0, 1)])) is None
    assert nonnegative(tensor(sympy.Poly((3 * z - 1) ** 2, z), [(0, 1)])) is None


def test_strict_stops_at_zero() -> None:
    found = nonnegative(tensor(sympy.Poly((2 * z - 1) ** 2, z), [(0, 1)]), strict=True)
    assert found == Below((HALF,), Fraction(0))
