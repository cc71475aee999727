"""Which box of states and inputs a bound speaks of, for given weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import sympy

from derive.anatomy import write
from derive.bounds.arithmetic import Arithmetic, Array, Floats
from derive.bounds.intervals import Interval, Intervals
from derive.bounds.invariant import invariant_boxes
from derive.cell import Cell
from derive.errors import DeriveError, EvaluationError, nearest
from derive.symbols import Input, Previous, Quantity, State

MOST_ROUNDS = 60
"""Of the search for a box that the weights do not leave."""

Limits = Any
"""A bound of absolute values: a number, an array, or a mapping of them by name; None for none."""


def step_intervals(
    cell: Cell, params: Mapping[str, Any], numbers: Arithmetic, states: Limits = None, inputs: Limits = None
) -> Intervals:
    """The ranges of a step with these weights.

    A state is within what ``states`` says, or in its proved invariant interval, or, where neither is, in an
    interval that is solved for from the weights: with a carry of at most c < 1 and an increment of at most r,
    |s| ≤ r/(1 - c) is not left.  If there is none, the state may be anything.
    """
    sizes = axis_sizes(cell, params)
    box: dict[Quantity, Interval] = {}
    for name, limit in named_limits(cell, inputs, cell.inputs, "inputs").items():
        box[cell.symbols[name]] = _around(cell.symbols[name], limit, sizes, numbers)
    given = named_limits(cell, states, cell.states, "states")
    open_states: list[State] = []
    inductive: set[str] = set()
    for found in invariant_boxes(cell):
        state = found.state
        if state.name in given:
            box[state.prev] = _around(state, given[state.name], sizes, numbers)
        elif found.range.is_finite:
            ends = (numbers.number(e) for e in (found.range.low, found.range.high))
            box[state.prev] = Interval(*(_filled(state, e, sizes, numbers) for e in ends))
            inductive.add(state.name)
        else:
            open_states.append(state)
    solved = _solve(cell, params, numbers, sizes, box, open_states)
    box |= solved
    inductive |= {q.label for q in solved if isinstance(q, Previous)}
    everywhere = all(isinstance(q, Input) or q.label in inductive for q in box)
    return Intervals(cell, numbers, params, box, sizes, frozenset(inductive) if everywhere else frozenset())


def named_limits(cell: Cell, limits: Limits, names: tuple[str, ...], what: str) -> dict[str, Any]:
    """``limits`` by name; a number stands for all of them."""
    if limits is None:
        return {}
    if not isinstance(limits, Mapping):
        limits = dict.fromkeys(names, limits)
    for name, limit in limits.items():
        if name not in names:
            known = ", ".join(names) or "none"
            raise DeriveError(f"{cell.name}: {what} has no {name!r}{nearest(name, names)} There are: {known}")
        if isinstance(limit, sympy.Expr) and not limit.is_number:
            continue
        if not (np.asarray(limit, dtype=np.float64) >= 0).all():
            raise DeriveError(f"{cell.name}: {what}[{name!r}] is {limit}; expected a bound of |{name}|, ≥ 0")
    return dict(limits)


def axis_sizes(cell: Cell, params: Mapping[str, Any]) -> dict[str, int]:
    """The sizes of the axes, from the parameters; vectors must have one axis each."""
    missing = [name for name in cell.parameters if name not in params]
    unknown = [name for name in params if name not in cell.parameters]
    if missing or unknown:
        what = f"missing parameters {missing}" if missing else f"unknown parameters {unknown}"
        raise EvaluationError(f"{cell.name}: {what}; expected {', '.join(cell.parameters)}")
    vectors: list[Quantity] = [*cell.equations, *(cell.symbols[x] for x in cell.inputs)]
    wide = [q for q in vectors if len(q.axes) > 1]
    if wide:
        raise DeriveError(
            f"{cell.name}: {wide[0]} has axes {wide[0].axes}; bounds for weights need one axis each"
        )
    sizes: dict[str, int] = {}
    for name, axes in cell.parameters.items():
        shape = np.shape(params[name])
        if len(shape) != len(axes) or any(
            sizes.setdefault(a, k) != k for a, k in zip(axes, shape, strict=True)
        ):
            wanted = ", ".join(f"{a}={sizes[a]}" if a in sizes else a for a in axes)
            raise EvaluationError(f"{cell.name}: {name} has shape {shape}, expected ({wanted})")
    needed = {a for s in cell.states for a in cell.axes(s)} | {a for x in cell.inputs for a in cell.axes(x)}
    if needed - sizes.keys():
        raise DeriveError(f"{cell.name}: no parameter has the axis {min(needed - sizes.keys())}")
    return sizes


def _filled(quantity: Quantity, value: Any, sizes: Mapping[str, int], numbers: Arithmetic) -> Array:
    return np.asarray(np.broadcast_to(numbers.array(value), (sizes[quantity.axes[0]],)))


def _around(quantity: Quantity, limit: Any, sizes: Mapping[str, int], numbers: Arithmetic) -> Interval:
    high = _filled(quantity, np.asarray(limit, dtype=np.float64), sizes, numbers)
    return Interval(-high, high)


def _solve(
    cell: Cell,
    params: Mapping[str, Any],
    numbers: Arithmetic,
    sizes: Mapping[str, int],
    box: Mapping[Quantity, Interval],
    unknown: list[State],
) -> dict[Quantity, Interval]:
    """Symmetric intervals that the weights keep: searched in floats, checked in ``numbers``."""
    if not unknown:
        return {}
    if isinstance(numbers, Floats):
        known = dict(box)
    else:
        low_high = {q: (numbers.above(-i.low), numbers.above(i.high)) for q, i in box.items()}
        known = {q: Interval(-low, high) for q, (low, high) in low_high.items()}
    for start in (0.0, np.inf):  # from above there is an end where from below it is too far, or far away
        limits = {s: np.full(sizes[s.axes[0]], start) for s in unknown}
        for _ in range(MOST_ROUNDS):
            following = _following(cell, params, sizes, known, limits, unknown)
            if following is None:
                break
            settled = all(np.allclose(following[s], limits[s], rtol=1e-9, atol=0.0) for s in unknown)
            limits = following
            if settled:
                break
        kept = _kept(cell, params, numbers, sizes, box, limits)
        if kept:
            return kept
    return {}


def _kept(
    cell: Cell,
    params: Mapping[str, Any],
    numbers: Arithmetic,
    sizes: Mapping[str, int],
    box: Mapping[Quantity, Interval],
    limits: Mapping[State, Array],
) -> dict[Quantity, Interval]:
    """The symmetric intervals, a little larger, if a step does not lead out of them; else none."""
    if not all(np.isfinite(limit).all() for limit in limits.values()):
        return {}
    inflated: dict[Quantity, Interval] = {
        s.prev: _around(s, limit * (1 + 1e-6) + 1e-12, sizes, numbers) for s, limit in limits.items()
    }
    check = Intervals(cell, numbers, params, {**box, **inflated}, sizes)
    kept = all(bool((check.magnitude(s) <= inflated[s.prev].high).all()) for s in limits)
    return inflated if kept else {}


def _following(
    cell: Cell,
    params: Mapping[str, Any],
    sizes: Mapping[str, int],
    known: Mapping[Quantity, Interval],
    limits: Mapping[State, Array],
    unknown: list[State],
) -> dict[State, Array] | None:
    """One round: r/(1 - c) with carry and increment as they are within the present limits; None: no end."""
    floats = Floats()
    now = {s.prev: Interval(-limit, limit) for s, limit in limits.items()}
    found = Intervals(cell, floats, params, {**known, **now}, sizes)
    following = {}
    for state in unknown:
        size = (sizes[state.axes[0]],)
        memory = write(cell, state)
        if memory.site == state and memory.is_incremental:
            carry = np.broadcast_to(found.magnitude(memory.carry), size)
            increment = np.broadcast_to(found.magnitude(memory.increment), size)
            if not (carry < 1).all():
                return None
            limit = increment / (1 - carry)
        else:
            limit = np.broadcast_to(found.magnitude(state), size)
        if not np.isfinite(limit).all() or limit.max(initial=0) > 1e9:
            return None
        following[state] = limit
    return following
