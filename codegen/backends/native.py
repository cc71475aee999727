"""The loop as C, compiled on first use by the system's compiler."""

from __future__ import annotations

from functools import lru_cache

from codegen.backends.base import Availability, Backend, Use, loop_refusal
from codegen.errors import CodegenError
from codegen.loop import Loop
from codegen.lowering import lower
from codegen.lowering.loop import lower_loop
from codegen.native.compiler import availability
from codegen.native.directions import kernels
from codegen.native.library import prelude
from codegen.native.module import IMPORTS, native_kernels
from codegen.plan import Plan
from codegen.writing.loop_file import loop_file
from codegen.writing.names import class_name, snake_case
from derive.cell import Cell

DTYPES = ("float32", "float64", "bfloat16", "float16")
"""The last two are computed in float32."""


class Native(Backend):
    """C for the loop, in both directions; torch for what is around it."""

    name = "native"

    def availability(self) -> Availability:
        return availability()

    def refusal(self, cell: Cell, use: Use | None = None) -> str | None:
        if (reason := loop_refusal(cell, sink=True) or _unwritable(cell)) is not None:
            return reason
        if use is None:
            return None
        if use.device != "cpu":
            return f"it runs on the CPU, not on {use.device}"
        if use.dtype not in DTYPES:
            return f"it computes in {', '.join(DTYPES)}, not in {use.dtype}"
        return None

    def preference(self, cell: Cell, use: Use) -> int:
        return 20

    def loop(self, plan: Plan) -> Loop:
        return native_loop(plan)

    def emit(self, plan: Plan) -> str:
        """The whole C text for float32, ready to be compiled."""
        return f"{prelude(double=False)}\n{kernels(native_loop(plan))[2]}"

    def module(self, plan: Plan) -> str:
        loop = native_loop(plan)
        calls, _ = native_kernels(loop, snake_case(class_name(plan.cell)))
        return loop_file(plan, loop, self.name, calls, IMPORTS)


def native_loop(plan: Plan) -> Loop:
    """The loop as this backend computes it: everything inside, the input's products step by step."""
    return lower_loop(plan, sink=True, inputs=True)


@lru_cache(maxsize=256)
def _unwritable(cell: Cell) -> str | None:
    """Why there is no C for a formula of the cell, None if there is."""
    try:
        kernels(native_loop(lower(cell)))
    except CodegenError as error:
        return str(error)
    return None


BACKEND = Native()
