"""What a backend is: a way of writing a plan as a file that defines a cell class and a layer class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from codegen.plan import Plan
from derive.cell import Cell


@dataclass(frozen=True)
class Availability:
    """Whether a backend can run on this machine, and why or why not."""

    can_run: bool
    why: str

    def __bool__(self) -> bool:
        return self.can_run

    def __str__(self) -> str:
        return f"{'runs here' if self.can_run else 'cannot run here'}: {self.why}"


class Backend(ABC):
    """One way of turning cells into code; a file in this folder with a ``BACKEND`` is found by itself.

    What it emits defines two classes, named by :func:`codegen.writing.names.class_name`: ``<Name>Cell``,
    whose ``forward(x, state)`` is one step and whose parameters have the equations' names, and ``<Name>``
    with that cell as ``.cell``, whose ``forward(x, state)`` runs over time and whose ``trace(x, state)``
    gives every vector by name.
    """

    name: str
    preference: int = 0
    """Among the backends that can run, ``auto`` takes the one with the highest."""

    @abstractmethod
    def emit(self, plan: Plan) -> str:
        """The source text of a plan; raises :class:`~codegen.errors.Unsupported` for what it cannot write."""

    @abstractmethod
    def availability(self) -> Availability:
        """Whether emitted code can run on this machine."""

    def refusal(self, cell: Cell) -> str | None:
        """Why this backend cannot write a cell, or None if it can."""
        return None
