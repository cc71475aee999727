"""Generated kernels under the sanitizers, in buffers of exactly the sizes that the Python side allocates."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import derive
from codegen.backends.native import native_loop
from codegen.lowering import lower
from codegen.native.directions import Forward, Reverse, kernels
from codegen.native.library import prelude
from codegen.native.program import LEADING_SIZES, Direction
from codegen.plan import Product
from derive import Cell
from tests.codegen.unusual_cells import UNUSUAL

SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1")
FLAGS = ("-std=gnu11", "-march=native", "-w")
SIZES = {"n": 13, "m": 5, "k": 9}
CELLS = [
    derive.cell("gru"),
    derive.cell("normalized-prototype"),
    *(cell for cell in UNUSUAL if cell.name in ("diagonal-peephole", "other-axes")),
]

MAIN = """
#include <stdlib.h>
static cw_real *buffer(int64_t count) {
    cw_real *p = malloc((count ? count : 1) * sizeof(cw_real)); /* one past the end is a fault */
    for (int64_t i = 0; i < count; ++i) p[i] = (cw_real)(i % 7) / 8 - (cw_real)0.3;
    return p;
}
int main(void) {
"""


def numbers(width: str, sizes: dict[str, int]) -> int:
    """A width as the kernels' text has it, in numbers."""
    text = re.sub(r"size_(\w+)", lambda m: str(sizes[m.group(1)]), width)
    return int(eval(text, {"__builtins__": {}}))


def driver(cell: Cell) -> str:
    """A program that runs both directions of a cell on two ranges of rows each, and one without keeping."""
    loop = native_loop(lower(cell))
    lines = [
        *run(Forward(loop), steps=4, batch=3, slots=4),
        *run(Reverse(loop), steps=4, batch=3, slots=4),
        *run(Forward(loop), steps=5, batch=2, slots=2, outside=1),
        *run(Reverse(loop), steps=2, batch=2, slots=2, outside=1),
    ]
    return prelude(double=False) + kernels(loop)[2] + MAIN + "\n".join(lines) + "\n    return 0;\n}\n"


def run(direction: Direction, steps: int, batch: int, slots: int, outside: int = 0) -> Iterator[str]:
    sizes = {axis: SIZES.get(axis, 6) for axis in direction.axes}
    listed = ", ".join(map(str, (steps, batch, slots, outside, *sizes.values())))
    yield f"    {{ const int64_t sizes[] = {{{listed}}};"
    assert len(LEADING_SIZES) == 4
    name = direction.name
    if direction.loop.products:
        yield f"    cw_real *packed = buffer({name}_packed({listed}));"
        matrices = [
            f"buffer({sum(sizes[s.axes[0]] for s in p.symbols) * sizes[p.operand.axes[0]]})"
            for p in direction.loop.products
        ]
        yield f"    void *matrices[] = {{packed, {', '.join(matrices)}}};"
        yield f"    {name}_pack(matrices, sizes, 0, 1);"
    counts = [count(direction, kind, of, sizes, steps, batch, slots) for kind, of in direction.pointers.roles]
    buffers = ["packed" if c is None else f"buffer({c})" for c in counts]
    yield f"    void *tensors[] = {{{', '.join(buffers)}}};"
    yield f"    {name}(tensors, sizes, 0, 1); {name}(tensors, sizes, 1, {batch}); }}"


def count(
    direction: Direction, kind: str, of: object, sizes: dict[str, int], steps: int, batch: int, slots: int
) -> int | None:
    """How many numbers the tensor of a role has; None for the packed matrices."""
    loop = direction.loop

    def wide(symbols: object) -> int:
        return sum(sizes[q.axes[0]] for q in symbols)  # type: ignore[attr-defined]

    match kind:
        case "packed":
            return None
        case "room":
            return batch * numbers(str(of), sizes)
        case "block" | "gradient":
            return steps * batch * wide(of.symbols)  # type: ignore[attr-defined]
        case "constant":
            return sizes[of.axes[0]]  # type: ignore[attr-defined]
        case "initial" | "carried":
            return batch * sizes[of.axes[0]]  # type: ignore[attr-defined]
        case "ring":
            return 2 * batch * sizes[of.axes[0]]  # type: ignore[attr-defined]
        case "arriving":
            return steps * batch * sizes[of.axes[0]]  # type: ignore[attr-defined]
        case "delta":
            return steps * batch * wide(of.symbols)  # type: ignore[attr-defined]
        case "sums" if isinstance(of, Product):
            made_outside = of.operand in loop.taken
            return (steps if made_outside else 1) * batch * wide(of.symbols)
        case "sums":
            return batch * wide(of.symbols)  # type: ignore[attr-defined]
        case "group":
            widths = [sizes.get(axis, 1) for axis in of.axes]  # type: ignore[attr-defined]
            return slots * batch * sum(widths)
        case "stored":
            times = steps if of in loop.exports else slots
            return times * batch * sizes[of.axes[0]]  # type: ignore[attr-defined]
    raise AssertionError(f"a role that this test does not know: {kind}")


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_stays_within_its_buffers(cell: Cell, tmp_path: Path) -> None:
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler")
    source, program = tmp_path / "program.c", tmp_path / "program"
    source.write_text(driver(cell))
    command = [compiler, *FLAGS, *SANITIZERS, str(source), "-lm", "-o", str(program)]
    built = subprocess.run(command, capture_output=True, text=True)
    if built.returncode and "sanitize" in built.stderr:
        pytest.skip("no address sanitizer here")
    assert built.returncode == 0, built.stderr[:2000]
    # what is not freed is not what this looks for
    environment = {"ASAN_OPTIONS": "detect_leaks=0"}
    done = subprocess.run([str(program)], capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr[:3000]
