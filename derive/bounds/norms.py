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
    if min(m.shape) == 1:
        return float(np.nextafter(np.sqrt((m**2).sum()) * (1 + (m.size + 4) * UNIT), np.inf))
    # zero rows or columns make it square; a power of two is exact, and keeps products from underflow
    side, scale = max(m.shape), 2.0 ** np.floor(np.log2(np.abs(m).max()))
    m = np.pad(m / scale, ((0, side - m.shape[0]), (0, side - m.shape[1])))
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
        return float(np.sqrt(np.abs(m).sum(axis=0).max() * np.abs(m).sum(axis=1).max()) * scale * (1 + 1e-10))
    bound = (diagonal.max() + around) / np.sqrt((1 - defects[0]) * (1 - defects[1]))
    return float(bound * (1 + 1e-12 + 8 * k * UNIT) * scale)


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
