"""The Python side of a native loop: functions that allocate, call the C, and return tensors."""

from __future__ import annotations

from collections.abc import Sequence

from codegen.loop import Block, Loop, axis_of
from codegen.native.directions import Forward, Reverse, kernels
from codegen.native.program import Direction
from codegen.native.storage import Group, back_outside, delta_places, from_outside, groups, sums
from codegen.plan import Product
from codegen.writing.layout import fits, indent, listed, returned
from codegen.writing.loop_names import LoopNames
from codegen.writing.operator import Kernels
from derive.symbols import Quantity

IMPORTS = (
    "from codegen.native.runtime import FEW_ROWS, Kernels, gradient_of_matrix, in_single_precision_at_least",
)
"""What the lines of :func:`native_kernels` need."""


def native_kernels(loop: Loop, stem: str) -> tuple[Kernels, str]:
    """The kernels of a loop as lines of a Python module that holds its C text, and that text."""
    forward, reverse, text = kernels(loop)
    names = LoopNames(loop)
    lines = [
        f'C_SOURCE = r"""\n{text}"""'.split("\n"),
        ["KERNELS = Kernels(C_SOURCE)"],
        _Forward(loop, names, forward).lines(f"{stem}_native"),
        _Backward(loop, names, reverse).lines(f"{stem}_native_backward"),
    ]
    flat = [line for piece in lines for line in [*piece, "", ""]][:-2]
    kept = tuple(python_width(group.axes) for group in groups(loop))
    calls = Kernels(f"{stem}_native", f"{stem}_native_backward", tuple(flat), kept)
    return calls, text


class _Function:
    """What both directions share."""

    def __init__(self, loop: Loop, names: LoopNames, direction: Direction) -> None:
        self.loop = loop
        self.names = names
        self.direction = direction
        self.rooms = 0

    def stored(self, quantity: Quantity) -> str:
        """A tensor over all steps; a state's own name is that of its initial value."""
        for group in self.direction.groups:
            place = group.place(quantity)
            if place is not None:
                span = f"{python_width(group.axes[:place])}, {python_width(group.axes[place : place + 1])}"
                return f"{group.name}.narrow(-1, {span})"
        name = self.names.of[quantity]
        return f"all_{name}" if quantity in self.loop.states else name

    def sizes(self) -> list[str]:
        """The sizes as Python."""
        names = self.names
        blocks = list(names.blocks.values())
        state = names.of[self.loop.states[0]]
        found = [f"steps = {blocks[0]}.shape[0]"] if blocks else []
        found.append(f"batch = {state}.shape[0]")
        known = names.sizes()
        found += [f"{axis} = {known[axis]}" for axis in self.direction.axes]
        return found

    def width(self, quantity: Quantity) -> str:
        return "1" if quantity in self.loop.means else axis_of(quantity)

    def call(self, packed: list[str], pointers: list[str]) -> list[str]:
        """Pack and run."""
        sizes = f"sizes = (steps, batch, slots, outside, {', '.join(self.direction.axes)})"
        function = self.direction.name
        like = self.names.of[self.loop.states[0]]
        lines = [sizes]
        if self.loop.products:
            lines += listed("packed = KERNELS.pack(", [f'"{function}"', "sizes", *packed], ")", 1)
        return [*lines, *listed(f'KERNELS.run("{function}", {like}, sizes, [', pointers, "])", 1)]

    def pointer(self, kind: str, of: object) -> str:
        """The tensor of a role."""
        raise NotImplementedError

    def pointer_texts(self) -> list[str]:
        return [self.pointer(kind, of) for kind, of in self.direction.pointers.roles]

    def room(self, width: object) -> str:
        """Scratch memory that lives as long as the call."""
        like = self.names.of[self.loop.states[0]]
        spelt = str(width).replace("size_", "")
        shape = f"batch, {spelt}"
        return f"{like}.new_empty({shape})"

    def matrices(self) -> list[str]:
        return [self.names.weights[product] for product in self.loop.products]


class _Forward(_Function):
    direction: Forward

    def pointer(self, kind: str, of: object) -> str:
        names = self.names
        match kind:
            case "block":
                return names.blocks[of]  # type: ignore[index]
            case "constant" | "initial":
                return names.of[of]  # type: ignore[index]
            case "stored":
                return self.stored(of)  # type: ignore[arg-type]
            case "group":
                return of.name  # type: ignore[attr-defined]
            case "packed":
                return "packed"
            case "sums":
                return self.sums(of)  # type: ignore[arg-type]
        return self.room(of)

    def outside(self) -> list[str]:
        """The products of what the loop takes, for all steps at once where a batch is small."""
        products = from_outside(self.loop)
        if not products:
            return ["outside = 0"]
        lines = ["outside = int(batch < FEW_ROWS)"]
        for product in products:
            width = python_width([axis_of(q) for q in product.symbols])
            like, weight = self.names.of[self.loop.states[0]], self.names.weights[product]
            operand = self.names.of[product.operand]
            lines += _conditional(
                f"sums_{weight}", f"F.linear({operand}, {weight})", f"{like}.new_empty(batch, {width})"
            )
        return lines

    def sums(self, product: Product) -> str:
        """Where a product leaves its sums."""
        if product.operand in self.loop.taken:
            return f"sums_{self.names.weights[self.loop.products[self.direction.index(product)]]}"
        return self.room(" + ".join(f"size_{axis_of(q)}" for q in product.symbols))

    def lines(self, function: str) -> list[str]:
        names, loop = self.names, self.loop
        arguments = ["keep: bool", *(["steps: int"] if not loop.blocks else [])]
        arguments += [f"{name}: Tensor" for name in names.inputs]
        like = names.of[loop.states[0]]
        body = [
            '"""All steps in compiled code."""',
            *(f"{name} = {name}.contiguous()" for name in names.inputs),
            *self.sizes(),
            "slots = steps if keep else min(steps, 2)",
            *self.outside(),
        ]
        grouped = {q for group in self.direction.groups for q in group.symbols}
        for symbol in dict.fromkeys([*loop.exports, *(s for s in loop.states if s not in grouped)]):
            slots = "steps" if symbol in loop.exports else "slots"
            body.append(f"{self.stored(symbol)} = {like}.new_empty({slots}, batch, {self.width(symbol)})")
        body += [
            f"{group.name} = {like}.new_empty(slots, batch, {python_width(group.axes)})"
            for group in self.direction.groups
        ]
        body += self.call(self.matrices(), self.pointer_texts())
        lasts = [f"{self.stored(s)}[(steps - 1) % slots].clone()" for s in loop.states]
        lasts = [
            f"{self.stored(s)}[-1].clone()" if s in loop.exports else text
            for s, text in zip(loop.states, lasts, strict=True)
        ]
        body += _tuple("results =", [*(self.stored(q) for q in loop.exports), *lasts])
        kept = [group.name for group in self.direction.groups]
        if not kept:
            return [*_wrapped(function, arguments), *indent([*body, "return results"])]
        body += [
            *_tuple("kept =", kept),
            "return (*results, *kept) if keep else results",
        ]
        return [*_wrapped(function, arguments), *indent(body)]


class _Backward(_Function):
    direction: Reverse

    def pointer(self, kind: str, of: object) -> str:
        names, backward = self.names, self.loop.backward
        match kind:
            case "block":
                return names.blocks[of]  # type: ignore[index]
            case "gradient":
                return f"d_{names.blocks[of]}"  # type: ignore[index]
            case "constant" | "initial":
                return names.of[of]  # type: ignore[index]
            case "stored":
                return self.stored(of)  # type: ignore[arg-type]
            case "group":
                return of.name  # type: ignore[attr-defined]
            case "arriving":
                return names.of[backward.arriving[of]]  # type: ignore[index]
            case "carried":
                return names.of[backward.carried[of]]  # type: ignore[index]
            case "ring":
                return f"ring_{names.of[of]}"  # type: ignore[index]
            case "delta":
                return f"delta_{names.weights[of]}"  # type: ignore[index]
            case "sums":
                return of.name  # type: ignore[attr-defined]
            case "packed":
                return "packed"
        return self.room(of)

    def lines(self, function: str) -> list[str]:
        names, loop, backward = self.names, self.loop, self.loop.backward
        arriving = [names.of[q] for q in backward.arriving.values()]
        carried = [names.of[backward.carried[s]] for s in loop.states]
        stored = [*(self.stored(q) for q in loop.exports), *(group.name for group in self.direction.groups)]
        tensors = [*arriving, *carried, *names.inputs, *stored]
        steps = [] if loop.blocks else ["steps: int"]
        arguments = ["need: Sequence[bool]", *steps, *(f"{name}: Tensor" for name in tensors)]
        like = names.of[loop.states[0]]
        body = [
            '"""The derived adjoint in compiled code; matrices have their gradients in one product each."""',
            *(f"{name} = {name}.contiguous()" for name in tensors),
            *self.sizes(),
            "slots = steps",
            *self.outside(),
            *(f"d_{name} = torch.empty_like({name})" for name in names.blocks.values()),
            *(f"ring_{names.of[s]} = {like}.new_empty(2, batch, {axis_of(s)})" for s in loop.states),
        ]
        for product, (owner, _) in delta_places(loop).items():
            if owner is product:
                width = python_width([axis_of(d) for d in backward.of_parts[product]])
                body.append(f"delta_{names.weights[product]} = {like}.new_empty(steps, batch, {width})")
        group = sums(loop)
        if group.symbols:
            body.append(f"{group.name} = {like}.new_zeros(batch, {python_width(group.axes)})")
        body += self.call(self.matrices(), self.pointer_texts())
        body += self.inputs_outside()
        results = [f"d_{name}" for name in names.blocks.values()]
        results += [f"ring_{names.of[s]}[0]" for s in loop.states]
        if group.symbols:
            body.append(f"{group.name} = {group.name}.sum(0)")
        results += [self.sum(group, c) for c in loop.constants]
        offset = len(results)
        for index, product in enumerate(loop.products):
            weight = names.weights[product]
            operand = self.operand(product.operand)
            body += [
                f"d_{weight} = {weight}.new_empty(0)",
                f"if need[{offset + index}]:",
                f"    d_{weight} = gradient_of_matrix({self.delta(product)}, {operand})",
            ]
            results.append(f"d_{weight}")
        body += returned(results, 1) if len(results) > 1 else [f"return ({results[0]},)"]
        return [*_wrapped(function, arguments), *indent(body)]

    def sum(self, group: Group, constant: Quantity) -> str:
        """A constant's gradient."""
        place = group.place(constant)
        if place is None:
            return f"torch.zeros_like({self.names.of[constant]})"
        span = f"{python_width(group.axes[:place])}, {axis_of(constant)}"
        return f"{group.name}.narrow(0, {span})"

    def delta(self, product: Product) -> str:
        """The gradients of a product's parts at all steps, side by side."""
        owner, first = delta_places(self.loop)[product]
        if isinstance(owner, Block):
            whole, symbols = f"d_{self.names.blocks[owner]}", owner.symbols
        else:
            whole, symbols = f"delta_{self.names.weights[owner]}", owner.symbols
        if len(product.parts) == len(symbols):
            return whole
        start = python_width([axis_of(q) for q in symbols[:first]])
        return f"{whole}.narrow(-1, {start}, {python_width([axis_of(q) for q in product.symbols])})"

    def outside(self) -> list[str]:
        """Whether gradients of what the loop takes are made for all steps at once, or not at all."""
        wanted = self._needs()
        if not wanted:
            return ["outside = 0"]
        return [f"outside = int(batch < FEW_ROWS or not ({' or '.join(wanted)}))"]

    def _needs(self) -> list[str]:
        blocks = list(self.loop.blocks)
        return [
            f"need[{index}]"
            for index, block in enumerate(blocks)
            if any(p.operand in block.symbols for p in back_outside(self.loop))
        ]

    def inputs_outside(self) -> list[str]:
        """The gradients of what the loop takes, where the steps left them out."""
        lines: list[str] = []
        for index, block in enumerate(self.loop.blocks):
            for product in back_outside(self.loop):
                if product.operand in block.symbols:
                    name, weight = f"d_{self.names.blocks[block]}", self.names.weights[product]
                    lines += [
                        f"if outside and need[{index}]:",
                        f"    {name} = {self.delta(product)} @ {weight}",
                    ]
        return lines

    def operand(self, quantity: Quantity) -> str:
        """A product's operand at all steps."""
        for state in self.loop.states:
            if state.prev == quantity:
                return f"torch.cat(({self.names.of[state]}.unsqueeze(0), {self.stored(state)}[:-1]))"
        return self.stored(quantity)


def _conditional(target: str, outside: str, otherwise: str) -> list[str]:
    line = f"{target} = {outside} if outside else {otherwise}"
    if fits(line, 1):
        return [line]
    return [f"{target} = {otherwise}", "if outside:", f"    {target} = {outside}"]


def _tuple(target: str, items: list[str]) -> list[str]:
    """``target (a, b)``, as a tuple also where it has one item."""
    if len(items) == 1:
        line = f"{target} ({items[0]},)"
        return [line] if fits(line, 1) else [f"{target} (", f"    {items[0]},", ")"]
    return listed(f"{target} (", items, ")", 1)


def _wrapped(function: str, arguments: list[str]) -> list[str]:
    return ["@in_single_precision_at_least", *listed(f"def {function}(", arguments, ") -> Tensors:", 0)]


def python_width(axes: Sequence[str]) -> str:
    """The numbers in a row of vectors side by side."""
    counts = {axis: list(axes).count(axis) for axis in axes}
    return " + ".join(f"{k} * {a}" if k > 1 else a for a, k in counts.items()) or "0"
