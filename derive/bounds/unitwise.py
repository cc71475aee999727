"""The supremum of a profile at every unit, over the ranges that the weights leave its variables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sympy

from derive.bounds.arithmetic import Array
from derive.bounds.intervals import Intervals
from derive.bounds.maxima import Ends, supremum
from derive.bounds.profile import Profile
from derive.bounds.suprema import suprema


def unit_supremum(intervals: Intervals, found: Profile, weights: Sequence[Array], units: int) -> Array:
    """For weights (…, units), the suprema (…, units): the last axis is the unit, others repeat the box."""
    shape = np.broadcast_shapes((units,), *(w.shape for w in weights))
    box = {v: _ends(intervals, v, found, shape) for v, _ in found.variables}
    flat = [np.broadcast_to(w, shape).reshape(-1) for w in weights]
    return supremum(suprema(found), flat, box, intervals.numbers, intervals.tolerance).reshape(shape)


def _ends(intervals: Intervals, variable: sympy.Symbol, found: Profile, shape: tuple[int, ...]) -> Ends:
    numbers = intervals.numbers
    interval = intervals(dict(found.variables)[variable])
    low, high = (np.broadcast_to(end, shape).reshape(-1) for end in (interval.low, interval.high))
    if variable not in found.absolute:
        return Ends(low, high)
    zero = numbers.array(np.zeros(low.shape))
    return Ends(numbers.greatest(low, -high, zero), numbers.greatest(abs(low), abs(high)))
