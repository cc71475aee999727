"""What kernels read."""

from __future__ import annotations

from codegen.loop import Loop, Mean
from codegen.plan import Assignment
from derive.symbols import Quantity


def read_by(loop: Loop) -> set[Quantity]:
    """What the formulas of the reverse step and of the sums read."""
    backward = loop.backward
    statements = (*backward.recomputed, *backward.statements)
    exprs = [s.expr for s in statements if isinstance(s, Assignment | Mean)]
    return {q for expr in (*exprs, *backward.sums.values()) for q in expr.atoms(Quantity)}
