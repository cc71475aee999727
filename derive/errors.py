"""The exceptions of ``derive``: one small family, each a subclass of the built-in that users expect."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from derive.cell import Cell
    from derive.symbols import Vector


class DeriveError(Exception):
    """Base of everything that ``derive`` raises on purpose."""


class MalformedCell(DeriveError, ValueError):
    """A declaration that is not a well-formed cell; the message shows the equation and its neighbours."""


class UnknownCell(DeriveError, KeyError):
    """A name that is not in the catalogue."""

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return str(self.args[0]) if self.args else ""


class UnknownRule(DeriveError, KeyError):
    """A name that is no rule, or an option that the rule does not have."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class RuleDoesNotApply(DeriveError):
    """A rule's condition does not hold; the message names the equation at fault.

    The message is put together when it is read: searches meet thousands of refusals that nobody reads.
    """

    def __init__(self, cell: Cell, problem: str, at: Vector | None = None) -> None:
        super().__init__(cell, problem, at)
        self.cell, self.problem, self.at = cell, problem, at

    def __str__(self) -> str:
        lines = [f"{self.cell.name}: {self.problem}"]
        if self.at is not None:
            lines.append(f"  at: {self.cell.line(self.at)}")
        return "\n".join(lines)


class AlreadyHolds(RuleDoesNotApply):
    """A rule's refusal because the cell already has what the rule would bring.

    Searches take their bearings from it.
    """


class BrokenPromise(DeriveError):
    """A rule's rewrite did not buy what the rule promises: a fault of the rule, not of the user."""


class NoPath(DeriveError):
    """Search found no derivation from one cell to the other."""


class EvaluationError(DeriveError, ValueError):
    """Numbers that do not fit the cell: a parameter is missing, or a shape is wrong."""


def nearest(name: str, known: Iterable[str], *, none: str = ".") -> str:
    """How a sentence about an unknown name ends: ``; did you mean 'gru'?``, or ``none``."""
    lowered = {str(k).lower(): str(k) for k in known}  # GRU is near gru
    matches = [lowered[m] for m in difflib.get_close_matches(str(name).lower(), lowered, n=3, cutoff=0.5)]
    return f"; did you mean {' or '.join(repr(m) for m in matches)}?" if matches else none
