"""The loop as one operator with a derived adjoint, in torch operations alone: no compiler, any device."""

from __future__ import annotations

from codegen.backends.base import Availability, Backend, Use, loop_refusal
from codegen.loop import Loop
from codegen.lowering.loop import lower_loop
from codegen.plan import Plan
from codegen.writing.loop_file import loop_file
from derive.cell import Cell


class Fused(Backend):
    """Eager's file, with a layer that runs all steps as one node of the graph."""

    name = "fused"

    def availability(self) -> Availability:
        return Availability(True, "torch operations with a derived adjoint, on every device that torch has")

    def refusal(self, cell: Cell, use: Use | None = None) -> str | None:
        return loop_refusal(cell, sink=False)

    def preference(self, cell: Cell, use: Use) -> int:
        return 10

    def loop(self, plan: Plan) -> Loop:
        return lower_loop(plan, sink=False)

    def emit(self, plan: Plan) -> str:
        return loop_file(plan, self.loop(plan), self.name)


BACKEND = Fused()
