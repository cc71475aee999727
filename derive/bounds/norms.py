"""Upper bounds of spectral norms that hold in spite of rounding."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

UNIT = 2.0**-53


def spectral_norm(matrix: Array) -> float:
    """A number that is not below the 2-norm of a float64 matrix, and above it by rounding alone.

    With square U, V from a computed singular value decomposition and E = UᵀMV: ‖M‖ ≤ ‖E‖ / √((1-δ_U)(1-δ_V)),
    where δ bounds ‖UᵀU - I‖, and ‖E‖ is at most the largest diagonal entry plus √(‖F‖₁‖F‖∞) of the rest F.
    Every computed product is off by at most γₖ |A||B|, in whatever order it is summed (Rump, Verified bounds
    for singular values, BIT 51 (2011); Higham, Accuracy and stability, section 3.5).
    """
    m = np.asarray(matrix, dtype=np.float64)
    if not m.size or not m.any():
        return 0.0
    if not np.isfinite(m).all():
        return float(np.inf)
    scale = 2.0 ** np.floor(np.log2(np.abs(m).max()))  # a power of two is exact, and keeps off underflow
    return float(np.nextafter(_norm(m / scale) * scale, np.inf))


def _norm(m: Array) -> float:
    """The bound for a matrix whose largest entry is between 1 and 2."""
    if min(m.shape) == 1:
        return float(np.sqrt((m**2).sum()) * (1 + (m.size + 4) * UNIT))
    side = max(m.shape)  # zero rows or columns make it square
    m = np.pad(m, ((0, side - m.shape[0]), (0, side - m.shape[1])))
    u, _, vt = np.linalg.svd(m)
    inner, inner_error = _product(u.T, m)
    e, e_error = _product(inner, vt.T)
    e_error = e_error + inner_error @ np.abs(vt.T) * (1 + 1e-10)
    k = len(e)
    diagonal = np.abs(np.diag(e)) + np.diag(e_error)
    rest = np.abs(e) + e_error
    rest[np.arange(k), np.arange(k)] = 0.0
    around = np.sqrt(rest.sum(axis=0).max() * rest.sum(axis=1).max())
    defects = [_defect(u), _defect(vt.T)]
    if max(defects) >= 1:
        return float(np.sqrt(np.abs(m).sum(axis=0).max() * np.abs(m).sum(axis=1).max()) * (1 + 1e-10))
    bound = (diagonal.max() + around) / np.sqrt((1 - defects[0]) * (1 - defects[1]))
    return float(bound * (1 + 1e-12 + 8 * k * UNIT))


def radius_below_one(blocks: Array) -> bool:
    """Whether a matrix N ≥ 0 is shown to have a spectral radius below 1: N x < x for some x > 0 (Collatz)."""
    try:
        x = np.linalg.solve(np.eye(len(blocks)) - blocks, np.ones(len(blocks)))
    except np.linalg.LinAlgError:
        return False
    return bool((x > 0).all() and (blocks @ x * (1 + 2 * len(x) * UNIT) < x * (1 - 2 * UNIT)).all())


def _gamma(k: int) -> float:
    return k * UNIT / (1 - k * UNIT)


def _product(a: Array, b: Array) -> tuple[Array, Array]:
    """A computed product and a bound of its error."""
    length = a.shape[1]
    return a @ b, _gamma(length + 2) * (np.abs(a) @ np.abs(b)) * (1 + 1e-10) + 1e-300


def _defect(q: Array) -> float:
    """A bound of ‖QᵀQ - I‖₂."""
    product, error = _product(q.T, q)
    difference = np.abs(product - np.eye(len(product))) + error + UNIT
    return float(np.sqrt(difference.sum(axis=0).max() * difference.sum(axis=1).max()) * (1 + 1e-10))
