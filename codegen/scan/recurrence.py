"""What a linear, diagonal recurrence is: which states move together, by which coefficients, plus what.

Nothing here knows of torch.  Both directions of a loop have this shape: the states forwards, and, as a
gradient is linear in the gradients it is made of, the carried gradients backwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import sympy

from codegen.errors import Unsupported
from codegen.loop import LoopStatement
from codegen.plan import Assignment
from derive.symbols import Activated, Quantity, Vector


@dataclass(frozen=True)
class Moved:
    """``symbol = Σ coefficients[past] * past + addend``, with both free of the pasts."""

    coefficients: Mapping[Quantity, sympy.Expr]
    addend: sympy.Expr


class Recurrence:
    """The statements of a step, sorted by whether they need the values that the step before left.

    ``pairs`` maps each of those (the past) to what the step leaves in its place.  Raises
    :class:`~codegen.errors.Unsupported` where a step does not leave an affine function of each unit's pasts.
    """

    def __init__(self, statements: Sequence[LoopStatement], pairs: Mapping[Quantity, Vector]) -> None:
        self.pairs = dict(pairs)
        self._dependent: set[Quantity] = set(pairs)
        self.early: list[LoopStatement] = []
        """What no past enters, in order."""
        self.late: list[LoopStatement] = []
        """What some past enters, in order."""
        for statement in statements:
            if statement.reads & self._dependent:
                self._dependent |= set(statement.symbols)
                self.late.append(statement)
            else:
                self.early.append(statement)
        self._binding = {symbol: s for s in self.late for symbol in s.symbols}
        self._known: dict[Quantity, Moved] = {
            past: Moved({past: sympy.S.One}, sympy.S.Zero) for past in pairs
        }
        self.moved = {past: self._affine(new) for past, new in self.pairs.items()}

    @cached_property
    def groups(self) -> tuple[tuple[Quantity, ...], ...]:
        """The pasts that must be found together, in an order in which each group needs but itself and
        those before it; and never a group that a scan finds without need."""
        needs = {past: set(moved.coefficients) for past, moved in self.moved.items()}
        reached = {past: self._reached(past, needs) for past in self.pairs}
        left = list(self.pairs)
        found: list[tuple[Quantity, ...]] = []
        while left:
            ready = next(p for p in left if all(q not in left or p in reached[q] for q in reached[p]))
            group = tuple(q for q in left if q == ready or (q in reached[ready] and ready in reached[q]))
            found.append(group)
            left = [q for q in left if q not in group]
        return tuple(found)

    def is_scanned(self, group: Sequence[Quantity]) -> bool:
        """Whether a group moves by its own past; else it is a formula in the groups before it."""
        return any(q in self.moved[past].coefficients for past in group for q in group)

    def needed(self, wanted: set[Quantity]) -> Iterator[LoopStatement]:
        """The late statements that these quantities need, once all pasts are at hand."""
        found: list[LoopStatement] = []
        for statement in reversed(self.late):
            if wanted & (set(statement.symbols) - set(self.pairs.values())):
                found.append(statement)
                wanted = wanted | statement.reads
        return reversed(found)

    @staticmethod
    def _reached(past: Quantity, needs: Mapping[Quantity, set[Quantity]]) -> set[Quantity]:
        found: set[Quantity] = set()
        front = [past]
        while front:
            new = needs[front.pop()] - found
            found |= new
            front += new
        return found

    def _affine(self, symbol: Quantity) -> Moved:
        """A symbol in the pasts, through all the statements in between."""
        if symbol not in self._known:
            statement = self._binding.get(symbol)
            if statement is None:
                return Moved({}, symbol)
            self._known[symbol] = self._through(statement)
        return self._known[symbol]

    def _through(self, statement: LoopStatement) -> Moved:
        if not isinstance(statement, Assignment) or isinstance(statement.expr, Activated):
            raise self._refusal(statement)
        inside = sorted(statement.expr.atoms(Quantity) & self._dependent, key=lambda q: q.name)
        coefficients: dict[Quantity, sympy.Expr] = {}
        addend = statement.expr.xreplace(dict.fromkeys(inside, sympy.S.Zero))
        for quantity in inside:
            factor = sympy.diff(statement.expr, quantity)
            if factor.atoms(Quantity) & self._dependent:
                factor = sympy.expand(factor)
            if factor.atoms(Quantity) & self._dependent:
                raise self._refusal(statement)
            moved = self._affine(quantity)
            addend += factor * moved.addend
            for past, coefficient in moved.coefficients.items():
                coefficients[past] = coefficients.get(past, sympy.S.Zero) + factor * coefficient
        return Moved({past: c for past, c in coefficients.items() if c != 0}, addend)

    def _refusal(self, statement: LoopStatement) -> Unsupported:
        names = ", ".join(symbol.name for symbol in statement.symbols)
        return Unsupported(
            f"{names} of the step is not, unit by unit, affine in {', '.join(q.name for q in self.pairs)}"
        )
