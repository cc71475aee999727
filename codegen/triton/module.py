"""Both kinds of kernels of a loop, and the functions that choose between them, as the text of a module."""

from __future__ import annotations

from collections.abc import Mapping

from codegen.loop import Loop, axis_of
from codegen.triton.host import Host
from codegen.triton.notation import FUNCTIONS
from codegen.triton.persistent import PersistentBackward, PersistentForward
from codegen.triton.stepwise import StepwiseBackward, StepwiseForward
from codegen.writing.layout import indent, listed
from codegen.writing.operator import Kernels

SMALLEST = 16
"""The smallest side of a matrix product in Triton, and the rows of the batch that a program takes."""


FULL = 64
"""Units up to which the persistent kernels serve float32 without TF32."""


def padded(size: int) -> int:
    """A tile's side: a power of two."""
    return max(SMALLEST, 1 << (size - 1).bit_length())


def shared_bytes(loop: Loop, sizes: Mapping[str, int], itemsize: int) -> int:
    """The least shared memory in which the persistent kernels of both directions fit, for axes of these
    sizes: the matrices and the products' operands."""
    matrices = sum(
        padded(sizes[axis_of(symbol)]) * padded(sizes[axis_of(product.operand)])
        for product in loop.products
        for symbol in product.symbols
    )
    operands = sum(len(product.parts) for product in loop.products)
    return itemsize * (matrices + SMALLEST * padded(max(sizes.values())) * operands)


def kernels(loop: Loop, stem: str) -> Kernels:
    """What :class:`~codegen.writing.operator.Operator` calls, and its definitions."""
    lines = [*_fill(HEAD), "", *FUNCTIONS.rstrip().split("\n"), *INTERPRETED.split("\n")]
    forward = Host(loop)
    writer = PersistentForward(forward)
    name = f"{stem}_forward_persistent"
    lines += ["", "", *writer.lines(f"{name}_kernel")]
    launch = writer.launch(f"{name}_kernel")
    doc = "All steps in one kernel, the matrices on the chip."
    lines += ["", "", *forward.forward(name, doc, launch, ["depth: int"])]

    forward = Host(loop)
    name = f"{stem}_forward_stepwise"
    text, launches = StepwiseForward(forward).lines(f"{name}_kernel")
    doc = "Step by step: batched products, and kernels for what is between them."
    lines += ["", "", *text, "", "", *forward.forward(name, doc, launches)]
    lines += ["", "", *_dispatch(Host(loop), stem, "forward")]

    backward = Host(loop)
    adjoint = PersistentBackward(backward)
    name = f"{stem}_backward_persistent"
    lines += ["", "", *adjoint.lines(f"{name}_kernel")]
    launch = adjoint.launch(f"{name}_kernel")
    doc = "The adjoint of all steps in one kernel, then each matrix's gradient in one product."
    lines += ["", "", *backward.backward(name, doc, launch, "triton.cdiv(batch, ROWS)", ["depth: int"])]

    backward = Host(loop)
    name = f"{stem}_backward_stepwise"
    text, launches = StepwiseBackward(backward).lines(f"{name}_kernel")
    doc = "The adjoint step by step, then each matrix's gradient in one product."
    lines += ["", "", *text, "", "", *backward.backward(name, doc, launches, "batch")]
    lines += ["", "", *_dispatch(Host(loop), stem, "backward")]
    return Kernels(f"{stem}_forward", f"{stem}_backward", tuple(lines))


def _dispatch(host: Host, stem: str, direction: str) -> list[str]:
    first = ["keep: bool" if direction == "forward" else "need: Sequence[bool]"]
    tensors = host.inputs if direction == "forward" else host.given()
    sizes = host.names.sizes()
    flag = "keep" if direction == "forward" else "tuple(need)"
    flags = [flag] if host.loop.blocks else [flag, "steps"]
    operands, loads = host.forward_tiles if direction == "forward" else host.backward_tiles
    items = [host.on_chip(), f"padded({host.largest()})", str(operands), str(loads), host.like]
    body = [
        '"""In one kernel if the matrices fit on the chip, else step by step."""',
        *(f"{host.size[axis]} = {sizes[axis]}" for axis in host.axes),
        *listed("tensors = ready(", tensors, ")", 1),
        *listed("depth = stages(", items, ")", 1),
        "if depth:",
        *indent(listed(f"return {stem}_{direction}_persistent(", ["depth", *flags, "*tensors"], ")", 2)),
        f"return recorded({stem}_{direction}_stepwise, ({', '.join([*flags, ''])[:-1]}), tensors)",
    ]
    head = listed(f"def {stem}_{direction}(", host.arguments(first, tensors), ") -> Tensors:", 0)
    return [*head, *indent(body)]


def _fill(text: str) -> list[str]:
    return text.strip().replace("<SMALLEST>", str(SMALLEST)).replace("<FULL>", str(FULL)).split("\n")


INTERPRETED = '''

INTERPRETED = not isinstance(load, triton.JITFunction)
"""Whether kernels run on the CPU, in Triton's interpreter."""'''

HEAD = '''
KERNELS = "auto"
"""``persistent`` or ``stepwise`` instead, to force one kind."""

SHARED = 232448
"""Bytes of shared memory that kernels have in the interpreter: an H100's."""

LARGEST = {"tf32": 256, "ieee": <FULL>}
"""Units up to which a program keeps matrices, by how they are multiplied: products without
tensor cores hold so many numbers at once that larger ones spill out of the registers."""

ROWS = <SMALLEST>
"""Rows of the batch of one program that keeps matrices."""

UNITS = 128
"""Units of one program of an elementwise kernel."""

GRAPHS = 8
"""How many recorded CUDA graphs are kept, each with tensors of its own."""


def padded(size: int) -> int:
    """A tile's side."""
    return max(<SMALLEST>, triton.next_power_of_2(size))


def warps(size: int) -> int:
    """Warps of a program that keeps matrices of so many units."""
    return 4 if padded(size) <= 32 else 8


def block(units: int) -> int:
    """Rows of a tile of so many units of an elementwise kernel."""
    return max(1, 512 // units)


def tiles(batch: int, size: int) -> tuple[int, int]:
    """The programs of an elementwise kernel, over rows and units."""
    return triton.cdiv(batch, block(UNITS)), triton.cdiv(size, UNITS)


def whole_rows(batch: int, size: int) -> tuple[int, int]:
    """The programs of a kernel that sees all units of a row."""
    return triton.cdiv(batch, block(padded(size))), 1


def precision() -> str:
    """How float32 matrices are multiplied: in TF32 where torch may."""
    matmul = torch.backends.cuda.matmul
    if hasattr(matmul, "fp32_precision"):
        return "tf32" if matmul.fp32_precision == "tf32" else "ieee"
    return "tf32" if matmul.allow_tf32 else "ieee"


@cache
def shared_memory(device: torch.device) -> int:
    """Bytes of shared memory that a program can have."""
    if INTERPRETED:
        return SHARED
    utils = triton.runtime.driver.active.utils
    return utils.get_device_properties(device.index)["max_shared_mem"]


def stages(matrices: int, size: int, operands: int, loads: int, like: Tensor) -> int:
    """How deep loads can be staged in a kernel that keeps matrices; 0 if it cannot.

    Beside the matrices, of so many numbers, there lie the products' operands and, staged
    one time less, the vectors that a step loads, each of ``size`` units.
    """
    how = precision() if like.dtype == torch.float32 else "tf32"
    if KERNELS == "stepwise" or (KERNELS == "auto" and size > LARGEST[how]):
        return 0
    for depth in (3, 2, 1):
        numbers = matrices + ROWS * size * (operands + (depth - 1) * loads)
        if numbers * like.element_size() <= shared_memory(like.device):
            return depth
    return 1 if KERNELS == "persistent" else 0


def ready(*tensors: Tensor) -> Tensors:
    """The tensors as the kernels take them; TypeError and RuntimeError for those that they do not."""
    for value in tensors:
        if value.dtype not in (torch.float32, torch.bfloat16):
            raise TypeError(
                f"the Triton kernels compute in float32 and bfloat16, not {value.dtype}; "
                "the fused and eager backends take every type"
            )
        if not (value.is_cuda or INTERPRETED):
            raise RuntimeError(
                f"the Triton kernels need CUDA tensors, not {value.device.type} ones, unless "
                "TRITON_INTERPRET=1 is set before triton is imported"
            )
    return tuple(value.contiguous() for value in tensors)


recorded_graphs: OrderedDict[Any, Any] = OrderedDict()
graph_lock = threading.Lock()


def recorded(function: Any, flags: tuple[Any, ...], tensors: Tensors) -> Tensors:
    """``function(*flags, *tensors)``; from the second call of a shape on, as one CUDA graph.

    A graph has tensors of its own, into which and out of which a call copies.
    """
    first = tensors[0]
    if not first.is_cuda or torch.cuda.is_current_stream_capturing():
        with torch.cuda.device_of(first):
            return function(*flags, *tensors)
    with torch.cuda.device_of(first), graph_lock:
        stream = torch.cuda.current_stream()
        shapes = tuple((value.shape, value.dtype) for value in tensors)
        key = (function, flags, shapes, first.device, stream.cuda_stream, precision())
        if key not in recorded_graphs:
            recorded_graphs[key] = None
            if len(recorded_graphs) > GRAPHS:
                torch.cuda.synchronize()  # a graph must not go while it runs
                recorded_graphs.popitem(last=False)
            return function(*flags, *tensors)
        if recorded_graphs[key] is None:
            graph = torch.cuda.CUDAGraph()
            inputs = tuple(value.clone() for value in tensors)
            with torch.cuda.graph(graph):
                outputs = function(*flags, *inputs)
            recorded_graphs[key] = graph, inputs, outputs
        recorded_graphs.move_to_end(key)
        graph, inputs, outputs = recorded_graphs[key]
        for own, given in zip(inputs, tensors, strict=True):
            own.copy_(given)
        graph.replay()
        return tuple(value.clone() for value in outputs)
'''
