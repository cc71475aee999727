"""What a symbolic bound assumes: the box of states and inputs, and the ranges that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sympy

from derive.anatomy import write
from derive.bounds.boxes import Limits, named_limits
from derive.bounds.invariant import invariant_boxes
from derive.bounds.ranges import Range, Ranges, symmetric
from derive.bounds.symbols import state_symbol, typeset_bound
from derive.cell import Cell
from derive.show.text import typeset
from derive.symbols import Quantity, State


@dataclass(frozen=True)
class Setting:
    """``ranges`` over the box, ``symbols`` of states that nothing bounds, and the assumptions in words."""

    ranges: Ranges
    symbols: Mapping[str, sympy.Symbol]
    assumptions: tuple[str, ...]
    states: Limits
    inputs: Limits

    def put_in(self, expr: Any) -> Any:
        """Replace the symbols of gates' upper ends by what they stand for, to the last."""
        while expr.free_symbols & self.ranges.gate_bounds.keys():
            expr = expr.xreplace(self.ranges.gate_bounds)
        return expr


def setting(cell: Cell, norm: Any, states: Limits, inputs: Limits) -> Setting:
    """The box that a caller asks for, completed by what is proved."""
    limits = named_limits(cell, inputs, cell.inputs, "inputs")
    given = named_limits(cell, states, cell.states, "states")
    box: dict[Quantity, Range] = {cell.symbols[x]: symmetric(_exact(limit)) for x, limit in limits.items()}
    notes = [f"|{typeset(x)}| ≤ {typeset_bound(_exact(limit))}" for x, limit in limits.items()]
    notes += [f"any {typeset(x)}" for x in cell.inputs if x not in limits]
    unknown: list[State] = []
    inductive: set[str] = set()
    for found in invariant_boxes(cell):
        state, name = found.state, typeset(found.state.name)
        if state.name in given:
            box[state.prev] = symmetric(_exact(given[state.name]))
            notes.append(f"|{name}| ≤ {typeset_bound(box[state.prev].high)}")
        elif found.range.is_finite:
            box[state.prev] = found.range
            inductive.add(state.name)
            notes.append(f"{name} in [{found.range.low}, {found.range.high}], where it stays")
        else:
            unknown.append(state)
    before = Ranges(cell, dict(box), norm)
    solved = {s: r for s in unknown if (r := _solved(cell, s, before)) is not None}
    symbols = {}
    for state in unknown:
        if state in solved:
            box[state.prev] = solved[state]
            inductive.add(state.name)
            notes.append(f"|{typeset(state.name)}| ≤ {typeset_bound(solved[state].high)}, where it stays")
        else:
            symbols[state.name] = state_symbol(state.name)
            box[state.prev] = symmetric(symbols[state.name])
            notes.append(f"{typeset(state.name)} bounded by a number {typeset_bound(symbols[state.name])}")
    stays = not given and not symbols
    ranges = Ranges(cell, box, norm, frozenset(inductive) if stays else frozenset())
    if solved:
        ranges.gate_bounds, ranges.tops, ranges.attained = before.gate_bounds, before.tops, before.attained
        ranges.settled = frozenset(before.gate_bounds)
    return Setting(ranges, symbols, tuple(notes), states, inputs)


def _solved(cell: Cell, state: State, ranges: Ranges) -> Range | None:
    """[-r̄/(1 - c̄), r̄/(1 - c̄)], if the carry's supremum c̄ is a gate's upper end, which is below 1."""
    memory = write(cell, state)
    if memory.site != state or not memory.is_incremental:
        return None
    carry, increment = ranges(memory.carry), ranges(memory.increment).magnitude
    below_one = carry.magnitude in ranges.tops.keys() - ranges.attained
    if not below_one or not carry.positive or increment.has(sympy.oo):
        return None
    return symmetric(increment / (1 - carry.magnitude))


def _exact(limit: Any) -> sympy.Expr:
    """A number as a Rational, so that nothing is rounded before it is evaluated."""
    value = sympy.sympify(limit)
    return sympy.nsimplify(value, rational=True) if value.is_Float else value
