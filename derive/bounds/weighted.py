"""Bounds of the step's Jacobian for given weights, unit by unit.

In the ∞-norm, and in every norm max |vᵢ|/dᵢ, row i of the Jacobian is at most the supremum over the box of
what stands in it at unit i, with each |Wⱼ| applied to the rows within.  The best d is found by power
iteration (the map is monotone and homogeneous, so that is its Perron vector): it needs no block matrix of
norms and is never worse than one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from derive.bounds.arithmetic import Arithmetic, Array
from derive.bounds.intervals import Intervals
from derive.bounds.mixed import mixed_rows
from derive.bounds.profile import profile
from derive.bounds.rows import Row, Term, state_rows
from derive.bounds.two_norm import TwoNorms
from derive.bounds.unitwise import unit_supremum
from derive.cell import Cell
from derive.symbols import MeanMap, Previous, Quantity

NEAR, FINE, COARSE = 1e-2, 1e-9, 1e-3
SHIFT = 0.25
"""Of the power iteration, relative to the radius."""
MOST_ITERATIONS = 60
"""Of the power iteration for the weights of a norm; more brings no digit that matters."""


@dataclass
class WeightedBounds:
    """The bounds of one cell with given weights, over a box of states and inputs (in ``intervals``)."""

    cell: Cell
    intervals: Intervals

    def __post_init__(self) -> None:
        self._norms = TwoNorms(self.intervals)

    @property
    def numbers(self) -> Arithmetic:
        return self.intervals.numbers

    def row_bounds(self, weights: Mapping[Quantity, Array]) -> list[Array]:
        """For each state, unit by unit: the supremum of Σₖ |J_ik| d_k, with d given for every past state."""
        rows = zip(state_rows(self.cell), self._past(), strict=True)
        return [self._row(row, weights, self._size(s)) for row, s in rows]

    def infinity_norm(self) -> float:
        """The ∞-norm of the Jacobian of all states stacked."""
        ones: dict[Quantity, Array] = {s: self.numbers.array(np.ones(self._size(s))) for s in self._past()}
        return max(float(self.numbers.above(r).max()) for r in self.row_bounds(ones))

    def rate(self) -> tuple[float, dict[str, Array]]:
        """``(ρ, d)``: every step contracts by ρ in the norm max |vᵢ|/dᵢ, if ρ < 1; d by state name.

        The best d is searched in float64; ρ is then what :meth:`contraction` says of it.
        """
        floats = replace(self, intervals=self.intervals.in_floats())
        weights = {s.label: d for s, d in floats._perron().items()}
        return self._closely(weights), weights

    def contracts(self) -> tuple[float, dict[str, Array]] | None:
        """``(ρ, d)`` with ρ < 1, the first that is found; None where no d will do.

        It takes less time than the best one: the power iteration ends at the first d with ρ < 1, or where no
        row is below its d, for then none is in any norm of the kind (Collatz and Wielandt).
        """
        coarse = replace(self.intervals.in_floats(), tolerance=COARSE)
        search = replace(self, intervals=coarse)
        weights = {s: np.ones(self._size(s)) for s in self._past()}
        for _ in range(MOST_ITERATIONS):
            ratio, above = search._contraction(weights)
            if ratio < 1 + 2 * COARSE:
                named = {s.label: d for s, d in weights.items()}
                rate = self._closely(named)
                if rate < 1:
                    return rate, named
            least = min(float((above[s] / weights[s]).min()) for s in weights)
            if not np.isfinite(ratio) or least >= 1 + 2 * COARSE:
                return None
            weights = _next(weights, above, SHIFT)
        return None

    def _closely(self, weights: Mapping[str, Array]) -> float:
        """The contraction in a norm; where that decides, it is worth a closer look."""
        rate = self.contraction(weights)
        if abs(rate - 1) < NEAR:
            closer = replace(self, intervals=replace(self.intervals, tolerance=FINE))
            rate = min(rate, closer.contraction(weights))
        return rate

    def contraction(self, weights: Mapping[str, Array]) -> float:
        """The factor ρ of a step in the norm max |vᵢ|/dᵢ, with d (n,) in float64 by state name."""
        named = {s: np.asarray(weights[s.label], dtype=np.float64) for s in self._past()}
        return self._contraction(named)[0]

    def _perron(self) -> dict[Previous, Array]:
        """Power iteration for the weights of a norm."""
        weights = {s: np.ones(self._size(s)) for s in self._past()}
        best, chosen = np.inf, weights
        for _ in range(MOST_ITERATIONS):
            ratio, above = self._contraction(weights)
            gained = best - ratio
            if gained > 0:
                best, chosen = ratio, weights
            if not np.isfinite(ratio) or ratio == 0 or gained < 1e-6 * best:
                break
            weights = _next(weights, above, SHIFT * ratio)
        return chosen

    def _contraction(self, weights: Mapping[Previous, Array]) -> tuple[float, dict[Previous, Array]]:
        rows = self.row_bounds({s: self.numbers.array(d) for s, d in weights.items()})
        above = dict(zip(self._past(), (self.numbers.above(r) for r in rows), strict=True))
        return max(float((above[s] / weights[s]).max()) for s in weights) * (1 + 1e-15), above

    def block_norms(self) -> Array:
        """The matrix N of bounds of the 2-norms of the blocks, states by states, in float64."""
        return np.array([[self._norms.block(r, s) for s in self._past()] for r in state_rows(self.cell)])

    # rows

    def _past(self) -> list[Previous]:
        return [Previous(s, *self.cell.axes(s)) for s in self.cell.states]

    def _size(self, quantity: Quantity) -> int:
        return self.intervals.sizes[quantity.axes[0]]

    def _row(self, row: Row, weights: Mapping[Quantity, Array], size: int) -> Array:
        if not row.terms:
            return self.numbers.array(np.zeros(size))
        inner = [self._term(term, weights, size) for term in row.terms]
        found = profile(self.cell, [t.coefficient for t in row.terms])
        return unit_supremum(self.intervals, found, inner, size)

    def _term(self, term: Term, weights: Mapping[Quantity, Array], size: int) -> Array:
        if term.rest is None or term.map is None:
            assert term.column is not None
            return weights[term.column]
        if isinstance(term.map, MeanMap):
            rest = self._row(term.rest, weights, size)
            squared = rest * rest if term.root_mean_square else rest
            mean = np.asarray(squared.sum() / max(size, 1))
            return np.broadcast_to(self.numbers.root(mean) if term.root_mean_square else mean, (size,))
        rest = self._row(term.rest, weights, self.intervals.sizes[term.map.axes[1]])
        rows = self._applied(self.numbers.magnitude(self.intervals.params[term.map.name]), rest)
        mixed = mixed_rows(self._norms, term, weights)
        return rows if mixed is None else self.numbers.least(rows, mixed)

    def _applied(self, matrix: Array, rows: Array) -> Array:
        """|W| @ rows; an infinite row counts where its weight is not 0."""
        infinite = np.isinf(self.numbers.above(rows))
        if not infinite.any():
            return self.numbers.product(matrix, rows)
        total = self.numbers.product(matrix, np.where(infinite, self.numbers.array(0.0), rows))
        reached = (np.asarray(matrix != 0, dtype=bool) & infinite).any(axis=1)
        return np.where(reached, self.numbers.array(np.inf), total)


def _next(
    weights: Mapping[Previous, Array], above: Mapping[Previous, Array], shift: float
) -> dict[Previous, Array]:
    """One power iteration of N + shift: states that take turns, [[0, W], [V, 0]], would go round with N."""
    moved = {s: a + shift * weights[s] for s, a in above.items()}
    top = max(float(a.max()) for a in moved.values())
    return {s: np.maximum(a / top, 1e-9) for s, a in moved.items()}
