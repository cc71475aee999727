"""Plain PyTorch: readable, differentiable by autograd, on any device that torch knows."""

from __future__ import annotations

from codegen.backends.base import Availability, Backend
from codegen.plan import Plan
from codegen.writing.cell_class import cell_class, record_class
from codegen.writing.header import header
from codegen.writing.imports import imports
from codegen.writing.interface import Interface
from codegen.writing.layer_class import layer_class
from codegen.writing.names import class_name


class Eager(Backend):
    """A file with a cell class and a layer class, in torch operations alone."""

    name = "eager"

    def availability(self) -> Availability:
        return Availability(True, "plain torch operations, on every device that torch has")

    def emit(self, plan: Plan) -> str:
        face = Interface(plan, class_name(plan.cell))
        classes = [record_class(face), cell_class(face), layer_class(face)]
        body = "\n".join("\n".join(["", "", *lines]) for lines in classes)
        return "\n".join([*header(plan, self.name), "", *imports(body)]) + f"\n{body}\n"


BACKEND = Eager()
