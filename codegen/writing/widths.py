"""How wide the value of a formula is: for every unit of every row, or less."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum

from codegen.loop import Loop, LoopStatement, Mean
from codegen.plan import Assignment
from derive.symbols import Quantity


class Width(Enum):
    """A number for each unit of each row; for each row; for each unit; one number alone."""

    FULL = "full"
    ROW = "row"
    UNIT = "unit"
    NUMBER = "number"


def together(widths: Iterable[Width]) -> Width:
    """The width of a formula in values of these widths."""
    found = set(widths) - {Width.NUMBER}
    if not found:
        return Width.NUMBER
    return found.pop() if len(found) == 1 else Width.FULL


def widths(loop: Loop) -> Mapping[Quantity, Width]:
    """The width of every quantity of a loop, forward and backward, as tensor libraries broadcast."""
    found: dict[Quantity, Width] = dict.fromkeys(loop.constants, Width.UNIT)
    _follow(loop.forward, found)
    _follow(loop.backward.recomputed, found)
    _follow(loop.backward.statements, found)
    return found


def _follow(statements: Iterable[LoopStatement], found: dict[Quantity, Width]) -> None:
    for statement in statements:
        for symbol in statement.symbols:
            if isinstance(statement, Mean):
                found[symbol] = Width.ROW
            elif isinstance(statement, Assignment):
                found[symbol] = together(found.get(q, Width.FULL) for q in statement.expr.atoms(Quantity))
            else:
                found[symbol] = Width.FULL
