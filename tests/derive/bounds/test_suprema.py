"""Σ wⱼ |aⱼ| taken apart: never below what is reached, and no more than rounding above it."""

from collections.abc import Iterator

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

import derive
from derive import Cell, bound
from derive.bounds.arithmetic import Balls
from derive.bounds.intervals import Intervals
from derive.bounds.profile import profile
from derive.bounds.rows import Row, state_rows
from derive.bounds.suprema import suprema
from derive.bounds.unitwise import unit_supremum
from tests.derive.bounds.brute import PLAIN, POOL, by_force, by_parts, c, f, k, r, s, y, z
from tests.strategies import gated_cells, numbers

FACTORS = (
    z,
    1 - z,
    r,
    1 - r,
    f,
    z * (1 - z),
    1 - y**2,
    1 - k**2,
    y,
    s.prev - y,
    c.prev,
    s.prev,
    z + r,
    y - k,
)
FACTORS += (s.prev + c.prev, 1 - 2 * z, c.prev * z - y, r + f * (1 - z))
CHOICES = st.lists(
    st.tuples(st.lists(st.sampled_from(FACTORS), min_size=1, max_size=3), st.sampled_from((0.25, 1.0, 3.0))),
    min_size=1,
    max_size=4,
)


@pytest.fixture(autouse=True, scope="module")
def without_limits() -> Iterator[None]:
    """Exactness is for what is maximized jointly, however many coefficients that takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("derive.bounds.maxima.LARGEST", 10**9)
        patch.setattr("derive.bounds.maxima.LEAST_BOXES", 4000)
        yield


@given(CHOICES)
@settings(max_examples=10)
def test_too_many_variables_go_term_by_term(choices: list[tuple[list[sympy.Expr], float]]) -> None:
    """Still an upper bound, and for one term a sharp one."""
    coefficients = [sympy.Mul(*factors) for factors, _ in choices]
    weights = [weight for _, weight in choices]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("derive.bounds.maxima.LARGEST", 0)
        found = by_parts(coefficients, weights)
        alone = sum(by_parts([c], [w]) for c, w in zip(coefficients, weights, strict=True))
    assert by_force(coefficients, weights) <= found * (1 + 1e-12)
    assert found <= alone * (1 + 1e-3) + 1e-9


@given(CHOICES)
@settings(max_examples=12)
def test_random_rows_are_exact(choices: list[tuple[list[sympy.Expr], float]]) -> None:
    coefficients = [sympy.Mul(*factors) for factors, _ in choices]
    weights = [weight for _, weight in choices]
    found, reached = by_parts(coefficients, weights), by_force(coefficients, weights)
    assert reached <= found * (1 + 1e-12)
    assert found <= reached * (1 + 1e-4)


@given(CHOICES)
@settings(max_examples=8)
def test_random_squares_are_exact(choices: list[tuple[list[sympy.Expr], float]]) -> None:
    coefficients = [sympy.Mul(*factors[:2]) for factors, _ in choices]
    weights = [weight for _, weight in choices]
    mixed = {"coefficients": coefficients[:1], "squares": coefficients[1:], "weights": weights}
    found, reached = by_parts(**mixed), by_force(**mixed)
    assert reached <= found * (1 + 1e-12)
    assert found <= reached * (1 + 1e-4)


@given(CHOICES)
@settings(max_examples=10)
def test_in_balls_too(choices: list[tuple[list[sympy.Expr], float]]) -> None:
    coefficients = [sympy.Mul(*factors[:2]) for factors, _ in choices]
    weights = [weight for _, weight in choices]
    found = by_parts(coefficients, weights, tolerance=1e-6)
    rigorous = by_parts(coefficients, weights, tolerance=1e-6, numbers=Balls())
    assert by_force(coefficients, weights) <= rigorous
    assert rigorous == pytest.approx(found, rel=1e-5)


@pytest.mark.parametrize(
    ("coefficients", "weights", "supremum"),
    [
        ([z, 1 - z], [1.0, 1.0], 1.0),  # z is not raised, it stands in 1 - z too
        ([z * r, z * f], [1.0, 1.0], 1.9),  # all are raised
        ([z, (1 - z) * (1 - y**2)], [1.0, 3.0], 3.0),
        ([(s.prev - y) * z * (1 - z)], [1.0], 0.5),
        # z times what r leaves, but r stands outside too: 2r + (1 - r) + 3/2 (1 - r) at z = 1
        ([z * r, z * (1 - r), 1 - r], [2.0, 1.0, 1.5], 2.5),
        # the same with f outside: now the inner supremum is separate
        ([z * r, z * (1 - r), 1 - f], [2.0, 1.0, 1.5], 2.0 + 1.5 * 0.9),
        # |s - y| and |s + y| do not peak together
        ([s.prev - y, s.prev + y], [1.0, 1.0], 2.0),
        ([s.prev - y, s.prev * y], [1.0, 1.0], 3.0),
        # y stands elsewhere with its sign: |y + z| + (1 - y)
        ([y + z, 1 - y], [1.0, 1.0], 3.0),
        # |s - y| (1 - y²): s takes the sign that y needs, |y| stays
        ([(s.prev - y) * (1 - y**2)], [1.0], 32.0 / 27.0),
        ([y**3], [2.0], 2.0),
        ([2 * z - 1], [1.0], 1.0),
    ],
)
def test_by_hand(coefficients: list[sympy.Expr], weights: list[float], supremum: float) -> None:
    assert by_parts(coefficients, weights) == pytest.approx(supremum, rel=1e-8)
    assert by_force(coefficients, weights) == pytest.approx(supremum, rel=1e-6)


def test_a_sum_with_a_complement_inside_is_one_factor() -> None:
    """r + y² (1 - z) multiplied out has a negative term, in which z must not be raised."""
    assert by_parts([r + y**2 * (1 - z)], [1.0]) == pytest.approx(2.0)
    assert by_parts([k**2, z * (r + y**2 * (1 - z))], [1.0, 1.0]) == pytest.approx(1.25)


def test_what_is_nested_is_nested() -> None:
    """(1-z)(1-y²)(…) of the GRU: the reset gate is a supremum of its own."""
    cell = derive.cell("gru")
    (row,) = state_rows(cell)
    inner = next(t.rest for t in row.terms if t.rest is not None and len(t.rest.terms) == 2)
    found = suprema(profile(cell, [t.coefficient for t in inner.terms]))
    assert {v.name for v in found.variables} == {"rₜ", "sₜ₋₁"}
    nested = suprema(profile(POOL, [z * r * f, z * (1 - r), 1 - z]))
    (joint,) = nested.joints
    assert [v.name for v in joint.variables] == ["zₜ"]
    assert {v.name for v in nested.variables} == {"zₜ", "rₜ", "fₜ"}


def test_of_nothing_is_nothing() -> None:
    assert suprema(profile(POOL, [])).joints == ()


def rows(row: Row) -> list[Row]:
    """A row and all rows within."""
    return [row, *(deeper for t in row.terms if t.rest is not None for deeper in rows(t.rest))]


def mirrored(ends: tuple[float, float]) -> bool:
    """Whether both signs of a variable have the same room; where not, |s - s̃| ≤ |s| + |s̃| may be loose."""
    return abs(ends[0] + ends[1]) < 1e-9 or ends[0] >= 0


class AtUnit(dict[sympy.Expr, tuple[float, float]]):
    """The intervals of one unit."""

    def __init__(self, intervals: Intervals, unit: int) -> None:
        self.intervals, self.unit = intervals, unit

    def __missing__(self, node: sympy.Expr) -> tuple[float, float]:
        found = self.intervals(node)
        low, high = (np.broadcast_to(end, (2,))[self.unit] for end in (found.low, found.high))
        return float(low), float(high)


def check(cell: Cell, *, biases: float, exact: bool) -> None:
    """Every row of a cell with weights, at every unit."""
    params, _, _ = numbers(cell, n=2, m=2, B=None, seed=3)
    params = {name: v * (biases if v.ndim == 1 else 1.0) for name, v in params.items()}
    weighted = bound(cell, "inf").weighted(params, states=0.75, inputs=1.5)
    weighted.intervals.tolerance = 1e-6
    for row in [deeper for top in state_rows(cell) for deeper in rows(top) if deeper.terms]:
        coefficients = [t.coefficient for t in row.terms]
        found = profile(cell, coefficients)
        weights = [0.5 + 0.75 * j for j in range(len(coefficients))]
        arrays = [np.full(2, w) for w in weights]
        suprema_found = unit_supremum(weighted.intervals, found, arrays, 2)
        for unit in range(2 if exact else 1):
            at = AtUnit(weighted.intervals, unit)
            reached = by_force(coefficients, weights, at)
            assert reached <= suprema_found[unit] * (1 + 1e-9) + 1e-12
            if exact and all(mirrored(at[node]) for v, node in found.variables if v in found.absolute):
                assert suprema_found[unit] <= reached * (1 + 1e-3) + 2e-6


@given(gated_cells())
@settings(max_examples=5)
def test_rows_of_gated_cells(cell: Cell) -> None:
    check(cell, biases=0.0, exact=True)
    check(cell, biases=1.5, exact=False)


@pytest.mark.parametrize("name", derive.catalogue())
def test_rows_of_the_catalogue(name: str) -> None:
    check(derive.cell(name), biases=0.0, exact=True)
    check(derive.cell(name), biases=1.5, exact=False)


def test_two_vectors_of_one_sign_do_not_add_up() -> None:
    """|s - s̃| is at most 1 for s and s̃ in [0, 1]."""
    box = {**PLAIN, k: (0.1, 0.3)}
    assert by_parts([z - r], [1.0], box) == pytest.approx(1.0)
    assert by_parts([r - f], [1.0], box) == pytest.approx(0.9)
