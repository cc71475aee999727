"""Enclosures of the eigenvalues of a Jacobian, and what they prove about stability.

With V the approximate eigenvectors, V⁻¹ A V has the eigenvalues of A and is nearly diagonal, so that
Gershgorin's discs are tiny; where k of them hang together and touch no other, exactly k eigenvalues are in
them.  Arb's own certified solver (``acb_mat.eig``) does the same job in two minutes at n = 250.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import networkx as nx
import numpy as np

from derive.balls import ends, flint

Array = np.ndarray[Any, Any]
Verdict = Literal["stable", "unstable", "unknown"]


@dataclass(frozen=True)
class Spectrum:
    """Bounds ``lower[k]`` ≤ |λₖ| ≤ ``upper[k]`` of every eigenvalue, and the verdict that they prove.

    ``stable``: all lie within the unit circle; ``unstable``: one lies outside; ``unknown`` otherwise.
    """

    verdict: Verdict
    lower: tuple[float, ...]
    upper: tuple[float, ...]

    @property
    def radius(self) -> tuple[float, float]:
        """Bounds of the spectral radius."""
        return max(self.lower, default=0.0), max(self.upper, default=0.0)

    def __str__(self) -> str:
        low, high = self.radius
        return f"{self.verdict}: the spectral radius is in [{low:.6g}, {high:.6g}]"


def spectrum(matrix: Array) -> Spectrum:
    """Of a square matrix of balls: for every matrix within, rounding included."""
    low, high = _from_discs(matrix) if len(matrix) else (np.zeros(0), np.zeros(0))
    order = np.argsort(-high)
    low, high = low[order], high[order]
    verdict: Verdict = "stable" if (high < 1).all() else "unstable" if (low > 1).any() else "unknown"
    return Spectrum(verdict, tuple(low.tolist()), tuple(high.tolist()))


def _from_discs(matrix: Array) -> tuple[Array, Array]:
    acb_mat, arb_mat = flint().acb_mat, flint().arb_mat
    size = len(matrix)
    A = acb_mat(arb_mat(matrix.tolist()))
    middle = np.array([[float(b.mid()) for b in row] for row in matrix])
    if not np.isfinite(middle).all():
        return np.zeros(size), np.full(size, np.inf)
    V = acb_mat(np.linalg.eig(middle)[1].tolist())
    try:
        D = np.array(V.solve(A * V).entries(), dtype=object).reshape(size, size)
    except ZeroDivisionError:  # eigenvectors that are not independent
        D = np.array(A.entries(), dtype=object).reshape(size, size)
    sizes = np.array([[abs(entry) for entry in row] for row in D], dtype=object)
    centres = np.diag(sizes)
    radii = sizes.sum(axis=1) - centres
    _, wide = ends(radii)
    low, high = ends(
        np.array([[c - r for c, r in zip(centres, radii, strict=True)], centres + radii], dtype=object)
    )
    low, high = np.maximum(low[0], 0), high[1]
    # which discs may touch: the distance of their centres, in floats, with room for its rounding
    points = np.array([complex(entry.mid()) for entry in np.diag(D)])
    gaps = np.abs(points[:, None] - points[None, :]) * (1 - 1e-12)
    _, blur = ends(np.array([_width(entry) for entry in np.diag(D)], dtype=object))
    reach = wide + blur
    touching = nx.from_numpy_array(~(gaps > (reach[:, None] + reach[None, :]) * (1 + 1e-12)))
    for group in nx.connected_components(touching):
        members = sorted(group)
        low[members], high[members] = low[members].min(), high[members].max()
    return low, high


def _width(ball: Any) -> Any:
    """How far a point of the ball can be from its middle, as float64 has it."""
    exact = flint().acb(complex(ball.mid()))
    return abs(ball - exact)
