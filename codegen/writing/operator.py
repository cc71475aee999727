"""A loop as an operator of torch: one node of the graph, whose adjoint is the derived one.

Two autograd functions, so that it can be differentiated any number of times, in both modes and under
``torch.func``; and two custom operators, so that ``torch.compile`` and ``torch.export`` take them whole.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from codegen.loop import Loop, axis_of
from codegen.writing.layout import indent, listed
from codegen.writing.loop_backward import backward_function
from codegen.writing.loop_forward import steps_function
from codegen.writing.loop_names import LoopNames
from codegen.writing.names import snake_case
from codegen.writing.widths import Width, widths


@dataclass(frozen=True)
class Kernels:
    """The functions that compute, by name, if they are not the plain ones; ``lines`` defines them.

    ``forward(keep, steps, *inputs)`` and ``backward(need, steps, *tensors)`` take and give what the plain
    functions do.  What they keep is theirs to arrange: ``kept`` has the width of each tensor (T, B, width)
    that stands for the plain functions' kept values, None if it is those.
    """

    forward: str
    backward: str
    lines: tuple[str, ...]
    kept: tuple[str, ...] | None = None


class Operator:
    """The text of a loop's functions and operators, and the names to call them by."""

    def __init__(self, loop: Loop, class_name: str, kernels: Kernels | None = None) -> None:
        self.loop = loop
        self.names = LoopNames(loop)
        self.class_name = class_name
        self.stem = snake_case(class_name)
        self.kernels = kernels or Kernels(f"{self.stem}_steps", f"{self.stem}_steps_backward", ())

    @property
    def call(self) -> str:
        """The function that runs the operator: (steps, *inputs) -> exports, last states."""
        return f"run_{self.stem}"

    def lines(self) -> list[str]:
        """Everything at module level, two empty lines between the pieces."""
        plain = steps_function(self.loop, self.names, f"{self.stem}_steps")
        adjoint = backward_function(self.loop, self.names, f"{self.stem}_steps_backward")
        digest = hashlib.sha256("\n".join([*plain, *adjoint, *self.kernels.lines]).encode()).hexdigest()[:8]
        pieces = [plain, adjoint]
        if any("over_steps(" in line for line in adjoint):
            pieces.append(_OVER_STEPS.strip().split("\n"))
        if self.kernels.lines:
            pieces.append(list(self.kernels.lines))
        pieces.append(_fill(_OPERATORS, self._words(digest), self._fakes()))
        return [line for piece in pieces for line in ["", "", *piece]]

    def _words(self, digest: str) -> dict[str, str]:
        results = len(self.loop.exports) + len(self.loop.states)
        blocks, kept = bool(self.loop.blocks), self.kernels.kept
        return {
            "CLASS": self.class_name,
            "STEM": self.stem,
            "NAMESPACE": f"{self.stem}_{digest}",
            "FORWARD": self.kernels.forward,
            "BACKWARD": self.kernels.backward,
            "KEEP": "keep" if blocks else "keep, steps",
            "NEED": "need" if blocks else "need, steps",
            "FALSE": "False" if blocks else "False, ctx.steps",
            "RESULTS": str(results),
            "EXPORTS": str(len(self.loop.exports)),
            "INPUTS": str(len(self.names.inputs)),
            "FIRST": str(len(self.loop.blocks)),
            "STATES": str(len(self.loop.states)),
            "MATRICES": str(len(self.names.inputs) - len(self.loop.products)),
            "KEPT": str(len(self.loop.exports) + len(self.loop.kept if kept is None else kept)),
        }

    def _fakes(self) -> list[str]:
        """The shapes of what the forward operator gives."""
        names, loop = self.names, self.loop
        width_of = widths(loop)
        rows = {q: "1" if width_of[q] is Width.ROW and q in loop.means else axis_of(q) for q in loop.stored}
        widths_kept = [rows[q] for q in loop.kept] if self.kernels.kept is None else self.kernels.kept
        like = names.of[loop.states[0]]
        shown = " ".join([*(rows[q] for q in loop.exports), *widths_kept])
        sizes = names.sizes()
        used = {axis for axis in sizes if re.search(rf"\b{axis}\b", shown)}
        lines = [
            *listed("[", names.inputs, "] = inputs", 1),
            f"batch = {like}.shape[0]",
            *(f"{axis} = {sizes[axis]}" for axis in sizes if axis in used),
        ]
        exports = [f"{like}.new_empty(steps, batch, {rows[q]})" for q in loop.exports]
        lasts = [f"{names.of[s]}.new_empty({names.of[s]}.shape)" for s in loop.states]
        kept = [f"{like}.new_empty(steps, batch, {width})" for width in widths_kept]
        lines += listed("results = [", [*exports, *lasts], "]", 1)
        if kept:
            lines += [*listed("kept = [", kept, "]", 1), "return [*results, *kept] if keep else results"]
        else:
            lines.append("return results")
        return lines


def _fill(template: str, words: dict[str, str], fakes: list[str]) -> list[str]:
    lines: list[str] = []
    for line in template.strip().split("\n"):
        if line.strip() == "<FAKES>":
            lines += indent(fakes)
        else:
            lines.append(re.sub(r"<([A-Z]+)>", lambda m: words[m.group(1)], line))
    return [line.rstrip() for line in lines]


_OVER_STEPS = '''
def over_steps(delta: Tensor, operand: Tensor) -> Tensor:
    """The gradient of a matrix: one product over all steps and rows."""
    return delta.flatten(0, 1).t() @ operand.flatten(0, 1)
'''

_OPERATORS = '''
def forward_operator(keep: bool, steps: int, inputs: list[Tensor]) -> list[Tensor]:
    """The steps as an operator that torch.compile and torch.export do not look into."""
    found = <FORWARD>(<KEEP>, *inputs)
    return [value.contiguous() for value in found]


def forward_shapes(keep: bool, steps: int, inputs: list[Tensor]) -> list[Tensor]:
    """What the operator gives, without numbers."""
    <FAKES>


def backward_operator(
    need: list[bool], steps: int, tensors: list[Tensor]
) -> list[Tensor]:
    """The adjoint as an operator; its results may not share memory."""
    found = <BACKWARD>(<NEED>, *tensors)
    return [apart(value).contiguous() for value in found]


def apart(value: Tensor) -> Tensor:
    """A part of a storage, which other results may be parts of too, as a copy."""
    is_whole = value.untyped_storage().nbytes() == value.nbytes
    return value if is_whole else value.clone()


def backward_shapes(
    need: list[bool], steps: int, tensors: list[Tensor]
) -> list[Tensor]:
    """What the adjoint gives, without numbers."""
    inputs = tensors[<RESULTS> : <RESULTS> + <INPUTS>]
    matrices = zip(inputs[<MATRICES>:], need[<MATRICES>:], strict=True)
    found = [value.new_empty(value.shape) for value in inputs[:<MATRICES>]]
    return found + [w.new_empty(w.shape if n else 0) for w, n in matrices]


def save(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    _, ctx.steps, tensors = inputs
    ctx.save_for_backward(*tensors, *output[:<EXPORTS>], *output[<RESULTS>:])


def gradient(ctx: Any, gradients: list[Tensor]) -> tuple[Any, ...]:
    need = ctx.needs_input_grad[2]
    tensors = [*gradients[:<RESULTS>], *ctx.saved_tensors]
    found = operators().steps_backward(need, ctx.steps, tensors)
    return None, None, [g if n else None for g, n in zip(found, need, strict=True)]


def operators() -> Any:
    return torch.ops.<NAMESPACE>


if not hasattr(operators(), "steps"):  # this very file may be loaded twice
    operator = torch.library.custom_op(
        "<NAMESPACE>::steps",
        forward_operator,
        mutates_args=(),
        schema="(bool keep, SymInt steps, Tensor[] inputs) -> Tensor[]",
    )
    operator.register_fake(forward_shapes)
    operator.register_autograd(gradient, setup_context=save)
    operator = torch.library.custom_op(
        "<NAMESPACE>::steps_backward",
        backward_operator,
        mutates_args=(),
        schema="(bool[] need, SymInt steps, Tensor[] tensors) -> Tensor[]",
    )
    operator.register_fake(backward_shapes)


vjp: Any = torch.func.vjp


def is_plain(tensors: Tensors) -> bool:
    """Whether there are numbers inside, and not what some other system traces with."""
    return all(type(tensor) in (Tensor, nn.Parameter) for tensor in tensors)


def own(values: Tensors) -> Tensors:
    """Tensors of their own: to autograd a view is not a result."""
    return tuple(value.detach() if value._is_view() else value for value in values)


def signed(function: Any) -> Any:
    """With its signature at hand: autograd asks for it at every call."""
    import inspect

    function.__signature__ = inspect.signature(function)
    return function


def along(function: Any, inputs: Tensors, tangents: Any) -> Tensors:
    """The derivative in one direction: what is linear in the gradients, transposed."""
    forward_ad: Any = torch.autograd.forward_ad
    pairs = zip(tangents, inputs, strict=True)
    moved = tuple(torch.zeros_like(v) if t is None else t for t, v in pairs)
    with forward_ad._set_fwd_grad_enabled(True):  # or outer directions would be lost
        points = (forward_ad.unpack_dual(value).primal for value in inputs)
        values, pull = vjp(function, *points)
        zeros = tuple(torch.zeros_like(value) for value in values)
        _, push = vjp(pull, zeros)
        return tuple(push(moved)[0])


def each(function: Any, members: int, dims: Any, *arguments: Any) -> tuple[Any, Any]:
    """torch.vmap: one call a member, the results stacked."""
    pairs = list(zip(arguments, dims, strict=True))
    found = []
    for member in range(members):
        chosen = (a.select(d, member) if isinstance(d, int) else a for a, d in pairs)
        found.append(function(*chosen))
    results = tuple(torch.stack(values) for values in zip(*found, strict=True))
    return results, (0,) * len(results)


class <CLASS>Loop(torch.autograd.Function):
    """All steps as one node of the graph."""

    @staticmethod
    @signed
    def forward(keep: bool, steps: int, *inputs: Tensor) -> Tensors:
        if is_plain(inputs):
            return own(<FORWARD>(<KEEP>, *inputs))
        return tuple(operators().steps(keep, steps, list(inputs)))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensors) -> None:
        kept = output[<RESULTS>:]
        ctx.steps, ctx.kept = inputs[1], len(kept)
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*kept)
        ctx.save_for_backward(*inputs[2:], *output[:<EXPORTS>], *kept)
        ctx.save_for_forward(*inputs[2:])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        saved = ctx.saved_tensors
        need = ctx.needs_input_grad[2:]
        states = saved[<FIRST> : <FIRST> + <STATES>]
        like = (*saved[<INPUTS> : <INPUTS> + <EXPORTS>], *states)
        arrived = [
            torch.zeros_like(value) if gradient is None else gradient
            for gradient, value in zip(gradients, like, strict=False)
        ]
        apply: Any = <CLASS>LoopBackward.apply
        found = apply(need, ctx.steps, *arrived, *saved)
        return None, None, *(g if n else None for g, n in zip(found, need, strict=True))

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> tuple[Any, ...]:
        """Forward mode, through the plain steps."""

        def steps(*inputs: Tensor) -> Tensors:
            return <STEM>_steps(<FALSE>, *inputs)

        return *along(steps, ctx.saved_tensors, tangents[2:]), *[None] * ctx.kept

    @staticmethod
    def vmap(info: Any, in_dims: Any, *arguments: Any) -> tuple[Any, Any]:
        apply = <CLASS>Loop.apply
        return each(apply, info.batch_size, in_dims, *arguments)


class <CLASS>LoopBackward(torch.autograd.Function):
    """The adjoint as a node of its own, so that it can be differentiated in turn."""

    @staticmethod
    @signed
    def forward(need: tuple[bool, ...], steps: int, *tensors: Tensor) -> Tensors:
        if is_plain(tensors):
            return own(<BACKWARD>(<NEED>, *tensors))
        found = operators().steps_backward(list(need), steps, list(tensors))
        return tuple(found)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensors) -> None:
        ctx.need, ctx.steps = inputs[:2]
        ctx.save_for_backward(*inputs[2 : 2 + <RESULTS> + <INPUTS>])
        ctx.save_for_forward(*inputs[2 : 2 + <RESULTS> + <INPUTS>])

    @staticmethod
    def plain(ctx: Any) -> Any:
        """The adjoint of the plain steps by autograd, for higher derivatives."""

        def steps(*inputs: Tensor) -> Tensors:
            return <STEM>_steps(<FALSE>, *inputs)

        def adjoint(*tensors: Tensor) -> Tensors:
            _, pull = vjp(steps, *tensors[<RESULTS>:])
            return tuple(pull(tensors[:<RESULTS>]))

        return adjoint

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        saved = ctx.saved_tensors
        adjoint = <CLASS>LoopBackward.plain(ctx)
        _, pull = vjp(adjoint, *saved)
        known = zip(gradients, saved[<RESULTS>:], ctx.need, strict=True)
        found = pull(tuple(g if n else torch.zeros_like(v) for g, v, n in known))
        return None, None, *found, *[None] * <KEPT>

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> tuple[Any, ...]:
        adjoint = <CLASS>LoopBackward.plain(ctx)
        found = along(adjoint, ctx.saved_tensors, tangents[2 : 2 + <RESULTS> + <INPUTS>])
        matrices = zip(found[<MATRICES>:], ctx.need[<MATRICES>:], strict=True)
        return *found[:<MATRICES>], *(g if n else g.new_zeros(0) for g, n in matrices)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *arguments: Any) -> tuple[Any, Any]:
        dims = (None, None, *in_dims[2:])
        apply = <CLASS>LoopBackward.apply
        return each(apply, info.batch_size, dims, *arguments)


def run_<STEM>(steps: int, *inputs: Tensor) -> Tensors:
    """All steps: what every step gives, then the last states.

    Under autocast everything but float64 is in its type, as in torch.nn.LSTM.
    """
    like = inputs[<FIRST>]
    device = like.device.type
    if like.is_meta or not torch.is_autocast_enabled(device):
        return apply_<STEM>(steps, *inputs)
    double = any(value.dtype == torch.float64 for value in inputs)
    dtype = torch.float64 if double else torch.get_autocast_dtype(device)
    with torch.autocast(device, enabled=False):
        cast = [value.to(dtype) for value in inputs]
        return apply_<STEM>(steps, *cast)


def apply_<STEM>(steps: int, *inputs: Tensor) -> Tensors:
    keep = torch.is_grad_enabled()
    apply: Any = <CLASS>Loop.apply
    if torch.compiler.is_compiling():
        found = operators().steps(keep, steps, list(inputs))
    else:
        found = apply(keep, steps, *inputs)
    return tuple(found[:<RESULTS>])
'''
