"""Bounds of 2-norms for given weights: every block by the triangle inequality and by Cauchy-Schwarz."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from derive.bounds.arithmetic import Array
from derive.bounds.intervals import Intervals
from derive.bounds.norms import spectral_norm
from derive.bounds.profile import profile
from derive.bounds.rows import Row, Term
from derive.bounds.unitwise import unit_supremum
from derive.symbols import MeanMap, Quantity

SLACK = 1 + 1e-13
"""More than the few float64 sums and products of a bound can lose."""


@dataclass
class TwoNorms:
    """2-norms of rows of a Jacobian, in float64 with the rounding accounted for."""

    intervals: Intervals

    def block(self, row: Row, column: Quantity) -> float:
        """A bound of ‖row restricted to one column‖₂."""
        return self._row(row.restricted(column), column)

    def _row(self, row: Row, column: Quantity) -> float:
        if not row.terms:
            return 0.0
        size = self._size(row, column)
        maps = [self._map(term) for term in row.terms]
        rests = [1.0 if term.rest is None else self._row(term.rest, column) for term in row.terms]
        tops = [self._top(term, size) for term in row.terms]
        parts = [_scaled(top, m, rest) for top, m, rest in zip(tops, maps, rests, strict=True)]
        if not np.isfinite(sum(parts)):
            return float(sum(parts))
        return min(sum(parts) * SLACK, self._cauchy_schwarz(row, maps, rests, size))

    def _cauchy_schwarz(
        self, row: Row, maps: Sequence[Array | None], rests: Sequence[float], size: int
    ) -> float:
        """√(Σ λⱼ² ‖D Mⱼ‖²) with D² = sup Σ aⱼ²/λⱼ² by unit, and λⱼ² = 1/‖Mⱼ‖."""
        norms = [rest if m is None else spectral_norm(m) * rest for m, rest in zip(maps, rests, strict=True)]
        used = [k for k, norm in enumerate(norms) if norm > 0]
        if not used:
            return 0.0
        numbers = self.intervals.numbers
        found = profile(self.intervals.cell, (), [row.terms[k].coefficient for k in used])
        weights = [numbers.array(np.full(size, norms[k])) for k in used]
        rows = np.sqrt(numbers.above(unit_supremum(self.intervals, found, weights, size))) * SLACK
        with np.errstate(over="ignore"):  # what is too large is infinite, which is a bound
            total = sum(np.square(_scaled(rows, maps[k], rests[k])) / norms[k] for k in used)
        return float(np.sqrt(total) * SLACK)

    def _size(self, row: Row, column: Quantity) -> int:
        first = row.terms[0].map
        return self.intervals.sizes[(column if first is None else first).axes[0]]

    def _top(self, term: Term, size: int) -> Array:
        """sup |a| of one coefficient, unit by unit."""
        numbers = self.intervals.numbers
        found = profile(self.intervals.cell, [term.coefficient])
        return numbers.above(unit_supremum(self.intervals, found, [numbers.array(np.ones(size))], size))

    def _map(self, term: Term) -> Array | None:
        if term.map is None:
            return None
        if isinstance(term.map, MeanMap):
            size = self.intervals.sizes[term.map.axes[0]]
            return np.full((size, size), 1.0 / size)
        return np.asarray(self.intervals.params[term.map.name], dtype=np.float64)


def _scaled(rows: Array, matrix: Array | None, rest: float) -> float:
    """‖diag(rows) matrix‖ · rest; an infinite row counts where it multiplies something."""
    if matrix is None:
        return float(rows.max(initial=0.0) * rest) if rest else 0.0
    live = (matrix != 0).any(axis=1)
    if not rest or not (live & (rows > 0)).any():
        return 0.0
    if np.isinf(rest) or np.isinf(rows[live]).any():
        return float(np.inf)
    return spectral_norm(np.where(live, rows, 0.0)[:, None] * matrix) * rest * SLACK
