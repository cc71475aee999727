"""Spectral norms: never below the true one, rounding included, and above it by rounding alone."""

import numpy as np
import pytest
from flint import arb, arb_mat
from hypothesis import given, settings
from hypothesis import strategies as st

from derive.bounds.norms import radius_below_one, spectral_norm

KINDS = ("normal", "orthogonal", "rank-one", "diagonal", "graded", "integers", "ones")


def matrix(kind: str, rows: int, columns: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    m = rng.normal(size=(rows, columns))
    if kind == "orthogonal":
        return np.linalg.qr(rng.normal(size=(max(m.shape),) * 2))[0][:rows, :columns]
    if kind == "rank-one":
        return np.outer(rng.normal(size=rows), rng.normal(size=columns))
    if kind == "diagonal":
        return np.eye(rows, columns) * rng.normal(size=rows)[:, None]
    if kind == "graded":  # singular values over thirty orders of magnitude
        return 10.0 ** -rng.uniform(0, 15, rows)[:, None] * m * 10.0 ** -rng.uniform(0, 15, columns)
    if kind == "integers":
        return rng.integers(-3, 4, size=(rows, columns)).astype(float)
    return np.ones((rows, columns)) if kind == "ones" else m


def enclosure(m: np.ndarray) -> tuple[float, float]:
    """Certain bounds of the 2-norm in balls: λ is an upper bound of ‖M‖² if λI - MᵀM is positive definite."""
    from flint import ctx

    before, ctx.prec = ctx.prec, 200
    try:
        exact = arb_mat(m.tolist())
        gram = exact.transpose() * exact
        top = float(np.linalg.norm(m, 2)) ** 2
        low, high = top * (1 - 1e-9), top * (1 + 1e-9)
        assert _definite(arb_mat(_shifted(gram, high)))
        assert not _definite(arb_mat(_shifted(gram, low)))
        for _ in range(30):
            middle = (low + high) / 2
            if not low < middle < high:
                break
            low, high = (low, middle) if _definite(arb_mat(_shifted(gram, middle))) else (middle, high)
        return float(arb(low).sqrt().lower()), float(arb(high).sqrt().upper())
    finally:
        ctx.prec = before


def _shifted(gram: arb_mat, shift: float) -> list[list[arb]]:
    n = gram.nrows()
    return [[(arb(shift) if i == j else arb(0)) - gram[i, j] for j in range(n)] for i in range(n)]


def _definite(m: arb_mat) -> bool:
    """Whether elimination shows positive pivots (what is not shown counts as no)."""
    rows = [[m[i, j] for j in range(m.ncols())] for i in range(m.nrows())]
    for k, pivot_row in enumerate(rows):
        if not pivot_row[k] > 0:
            return False
        for row in rows[k + 1 :]:
            factor = row[k] / pivot_row[k]
            row[k:] = [x - factor * y for x, y in zip(row[k:], pivot_row[k:], strict=True)]
    return True


@given(st.sampled_from(KINDS), st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
@settings(max_examples=100)
def test_close_to_numpy_and_not_below(kind: str, rows: int, columns: int, seed: int) -> None:
    m = matrix(kind, rows, columns, seed)
    found, known = spectral_norm(m), float(np.linalg.norm(m, 2))
    assert known <= found * (1 + 4e-16)  # numpy's own rounding
    assert found <= known * (1 + 1e-10)


@given(st.sampled_from(KINDS), st.integers(1, 6), st.integers(1, 6), st.integers(0, 99))
@settings(max_examples=40)
def test_not_below_the_true_norm_in_balls(kind: str, rows: int, columns: int, seed: int) -> None:
    m = matrix(kind, rows, columns, seed)
    if not m.any():
        return
    low, high = enclosure(m)
    assert low <= spectral_norm(m)
    assert spectral_norm(m) <= high * (1 + 1e-10)


@pytest.mark.parametrize("kind", ["normal", "orthogonal", "rank-one"])
@pytest.mark.parametrize("n", [64, 250])
def test_large_ones_are_as_close(kind: str, n: int) -> None:
    m = matrix(kind, n, n, 0)
    known = float(np.linalg.norm(m, 2))
    assert known * (1 - 1e-15) <= spectral_norm(m) <= known * (1 + 1e-9)


@pytest.mark.parametrize("shape", [(4, 4), (1, 5), (5, 1), (3, 7)])
@pytest.mark.parametrize("scale", [1e-305, 1e-170, 1e-150, 1e150, 1e200, 1e300])
def test_badly_scaled(shape: tuple[int, int], scale: float) -> None:
    """The squares of the entries are not numbers of float64."""
    m = matrix("normal", *shape, seed=5)
    known = float(np.linalg.norm(m, 2))
    found = spectral_norm(m * scale)
    assert known * scale * (1 - 1e-12) <= found <= known * scale * (1 + 1e-9)


def test_denormals() -> None:
    assert spectral_norm(np.full((2, 2), 5e-324)) >= 1e-323
    assert spectral_norm(np.full((1, 2), 5e-324)) >= 1e-323


def test_mixed_scales_in_one_matrix() -> None:
    assert spectral_norm(np.diag([1e150, 1e-150])) == pytest.approx(1e150, rel=1e-10)
    assert spectral_norm(np.array([[1e-200, 1e200]])) == pytest.approx(1e200, rel=1e-10)


def test_zero_empty_and_infinite() -> None:
    assert spectral_norm(np.zeros((3, 2))) == 0
    assert spectral_norm(np.zeros((3, 0))) == 0
    assert spectral_norm(np.array([[1.0, np.inf], [0.0, 1.0]])) == np.inf
    assert spectral_norm(np.array([[1.0, np.nan], [0.0, 1.0]])) == np.inf


def test_known_ones() -> None:
    assert spectral_norm(np.array([[3.0, 4.0]])) == pytest.approx(5.0, rel=1e-14)
    assert spectral_norm(np.ones((8, 8))) == pytest.approx(8.0, rel=1e-11)
    assert spectral_norm(np.array([[1.0, 1.0], [0.0, 1.0]])) == pytest.approx((1 + 5**0.5) / 2, rel=1e-11)


@given(st.integers(1, 4), st.integers(0, 999))
def test_a_radius_below_one(n: int, seed: int) -> None:
    blocks = np.abs(np.random.default_rng(seed).normal(size=(n, n)))
    radius = np.abs(np.linalg.eigvals(blocks)).max()
    assert radius_below_one(blocks * (1 - 1e-9) / radius)
    assert not radius_below_one(blocks * (1 + 1e-9) / radius)


def test_a_radius_of_one_and_zero() -> None:
    assert not radius_below_one(np.eye(2))
    assert not radius_below_one(np.array([[0.5, 1.0], [0.5, 0.0]]))
    assert radius_below_one(np.zeros((2, 2)))
    assert radius_below_one(np.array([[0.999, 1e6], [0.0, 0.999]]))  # no norm below 1, but a radius


@pytest.mark.parametrize("error", [1e-10, 1e-5, 1e-2, 0.5])
def test_a_poor_decomposition_costs_tightness_and_not_truth(
    monkeypatch: pytest.MonkeyPatch, error: float
) -> None:
    """What the computed factors lack, in angle or in length, is in the bound."""
    real, rng = np.linalg.svd, np.random.default_rng(1)
    m = rng.normal(size=(5, 5))
    true = float(np.linalg.norm(m, 2))

    def turned(a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        u, values, vt = real(a)
        turn, _ = np.linalg.qr(np.eye(5) + error * rng.normal(size=(5, 5)))
        return u @ turn, values, vt

    def shortened(a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        u, values, vt = real(a)
        return u * (1 - error), values, vt

    for poor in (turned, shortened):
        monkeypatch.setattr(np.linalg, "svd", poor)
        found = spectral_norm(m)
        monkeypatch.setattr(np.linalg, "svd", real)
        assert found >= true * (1 - 1e-15)
        assert found <= true * (1 + 20 * error) if error < 0.1 else found <= 20 * true
