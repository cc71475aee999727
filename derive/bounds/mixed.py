"""Rows through two maps, the second one in its 2-norm.

Behind a map W, row i is Σₖ |W_ik| (what stands at unit k).  Where a second map V follows there, its rows add
up without any cancellation: Σₖ |W_ik| |aₖ| Σₗ |V_kl| d_l.  But the row vector (W_i ∘ a) V has 1-norm at most
‖d‖₂ ‖V‖₂ ‖W_i ∘ a‖₂, less by up to √n where V is near an orthogonal matrix.  To keep the supremum joint with
what else stands at unit k, the root is linearized: √q ≤ q/(2τ) + τ/2 for every τ > 0.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from derive.bounds.arithmetic import Array
from derive.bounds.profile import profile
from derive.bounds.rows import Row, Term
from derive.bounds.two_norm import SLACK, TwoNorms
from derive.bounds.unitwise import unit_supremum
from derive.symbols import MeanMap, Previous, Quantity

LARGEST = 64
"""Units; every pair of them is a maximization of its own."""
FRACTIONS = (1.0, 0.7, 0.45, 0.25)
"""Of the largest root that is possible: the values of τ that are tried."""


def mixed_rows(norms: TwoNorms, term: Term, weights: Mapping[Quantity, Array]) -> Array | None:
    """Bounds of the rows of ``map · rest``, or None where this has nothing to say."""
    if term.map is None or term.rest is None or isinstance(term.map, MeanMap):
        return None
    plain = [t for t in term.rest.terms if t.rest is None]
    mapped = [t for t in term.rest.terms if t.rest is not None]
    intervals = norms.intervals
    numbers = intervals.numbers
    units = intervals.sizes[term.map.axes[1]]
    if not mapped or units > LARGEST:
        return None
    scales = [_scale(norms, t, weights) for t in mapped]
    if not np.isfinite(scales).all() or not all(scales):
        return None
    matrix = numbers.magnitude(intervals.params[term.map.name])
    tops = [_tops(norms, t, units) for t in mapped]
    if not np.isfinite(tops).all():
        return None
    found = profile(intervals.cell, [t.coefficient for t in plain], [t.coefficient for t in mapped])
    reach = np.abs(np.asarray(intervals.params[term.map.name], dtype=np.float64))
    best: Array | None = None
    for fraction in FRACTIONS:
        roots = [np.maximum(fraction * np.sqrt((reach**2) @ top**2), 1e-30) for top in tops]
        ones = [matrix * _weight(t, weights) for t in plain]
        squares = [
            matrix * matrix * numbers.array(scale) / (2 * numbers.array(root[:, None]))
            for scale, root in zip(scales, roots, strict=True)
        ]
        rows = unit_supremum(intervals, found, ones + squares, units).sum(axis=1)
        for scale, root in zip(scales, roots, strict=True):
            rows = rows + numbers.array(scale) * numbers.array(root) / 2
        best = rows if best is None else numbers.least(best, rows)
    return best


def _weight(term: Term, weights: Mapping[Quantity, Array]) -> Array:
    if term.column is None:
        raise TypeError("a term without a map ends at a column")
    return weights[term.column]


def _tops(norms: TwoNorms, term: Term, units: int) -> Array:
    """sup |a| by unit."""
    numbers = norms.intervals.numbers
    found = profile(norms.intervals.cell, [term.coefficient])
    return numbers.above(unit_supremum(norms.intervals, found, [numbers.array(np.ones(units))], units))


def _scale(norms: TwoNorms, term: Term, weights: Mapping[Quantity, Array]) -> float:
    """‖d‖₂ ‖V rest‖₂, the columns of all states side by side."""
    only = Row((Term(term.coefficient / term.coefficient, term.map, term.rest),))
    total = 0.0
    for column in weights:
        block = norms.block(only, column) if isinstance(column, Previous) else 0.0
        size = float(np.sqrt((norms.intervals.numbers.above(weights[column]) ** 2).sum()))
        total += block * size * SLACK if block else 0.0
    return total * SLACK
