"""Products over windows, and norms, against slow and obvious ones."""

from __future__ import annotations

import math

import numpy as np
import pytest

import derive
from codegen.diagnostics.sensitivity import LAGS, check_lags, matrix_norm, window_products
from codegen.diagnostics.trajectory import step_matrix, trajectory
from codegen.errors import ConfigError
from derive import Cell
from tests.codegen.diagnostics.emitted import k_step_jacobian
from tests.derive.calculus.perturbed import error
from tests.strategies import numbers

CATALOGUE = [derive.cell(name) for name in derive.catalogue()]


@pytest.mark.parametrize("lags", [(1, 2, 4, 8), (2, 3, 5, 6, 12), (1,), (7,), (4, 2)])
def test_windows_are_side_by_side_and_multiplied_in_order(lags: tuple[int, ...]) -> None:
    jacobians = np.random.default_rng(0).normal(size=(26, 3, 3))
    found: dict[int, list[np.ndarray]] = {lag: [] for lag in lags}
    for lag, product in window_products(iter(jacobians), lags):
        found[lag].append(product)
    for lag in lags:
        assert len(found[lag]) == len(jacobians) // lag
        for number, product in enumerate(found[lag]):
            expected = np.eye(3)
            for jacobian in jacobians[number * lag : (number + 1) * lag]:
                expected = jacobian @ expected
            assert error(product, expected) < 1e-13


@pytest.mark.parametrize("cell", CATALOGUE, ids=lambda cell: cell.name)
def test_products_are_what_reverse_mode_finds_through_the_emitted_code(cell: Cell) -> None:
    params, inputs, state = numbers(cell, n=4, m=3, T=6, B=None)
    run = trajectory(cell, params, inputs, state)
    starts = dict.fromkeys((1, 2, 3, 6), 0)
    for lag, product in window_products((step_matrix(cell, env) for env in run), tuple(starts)):
        start = starts[lag]
        past = tuple(run[start][s.prev] for s in derive.anatomy.states(cell))
        _, expected = k_step_jacobian(cell, params, inputs[start : start + lag], past)
        assert error(product, expected) < 1e-12
        starts[lag] += lag
    assert set(starts.values()) == {6}


@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200])
@pytest.mark.parametrize("spread", [0, 8])
def test_the_2_norm_is_the_largest_singular_value(scale: float, spread: int) -> None:
    """Also with singular values far apart, and where squares would overflow or vanish."""
    rng = np.random.default_rng(1)
    (u, _), (v, _) = (np.linalg.qr(rng.normal(size=(40, 40))) for _ in range(2))
    sizes = np.geomspace(3, 3 * 10.0**-spread, 40)
    assert matrix_norm(scale * (u * sizes) @ v, 2) == pytest.approx(3 * scale, rel=1e-14)


def test_other_norms() -> None:
    matrix = np.array([[1.0, -2.0], [0.5, 0.25]])
    assert matrix_norm(matrix, "inf") == 3
    assert matrix_norm(np.zeros((3, 3)), 2) == 0
    assert matrix_norm(np.zeros((3, 3)), "inf") == 0
    for wrong in (math.nan, math.inf):
        assert matrix_norm(np.array([[1.0, wrong], [0.0, 1.0]]), 2) == math.inf


def test_lags() -> None:
    assert check_lags([4, 2, 2], 4) == (1, 2, 4)
    assert check_lags([], 1) == (1,)
    assert check_lags(None, 100) == LAGS == (1, 2, 4, 8, 16, 32)
    assert check_lags(None, 7) == (1, 2, 4)
    with pytest.raises(ConfigError, match=r"a lag of 5 steps; expected whole numbers from 1 to 4"):
        check_lags([2, 5], 4)
    with pytest.raises(ConfigError, match="a lag of 0 steps"):
        check_lags([0], 4)
    with pytest.raises(ConfigError, match=r"a lag of 2\.5 steps"):
        check_lags([2.5], 4)  # type: ignore[list-item]
