"""What a backend is: a way of writing a plan as a file that defines a cell class and a layer class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache

from codegen.errors import CodegenError
from codegen.loop import Loop
from codegen.lowering import lower
from codegen.lowering.loop import lower_loop
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


@dataclass(frozen=True)
class Use:
    """What a layer will compute with, as far as it is known when its backend is chosen.

    * ``device``: torch's device type, ``"cpu"``, ``"cuda"``, ``"meta"``, …
    * ``dtype``: the type that the steps compute in (under autocast autocast's): ``"float32"``,
      ``"bfloat16"``, …, torch's name without ``torch.``, for choosing does not import torch.
    * ``hidden_size``: n.
    * ``steps``, ``batch``: T and B, None where they are not known.
    * ``grad``: whether gradients may be asked for.
    """

    device: str = "cpu"
    dtype: str = "float32"
    hidden_size: int | None = None
    steps: int | None = None
    batch: int | None = None
    grad: bool = True

    def __str__(self) -> str:
        sizes = {"n": self.hidden_size, "T": self.steps, "B": self.batch}
        known = [f"{name} = {size}" for name, size in sizes.items() if size is not None]
        return ", ".join([self.device, self.dtype, *known, *([] if self.grad else ["without gradients"])])


class Backend(ABC):
    """One way of turning cells into code; a file in this folder with a ``BACKEND`` is found by itself.

    What it emits defines two classes, named by :func:`codegen.writing.names.class_name`: ``<Name>Cell``,
    whose ``forward(x, state)`` is one step and whose parameters have the equations' names, and ``<Name>``
    with that cell as ``.cell``, whose ``forward(x, state)`` runs over time and whose ``trace(x, state)``
    gives every vector by name.

    Their instances hold what eager's hold (sizes, parameters, ``cell``) and nothing else, so that a layer
    changes its backend by changing its classes.
    """

    name: str

    @abstractmethod
    def emit(self, plan: Plan) -> str:
        """The source text of a plan; raises :class:`~codegen.errors.Unsupported` for what it cannot write."""

    def module(self, plan: Plan) -> str:
        """The Python source that ``build`` loads: what :meth:`emit` gives, unless that is not Python."""
        return self.emit(plan)

    def loop(self, plan: Plan) -> Loop | None:
        """The loop that this backend computes, None if it goes through the plan's phases step by step."""
        return None

    @abstractmethod
    def availability(self) -> Availability:
        """Whether emitted code can run on this machine."""

    def refusal(self, cell: Cell, use: Use | None = None) -> str | None:
        """Why this backend cannot write a cell or, with a use, cannot serve it; None if it can.

        Without a use the question is only whether the code can be written.
        """
        return None

    def preference(self, cell: Cell, use: Use) -> int:
        """``auto`` takes the backend with the highest, of those that can run and do not refuse.

        Eager has 0, fused 10.
        """
        return 0

    def how(self, cell: Cell, use: Use) -> str:
        """Which of its ways of computing a cell the backend takes for a use, and why; "" if it has but one.

        It is asked only about what it does not refuse.
        """
        return ""


@lru_cache(maxsize=256)
def loop_refusal(cell: Cell, *, sink: bool) -> str | None:
    """Why a cell has no :class:`~codegen.loop.Loop` (an activation without a slope, say), None if it has one.

    For backends that write loops; ``sink`` is that of :func:`~codegen.lowering.loop.lower_loop`.
    """
    try:
        lower_loop(lower(cell), sink=sink)
    except CodegenError as error:
        return str(error)
    return None
