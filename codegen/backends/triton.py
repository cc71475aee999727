"""Kernels for CUDA GPUs in Triton: a whole sequence in one, or the formulas between batched products."""

from __future__ import annotations

import importlib.util
import os
from functools import cache, lru_cache

from codegen.backends.base import Availability, Backend, Use, loop_refusal
from codegen.loop import Loop
from codegen.lowering import lower
from codegen.lowering.loop import lower_loop
from codegen.plan import Plan
from codegen.triton.module import FULL, kernels, shared_bytes
from codegen.writing.cell_class import record_class
from codegen.writing.header import header
from codegen.writing.imports import imports
from codegen.writing.interface import Interface
from codegen.writing.names import class_name
from codegen.writing.operator import Operator
from codegen.writing.unroll import unrolled_cell, unrolled_layer
from derive.cell import Cell
from derive.symbols import STATE_AXIS

ITEMSIZE = {"float32": 4, "bfloat16": 2}
"""The types that the kernels compute in."""

LARGEST_CHIP = 227
"""KiB of shared memory that one program can have at most on a GPU of today (H100; A100: 163)."""


def interpreting() -> bool:
    """Whether Triton is asked to run kernels on the CPU, in its interpreter."""
    return os.environ.get("TRITON_INTERPRET", "").lower() in ("1", "true", "on", "yes", "y")


@cache
def _cuda() -> bool:
    import torch

    return torch.cuda.is_available()


class Triton(Backend):
    """Fused's file, with kernels in place of the plain steps."""

    name = "triton"

    def availability(self) -> Availability:
        if importlib.util.find_spec("torch") is None:
            return Availability(False, "torch is not installed")
        if importlib.util.find_spec("triton") is None:
            return Availability(False, "triton is not installed (pip install 'cellwright[triton]')")
        if interpreting():
            return Availability(True, "in Triton's interpreter, on the CPU and slowly: TRITON_INTERPRET=1")
        if not _cuda():
            return Availability(False, "no CUDA GPU")
        return Availability(True, "Triton's kernels on a CUDA GPU")

    def refusal(self, cell: Cell, use: Use | None = None) -> str | None:
        if (reason := loop_refusal(cell, sink=True)) is not None:
            return reason
        if use is None:
            return None
        if use.dtype not in ITEMSIZE:
            return f"its kernels compute in {' and '.join(ITEMSIZE)}, not {use.dtype}"
        if use.device != "cuda" and not interpreting():
            return f"its kernels run on CUDA GPUs, not on {use.device}"
        return None

    def preference(self, cell: Cell, use: Use) -> int:
        return 40 if use.device == "cuda" and not interpreting() else -10

    def how(self, cell: Cell, use: Use) -> str:
        """Which kernels a layer of that size runs, and why; axes other than n count as large as n."""
        return _how(cell, use.hidden_size, use.dtype)

    def loop(self, plan: Plan) -> Loop:
        return lower_loop(plan, sink=True)

    def emit(self, plan: Plan) -> str:
        loop = lower_loop(plan, sink=True)
        face = Interface(plan, class_name(plan.cell))
        stem = Operator(loop, face.class_name).stem
        operator = Operator(loop, face.class_name, kernels(loop, stem))
        classes = [record_class(face), unrolled_cell(face, loop, operator)]
        body = "\n".join("\n".join(["", "", *lines]) for lines in classes)
        body += "\n" + "\n".join(operator.lines())
        body += "\n" + "\n".join(["", "", *unrolled_layer(face)])
        text = "\n".join([*header(plan, self.name), "", *imports(body)]) + f"\n{body}\n"
        return _with_triton(text)


@lru_cache(maxsize=256)
def _how(cell: Cell, hidden_size: int | None, dtype: str) -> str:
    loop = lower_loop(lower(cell), sink=True)
    if hidden_size is None:
        return "one kernel for all steps where the matrices fit into shared memory"
    axes = {axis for p in loop.products for q in (p.operand, *p.symbols) for axis in q.axes}
    sizes = dict.fromkeys({*axes, STATE_AXIS}, hidden_size)
    kib = -(-shared_bytes(loop, sizes, ITEMSIZE[dtype]) // 1024)
    if kib > LARGEST_CHIP:
        return (
            f"kernels between batched products under a CUDA graph: the matrices would take {kib} KiB "
            f"of shared memory, more than {LARGEST_CHIP}"
        )
    if dtype == "float32" and hidden_size > FULL:
        return (
            f"one kernel for all steps if TF32 is allowed and there are {kib} KiB of shared memory for "
            "the matrices, else kernels between batched products under a CUDA graph"
        )
    return (
        f"one kernel for all steps where there are {kib} KiB of shared memory for the matrices, else "
        "kernels between batched products under a CUDA graph"
    )


def _with_triton(text: str) -> str:
    """The file with its further imports, and honest about them."""
    text = text.replace("nothing but torch", "torch and triton", 1)
    text = text.replace(
        "import math\n", "import math\nimport threading\nfrom collections import OrderedDict\n", 1
    )
    text = text.replace("from typing import", "from functools import cache\nfrom typing import", 1)
    text = text.replace("import torch\nfrom torch", "import torch\nimport triton\nfrom torch", 1)
    return text.replace("import triton\n", "import triton\nimport triton.language as tl\n", 1)


BACKEND = Triton()
