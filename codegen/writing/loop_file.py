"""A whole file whose layer runs its loop as one operator."""

from __future__ import annotations

from codegen.loop import Loop
from codegen.plan import Plan
from codegen.writing.cell_class import record_class
from codegen.writing.header import header
from codegen.writing.imports import imports
from codegen.writing.interface import Interface
from codegen.writing.names import class_name
from codegen.writing.operator import Kernels, Operator
from codegen.writing.unroll import unrolled_cell, unrolled_layer


def loop_file(
    plan: Plan, loop: Loop, backend: str, kernels: Kernels | None = None, further: tuple[str, ...] = ()
) -> str:
    """Eager's file with the loop's functions and operators; ``further`` are imports that the kernels need."""
    face = Interface(plan, class_name(plan.cell))
    operator = Operator(loop, face.class_name, kernels)
    classes = [record_class(face), unrolled_cell(face, loop, operator)]
    body = "\n".join("\n".join(["", "", *lines]) for lines in classes)
    body += "\n" + "\n".join(operator.lines())
    body += "\n" + "\n".join(["", "", *unrolled_layer(face)])
    return "\n".join([*header(plan, backend), "", *imports(body, further)]) + f"\n{body}\n"
