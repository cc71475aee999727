"""Kernels through Triton's compiler, for GPUs that are not here; ``test_interpreter.py`` runs this file.

What the interpreter lets pass the compiler may refuse: a value that changes its type or shape in a loop, say.
"""

import sys
from typing import Any

import pytest

import codegen
from codegen.load import load
from derive import Cell, cell
from tests.codegen.unusual_cells import UNUSUAL

triton = pytest.importorskip("triton")
from triton.backends.compiler import GPUTarget  # noqa: E402

AMPERE = GPUTarget("cuda", 80, 32)
NAMED = {c.name: c for c in UNUSUAL}
SIZES = {"KEEP": True, "BLOCK": 16, "PRECISION": "ieee", "WIDEN": False}


def compiled(kernel: Any, dtype: str, size: int = 32) -> Any:
    """A kernel for an A100, with every axis as large as its tile."""
    names = [p.name for p in kernel.params]
    constants = {p.name: SIZES.get(p.name, size) for p in kernel.params if p.is_constexpr}
    float32 = ("now_", "next_", "between_", "d_p_")
    signature = {
        name: "constexpr"
        if name in constants
        else "i32"
        if name in ("steps", "batch")
        else "*fp32"
        if dtype == "fp32" or name.startswith(float32)
        else "*bf16"
        for name in names
    }
    at = {(names.index(name),): value for name, value in constants.items()}
    source = triton.compiler.ASTSource(kernel, signature, at)
    return triton.compile(source, target=AMPERE, options={"enable_fp_fusion": True})


def kernels_of(of: Cell) -> dict[str, Any]:
    source = codegen.emit(of, backend="triton")
    module = load(source, f"{of.name}_compiled")
    assert module.__name__ in sys.modules
    found = {n: v for n, v in vars(module).items() if isinstance(v, triton.JITFunction) and "_kernel" in n}
    assert len(found) >= 4
    return found


@pytest.mark.parametrize("of", [NAMED["layer-normalized"]], ids=lambda c: c.name)
def test_kernels_compile(of: Cell) -> None:
    for name, kernel in kernels_of(of).items():
        found = compiled(kernel, "bf16" if "persistent" in name else "fp32")
        assert found.asm["ptx"], name


def test_matrices_are_in_shared_memory_before_the_loop() -> None:
    """One kernel for all steps is worth nothing if it reads the matrices anew at each."""
    kernel = kernels_of(cell("lstm"))["lstm_forward_persistent_kernel"]
    found = compiled(kernel, "bf16", size=64)
    before, _, rest = found.asm["ttgir"].partition("scf.for")
    loop = rest.partition("scf.yield")[0]
    assert before.count("ttg.local_alloc") == 4
    assert "64x64x!tt.ptr" in before
    assert "64x64x!tt.ptr" not in loop
    # what `stages` counts on: four matrices, and the operand of their product
    assert found.metadata.shared == (4 * 64 * 64 + 16 * 64) * 2
