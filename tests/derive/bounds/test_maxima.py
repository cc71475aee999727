"""Suprema in numbers, unit by unit: infinities, zeros, and both ways to compute."""

import numpy as np
import pytest

from derive.bounds.arithmetic import Arithmetic, Balls, Floats
from derive.bounds.intervals import Interval
from derive.bounds.maxima import times
from derive.bounds.profile import profile
from derive.bounds.unitwise import unit_supremum
from tests.derive.bounds.brute import POOL, Fixed, c, r, s, y, z

BOTH = [Floats(), Balls()]
INF = np.inf


class Units(Fixed):
    """Intervals of several units."""

    def __call__(self, node: object) -> Interval:
        low, high = self.box[node]  # type: ignore[index]
        return Interval(self.numbers.array(low), self.numbers.array(high))


def close(numbers: Arithmetic, found: np.ndarray, expected: object) -> None:
    np.testing.assert_allclose(numbers.above(found), expected, rtol=1e-6)  # type: ignore[call-overload]


@pytest.mark.parametrize("numbers", BOTH, ids=lambda n: n.name)
def test_zero_times_infinity_is_zero(numbers: Arithmetic) -> None:
    found = times(numbers.array([0.0, 2.0, INF, 0.0]), numbers.array([INF, 3.0, 1.0, 0.0]), numbers)
    np.testing.assert_allclose(numbers.above(found), [0, 6, INF, 0], atol=1e-300)


@pytest.mark.parametrize("numbers", BOTH, ids=lambda n: n.name)
def test_every_unit_has_its_own_box_and_weights(numbers: Arithmetic) -> None:
    """w₀ z + w₁ (1 - z) in three units."""
    units = Units({z: ([0.0, 0.25, 0.5], [1.0, 0.75, 0.5])}, numbers)
    weights = [numbers.array([1.0, 2.0, 1.0]), numbers.array([3.0, 1.0, 1.0])]
    close(numbers, unit_supremum(units, profile(POOL, [z, 1 - z]), weights, 3), [3.0, 1.75, 1.0])


@pytest.mark.parametrize("numbers", BOTH, ids=lambda n: n.name)
def test_infinite_units_do_not_touch_the_others(numbers: Arithmetic) -> None:
    """|c - y| z (1 - z) w: infinite where c is, unless w is 0."""
    box = {
        z: ([0.0] * 4, [1.0] * 4),
        y: ([-1.0] * 4, [1.0] * 4),
        c.prev: ([-1.0, -INF, -INF, -2.0], [1.0, INF, INF, 2.0]),
    }
    units = Units(box, numbers, tolerance=1e-8)
    weights = [numbers.array([1.0, 1.0, 0.0, 4.0])]
    found = unit_supremum(units, profile(POOL, [(c.prev - y) * z * (1 - z)]), weights, 4)
    np.testing.assert_allclose(numbers.above(found), [0.5, INF, 0.0, 3.0], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("numbers", BOTH, ids=lambda n: n.name)
def test_an_infinite_weight(numbers: Arithmetic) -> None:
    units = Units({z: ([0.0, 0.0], [1.0, 1.0]), r: ([0.0, 0.0], [1.0, 1.0])}, numbers)
    weights = [numbers.array([INF, 1.0]), numbers.array([1.0, 2.0])]
    close(numbers, unit_supremum(units, profile(POOL, [z * (1 - z), 1 - r]), weights, 2), [INF, 2.25])


def test_weights_in_rows_repeat_the_box() -> None:
    numbers = Floats()
    units = Units({z: ([0.0, 0.5], [1.0, 0.5])}, numbers)
    weights = [np.array([[1.0, 1.0], [2.0, 4.0], [0.0, 0.0]]), np.ones((3, 2))]
    found = unit_supremum(units, profile(POOL, [z, 1 - z]), weights, 2)
    np.testing.assert_allclose(found, [[1.0, 1.0], [2.0, 2.5], [1.0, 0.5]])


def test_the_tolerance_is_kept() -> None:
    """z²(1 - z) ≤ 4/27, at a point that halving does not reach."""
    for tolerance in (1e-3, 1e-6, 1e-9):
        units = Units({z: ([0.0], [1.0])}, Floats(), tolerance)
        (found,) = unit_supremum(units, profile(POOL, [z**2 * (1 - z)]), [np.ones(1)], 1)
        assert 4 / 27 <= found <= 4 / 27 + tolerance


def test_size_alone_counts_for_what_is_absolute() -> None:
    """s in [2, 3] and in [-3, -2]: |s| is between 2 and 3, not between 0 and 3."""
    units = Units({s.prev: ([2.0, -3.0], [3.0, -2.0]), z: ([0.0, 0.0], [1.0, 1.0])}, Floats())
    found = unit_supremum(units, profile(POOL, [s.prev, 9 - s.prev**2]), [np.ones(2), np.full(2, 10.0)], 2)
    np.testing.assert_allclose(found, [52.0, 52.0], rtol=1e-6)
