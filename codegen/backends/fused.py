"""The loop as one operator with a derived adjoint, in torch operations alone: no compiler, any device."""

from __future__ import annotations

from codegen.backends.base import Availability, Backend, Use, loop_refusal
from codegen.lowering.loop import lower_loop
from codegen.plan import Plan
from codegen.writing.cell_class import record_class
from codegen.writing.header import header
from codegen.writing.imports import imports
from codegen.writing.interface import Interface
from codegen.writing.names import class_name
from codegen.writing.operator import Operator
from codegen.writing.unroll import unrolled_cell, unrolled_layer
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

    def emit(self, plan: Plan) -> str:
        loop = lower_loop(plan, sink=False)
        face = Interface(plan, class_name(plan.cell))
        operator = Operator(loop, face.class_name)
        classes = [record_class(face), unrolled_cell(face, loop, operator)]
        body = "\n".join("\n".join(["", "", *lines]) for lines in classes)
        body += "\n" + "\n".join(operator.lines())
        body += "\n" + "\n".join(["", "", *unrolled_layer(face)])
        return "\n".join([*header(plan, self.name), "", *imports(body)]) + f"\n{body}\n"


BACKEND = Fused()
