"""A box of states and inputs that a step does not leave, and the ends of gates on it, as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy
from sympy import oo

from derive.anatomy import states, write
from derive.bounds import Bound
from derive.bounds.invariant import rational_ends
from derive.bounds.ranges import Range
from derive.bounds.symbols import norm_symbol, state_symbol, typeset_bound
from derive.calculus import step_jacobian
from derive.cell import Cell
from derive.claims.tools.ends import Ends, Interval, around
from derive.claims.tools.plain import from_plain, number_from_plain, to_plain
from derive.claims.tools.scaled import Scaled
from derive.claims.tools.shrinking import NotShown, Relation, Rows, nodes, parts
from derive.decide import Problem
from derive.show.text import typeset
from derive.symbols import Input, Quantity


@dataclass(frozen=True)
class Box:
    """``past``: state name → interval; its ends are numbers, or ±S with S in the symbols of norms and ends.

    ``limit`` bounds |x| for every input.  A state with the bound that is only its symbol stays there under
    the condition in ``keeping``.
    """

    cell: Cell
    past: Mapping[str, Interval]
    limit: sympy.Expr

    @classmethod
    def of(cls, found: Bound) -> Box:
        """The box that a bound speaks of."""
        ranges, cell = found.setting.ranges, found.cell
        past = {s.name: Interval(ranges(s.prev).low, ranges(s.prev).high) for s in states(cell)}
        limit = oo if found.setting.inputs is None else sympy.Rational(found.setting.inputs)
        return cls(cell, past, limit)

    def to_plain(self) -> dict[str, Any]:
        return {
            "inputs": str(self.limit),
            "states": {name: [to_plain(i.low), to_plain(i.high)] for name, i in self.past.items()},
            "ends": {s.name: to_plain(end.argument) for s, end in self.ends.named.items()},
        }

    @classmethod
    def from_plain(cls, cell: Cell, data: Mapping[str, Any]) -> Box:
        """The box again; the ends must be those of the walk."""
        known = [norm_symbol(p) for p in cell.parameters] + [state_symbol(s) for s in cell.states]
        known += [sympy.Symbol(name, positive=True) for name in data["ends"]]
        names = {s.name: s for s in known}
        past = {s: Interval(*(from_plain(end, names) for end in data["states"][s])) for s in cell.states}
        box = cls(cell, past, number_from_plain(data["inputs"]))
        if {s.name: to_plain(end.argument) for s, end in box.ends.named.items()} != data["ends"]:
            raise NotShown("the ends are not those of the equations")
        return box

    @property
    def symbols(self) -> set[sympy.Symbol]:
        """Of norms, of ends and of states' bounds."""
        of_states = (i.high.free_symbols for i in self.past.values())
        norms = {norm_symbol(p) for p in self.cell.parameters}
        return (norms | set(self.ends.named)).union(*of_states)

    @property
    def open(self) -> tuple[str, ...]:
        """States whose bound is a symbol, to be chosen."""
        return tuple(s for s, i in self.past.items() if i.high == state_symbol(s))

    @cached_property
    def ends(self) -> Ends:
        """The ends of all gates and nodes of the Jacobian.

        Those behind a bound |s| ≤ r̄/(1 - c̄) come first: they hold whatever s is, and it is written in them.
        """
        box: dict[Quantity, Interval] = {
            q: around(self.limit) for q in self.cell.symbols.values() if isinstance(q, Input)
        }
        solved = [s for s in states(self.cell) if not self.past[s.name].is_number and s.name not in self.open]
        given = {s.prev: self.past[s.name] for s in states(self.cell)}
        before = Ends(self.cell, box | {q: i for q, i in given.items() if q not in {s.prev for s in solved}})
        for state in solved:
            memory = write(self.cell, state)
            before(memory.carry)
            before(memory.increment)
        found = Ends(self.cell, box | given, stays=not self.open, named=dict(before.named))
        for state in states(self.cell):
            found.next(state)
        words = (w for row in step_jacobian(self.cell).blocks for block in row for w in block.words)
        for node in sorted(
            {n for w in words for c in w.coefficients for p in parts(c)[1] for n in nodes(p)}, key=str
        ):
            found(node)
        return found

    @cached_property
    def keeping(self) -> tuple[Relation, ...]:
        """f̄ |c| + ī sup c̃ ≤ |c|, for a bound |c| that is to be chosen."""
        return tuple(
            (self.ends.next(state).magnitude, "<=", state_symbol(state.name))
            for state in states(self.cell)
            if state.name in self.open
        )

    @property
    def kept(self) -> bool:
        """Whether there is such a bound at all: what is written must be bounded."""
        return not any(left.has(oo) for left, _, _ in self.keeping)

    def problems(self, rows: Rows) -> Iterator[Problem]:
        """That the other states stay in their intervals.

        Intervals of numbers need no weights, and are shown here: :class:`NotShown` where it is not so.
        """
        numbers = {s: rational_ends(Range(i.low, i.high)) for s, i in self.past.items() if i.is_number}
        for state in states(self.cell):
            interval = self.past[state.name]
            if not interval.is_number and interval.low != -interval.high:
                raise NotShown(f"the interval of {state.name} is not symmetric")
            if state.name in self.open:
                continue
            if interval.is_number:
                scaled = Scaled(self.cell, numbers)
                found = scaled.interval(scaled(state))
                low, high = numbers[state.name]
                if found is None or not low <= found[0] <= found[1] <= high:
                    raise NotShown(f"{state.name} may leave [{low}, {high}]")
            else:
                slack = sympy.together(interval.high - self.ends.next(state).magnitude)
                yield from rows.nonnegative(sympy.Mul(*sympy.fraction(slack)))
                rows.cleared(interval.high)
        yield from rows.divisions()

    @property
    def assumptions(self) -> tuple[str, ...]:
        """In words."""
        told = [
            f"any {x}" if self.limit == oo else f"|{x}| ≤ {self.limit}"
            for x in map(typeset, self.cell.inputs)
        ]
        for name, interval in self.past.items():
            if name in self.open:
                told.append(f"{typeset(name)} bounded by a number |{typeset(name)}|")
            elif interval.is_number:
                told.append(f"{typeset(name)} in [{interval.low}, {interval.high}], where it stays")
            else:
                told.append(f"|{typeset(name)}| ≤ {typeset_bound(interval.high)}, where it stays")
        return tuple(told)


def spoken_ends(box: Box, mentioned: Iterable[sympy.Symbol]) -> list[str]:
    """What the ends in a condition stand for, to the last: z̄ = σ(‖W_z‖ + ‖U_z‖ + ‖b_z‖)."""
    told: list[str] = []
    frontier = set(mentioned).union(*(i.high.free_symbols for i in box.past.values()))
    needed: set[sympy.Symbol] = set()
    while frontier:
        needed |= frontier
        frontier = set().union(
            *(box.ends.named[s].argument.free_symbols for s in frontier if s in box.ends.named)
        )
        frontier -= needed
    for symbol, end in box.ends.named.items():
        if symbol in needed:
            phi = end.activation.text or end.activation.name
            told.append(f"{typeset_bound(symbol)} = {phi}({typeset_bound(end.argument)})")
    return told
