"""A loop that is linear in its states, unit by unit: all steps at once, or on the CPU one fused loop in C."""

from __future__ import annotations

from functools import lru_cache

from codegen.backends.base import Availability, Backend, Use, loop_refusal
from codegen.backends.native import BACKEND as NATIVE
from codegen.backends.native import DTYPES
from codegen.errors import CodegenError
from codegen.loop import Loop
from codegen.lowering import lower
from codegen.lowering.loop import lower_loop
from codegen.native.module import IMPORTS, native_kernels
from codegen.native.storage import groups
from codegen.plan import Plan
from codegen.scan.module import scan_kernels
from codegen.writing.loop_file import loop_file
from codegen.writing.names import class_name, snake_case
from codegen.writing.operator import Kernels
from derive import is_linear_recurrence
from derive.anatomy import states
from derive.cell import Cell
from derive.claims.linear import diagonal, linear


class Scan(Backend):
    """Chosen by proof: where the next states are affine in the past ones and mix no units.

    On the CPU a sequential loop in compiled code reads and writes each value once, which no scan does; on
    devices with thousands of lanes a chunked scan has work for all of them.  What :meth:`emit` gives is the
    scan, on any device.
    """

    name = "scan"

    def availability(self) -> Availability:
        compiled = NATIVE.availability()
        if compiled:
            return Availability(True, f"C on the CPU ({compiled.why}), a chunked scan in torch elsewhere")
        return Availability(True, f"a chunked scan in torch on every device; no C on the CPU: {compiled.why}")

    def refusal(self, cell: Cell, use: Use | None = None) -> str | None:
        if (reason := _unproved(cell) or loop_refusal(cell, sink=True) or _unwritable(cell)) is not None:
            return reason
        if use is not None and use.dtype not in DTYPES:
            return f"it computes in {', '.join(DTYPES)}, not in {use.dtype}"
        return None

    def preference(self, cell: Cell, use: Use) -> int:
        """Before every backend where the recurrence is proved linear, else after all.

        Without C on the CPU after fused: at n = 256, B = 8, T = 4096 the scan's whole arrays leave the cache
        at every operation, and it takes twice fused's time there.
        """
        if _unproved(cell) is not None:
            return -20
        return 5 if use.device == "cpu" and not _runs_in_c(cell) else 50

    def loop(self, plan: Plan) -> Loop:
        return lower_loop(plan, sink=True)

    def emit(self, plan: Plan) -> str:
        loop = lower_loop(plan, sink=True)
        return loop_file(plan, loop, self.name, scan_kernels(loop, snake_case(class_name(plan.cell))))

    def module(self, plan: Plan) -> str:
        if not _runs_in_c(plan.cell):
            return self.emit(plan)
        loop = lower_loop(plan, sink=True)
        imports = IMPORTS
        return loop_file(plan, loop, self.name, _by_device(loop, snake_case(class_name(plan.cell))), imports)


def _by_device(loop: Loop, stem: str) -> Kernels:
    """The compiled loop on the CPU, the scan elsewhere."""
    compiled, _ = native_kernels(loop, stem)
    scan = scan_kernels(loop, stem, [[q for q in group.symbols if q is not None] for group in groups(loop)])
    lines = [*compiled.lines, "", "", *scan.lines]
    names = [f"{stem}_by_device", f"{stem}_by_device_backward"]
    pairs = ((compiled.forward, scan.forward), (compiled.backward, scan.backward))
    for name, (in_c, at_once) in zip(names, pairs, strict=True):
        lines += [
            "",
            "",
            f"def {name}(*arguments: Any) -> Tensors:",
            '    """In compiled code on the CPU, by a chunked scan elsewhere."""',
            "    device = next(a.device.type for a in arguments if isinstance(a, Tensor))",
            f'    function = {in_c} if device == "cpu" else {at_once}',
            "    return tuple(function(*arguments))",
        ]
    return Kernels(names[0], names[1], tuple(lines), compiled.kept)


def _runs_in_c(cell: Cell) -> bool:
    return bool(NATIVE.availability()) and NATIVE.refusal(cell) is None


@lru_cache(maxsize=256)
def _unproved(cell: Cell) -> str | None:
    """What is not proved of a cell's recurrence, None if it is linear and diagonal."""
    if is_linear_recurrence(cell, diagonal=True):
        return None
    claims = (claim for state in states(cell) for claim in (linear(cell, state), diagonal(cell, state)))
    failed = next((claim for claim in claims if claim.status != "proved"), None)
    told = f"{failed.statement}: {failed.status}" if failed else "it has no state"
    return f"only a recurrence that is linear in the states, unit by unit, can be scanned; {told}"


@lru_cache(maxsize=256)
def _unwritable(cell: Cell) -> str | None:
    """Why there is no scan of a cell whose recurrence is proved to allow one, None if there is."""
    try:
        scan_kernels(lower_loop(lower(cell), sink=True), "stem")
    except CodegenError as error:
        return str(error)
    return None


BACKEND = Scan()
