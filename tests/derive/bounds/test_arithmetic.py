"""Floats and balls say the same, the balls with the rounding inside."""

from fractions import Fraction

import numpy as np
import pytest
import sympy
from flint import arb, fmpq
from sympy import Rational

from derive import ACTIVATIONS, Activation
from derive.bounds.arithmetic import Arithmetic, Balls, Floats

BOTH = [Floats(), Balls()]


def same(numbers: Arithmetic, values: np.ndarray, expected: object) -> None:
    """Equal but for the last place, which balls round outward."""
    np.testing.assert_allclose(numbers.above(values), expected, rtol=1e-15, atol=1e-300)  # type: ignore[call-overload]


@pytest.mark.parametrize("numbers", BOTH, ids=lambda n: n.name)
def test_least_greatest_magnitude_product(numbers: Arithmetic) -> None:
    first, second = numbers.array([1.0, -2.0, np.inf]), numbers.array([0.5, 3.0, 2.0])
    same(numbers, numbers.least(first, second), [0.5, -2.0, 2.0])
    same(numbers, numbers.greatest(first, second), [1.0, 3.0, np.inf])
    third = numbers.array([0.0, 4.0, 1.0])
    same(numbers, numbers.greatest(first, second, third), [1.0, 4.0, np.inf])
    same(numbers, numbers.magnitude([[-1.0, 0.5]]), [[1.0, 0.5]])
    matrix, vector = numbers.array([[1.0, 2.0], [0.0, -1.0], [0.5, 0.25]]), numbers.array([3.0, 4.0])
    same(numbers, numbers.product(matrix, vector), [11.0, -4.0, 2.5])
    empty = numbers.product(numbers.array(np.zeros((2, 0))), numbers.array([]))
    same(numbers, empty, [0.0, 0.0])


@pytest.mark.parametrize("value", [Rational(1, 3), sympy.sqrt(2), sympy.tanh(1), sympy.S(5), -sympy.pi])
def test_exact_numbers(value: sympy.Expr) -> None:
    assert Floats().number(value) == pytest.approx(float(value), rel=1e-15)
    ball = Balls().number(value)
    exact = sympy.Rational(str(value.evalf(60))) if not value.is_Rational else value
    middle, radius = ball.mid(), float(ball.rad())
    assert radius <= 1e-14 * max(1.0, abs(float(value)))
    distance = abs(arb(fmpq(int(exact.p), int(exact.q))) - middle)
    assert not distance > ball.rad()


def test_infinite_numbers() -> None:
    assert Floats().number(sympy.oo) == np.inf
    assert Balls().number(-sympy.oo) == arb("-inf")


@pytest.mark.parametrize("phi", ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_activations(phi: Activation) -> None:
    points = np.array([-40.0, -3.0, -0.1, 0.0, 0.7, 3.0, 40.0])
    floats, balls = Floats(), Balls()
    known = floats.apply(phi, points)
    np.testing.assert_array_equal(known, phi.numpy(points))
    above = balls.above(balls.apply(phi, balls.array(points)))
    below = -balls.above(-balls.apply(phi, balls.array(points)))
    assert (below <= known + 1e-15).all()
    assert (known <= above + 1e-15 * np.abs(known) + 1e-16).all()
    np.testing.assert_allclose(above, known, rtol=1e-12, atol=1e-15)


def test_above_is_above() -> None:
    third = Balls().array([1.0]) / 3
    assert Fraction(float(Balls().above(third)[0])) >= Fraction(1, 3)
    assert float(Balls().above(third)[0]) == pytest.approx(1 / 3, rel=1e-14)
    np.testing.assert_array_equal(Floats().above(np.array([0.5])), [0.5])
