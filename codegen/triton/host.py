"""The functions around the kernels, in torch: what they allocate, pass on and give back."""

from __future__ import annotations

from collections.abc import Sequence

from codegen.loop import Loop, axis_of, reads
from codegen.plan import Product
from codegen.triton.reading import read_by
from codegen.writing.layout import indent, listed, returned
from codegen.writing.loop_names import LoopNames
from codegen.writing.widths import Width, widths
from derive.symbols import Previous, Quantity

TAKEN = frozenset(
    [
        *(
            "GRAPHS",
            "INTERPRETED",
            "KERNELS",
            "SHARED",
            "LARGEST",
            "stages",
            "shared_memory",
            "depth",
            "cache",
            "ROWS",
            "UNITS",
            "OrderedDict",
            "threading",
            "tl",
        ),
        *("block", "graph_lock", "missing", "over_steps", "padded", "precision", "ready", "recorded"),
        *("recorded_graphs", "results", "tensors", "tiles", "triton", "warps", "whole_rows", "numbers", "at"),
    ]
)
"""What the functions around the kernels call or bind, besides tensors."""


class HostNames(LoopNames):
    """The names of a loop's tensors in functions that use :data:`TAKEN` for other things."""

    def __init__(self, loop: Loop) -> None:
        super().__init__(loop)
        others: dict[str, str] = {}
        for table in (self.of, self.blocks, self.weights, self.states, self.constants):
            for key, name in table.items():
                if name in TAKEN and name not in others:
                    others[name] = self.fresh(f"{name}_value")
                table[key] = others.get(name, name)  # type: ignore[index]


class Host:
    """The names of tensors outside the kernels, and the lines that both kinds of kernels have around them."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.names = names = HostNames(loop)
        of = names.of
        symbols = [*loop.states, *loop.taken, *loop.constants, *(q for s in loop.forward for q in s.symbols)]
        self.axes = tuple(dict.fromkeys(axis for q in symbols for axis in q.axes))
        self.size = {axis: names.fresh(axis) for axis in self.axes}
        self.stored = {q: names.fresh(f"all_{of[q]}") if q in loop.states else of[q] for q in loop.stored}
        self.last = {s: names.fresh(f"last_{of[s]}") for s in loop.states}
        self.past = {s: names.fresh(f"past_{of[s]}") for s in loop.states}
        self.gradient = {s: names.fresh(f"d_{of[s]}") for s in loop.states}
        self.sums = {c: names.fresh(f"d_{of[c]}") for c, expr in loop.backward.sums.items() if expr != 0}
        self.of_block = {block: names.fresh(f"d_{name}") for block, name in names.blocks.items()}
        self.deltas = {p: names.fresh(f"delta_{name}") for p, name in names.weights.items()}
        self._width = widths(loop)

    @property
    def inputs(self) -> list[str]:
        return self.names.inputs

    @property
    def like(self) -> str:
        """A tensor (B, ·) that others are made like."""
        return self.names.of[self.loop.states[0]]

    def total(self, symbols: Sequence[Quantity]) -> str:
        axes = [axis_of(symbol) for symbol in symbols]
        counts = {axis: axes.count(axis) for axis in axes}
        return " + ".join(f"{k} * {self.size[a]}" if k > 1 else self.size[a] for a, k in counts.items())

    def width(self, quantity: Quantity) -> str:
        """The length of a row of a stored quantity."""
        if quantity in self.loop.means and self._width[quantity] is Width.ROW:
            return "1"
        return self.size[axis_of(quantity)]

    def on_chip(self) -> str:
        """The numbers that a program of the persistent kernels keeps: all matrices, padded."""
        terms = [
            f"padded({self.size[axis_of(s)]}) * padded({self.size[axis_of(p.operand)]})"
            for p in self.loop.products
            for s in p.symbols
        ]
        counts = {term: terms.count(term) for term in terms}
        return " + ".join(f"{k} * {term}" if k > 1 else term for term, k in counts.items()) or "0"

    def largest(self) -> str:
        sizes = [self.size[axis] for axis in self.axes]
        return sizes[0] if len(sizes) == 1 else f"max({', '.join(sizes)})"

    @property
    def forward_tiles(self) -> tuple[int, int]:
        """How many operands and how many loaded vectors a step of the forward pass has."""
        loads = set(self.loop.taken) & reads(self.loop.forward)
        return len(self.loop.products), len(loads)

    @property
    def backward_tiles(self) -> tuple[int, int]:
        """How many operands and how many loaded vectors a reverse step has."""
        pasts = {state.prev for state in self.loop.states}
        read = read_by(self.loop) & {*self.loop.taken, *self.loop.stored, *pasts}
        return sum(len(p.parts) for p in self.loop.products), len(self.loop.exports) + len(read)

    def arguments(self, first: Sequence[str], tensors: Sequence[str]) -> list[str]:
        steps = [] if self.loop.blocks else ["steps: int"]
        return [*first, *steps, *(f"{name}: Tensor" for name in tensors)]

    def measures(self) -> list[str]:
        """The numbers of steps and rows, and the axes' sizes."""
        lines = [f"batch = {self.like}.shape[0]"]
        if self.loop.blocks:
            lines = [f"steps, batch = {next(iter(self.names.blocks.values()))}.shape[:2]"]
        sizes = self.names.sizes()
        return [*lines, *(f"{self.size[axis]} = {sizes[axis]}" for axis in self.axes)]

    def forward(self, name: str, doc: str, launches: Sequence[str], first: Sequence[str] = ()) -> list[str]:
        """A function (*first, keep, *inputs) -> exports, last states, kept."""
        loop = self.loop
        body = [f'"""{doc}"""', *self.measures()]
        for quantity in loop.stored:
            steps = "steps" if quantity in loop.exports else "steps if keep else 1"
            shape = f"{steps}, batch, {self.width(quantity)}"
            body.append(f"{self.stored[quantity]} = {self.like}.new_empty({shape})")
        body += [f"{self.last[s]} = torch.empty_like({self.names.of[s]})" for s in loop.states]
        results = [*(self.stored[q] for q in loop.exports), *self.last.values()]
        kept = [self.stored[q] for q in loop.kept]
        body += launches
        body += listed("results = (", results if len(results) > 1 else [f"{results[0]},"], ")", 1)
        if kept:
            kept = kept if len(kept) > 1 else [f"{kept[0]},"]
            body += listed("kept = (", kept, ")", 1)
            body.append("return (*results, *kept) if keep else results")
        else:
            body.append("return results")
        head = listed(f"def {name}(", self.arguments([*first, "keep: bool"], self.inputs), ") -> Tensors:", 0)
        return [*head, *indent(body)]

    def given(self) -> list[str]:
        """What the adjoint is given: what arrives, what the loop took, what it stored."""
        backward, of = self.loop.backward, self.names.of
        arriving = [of[q] for q in backward.arriving.values()]
        carried = [of[backward.carried[s]] for s in self.loop.states]
        return [*arriving, *carried, *self.inputs, *self.stored.values()]

    def backward(
        self, name: str, doc: str, launches: Sequence[str], rows: str, first: Sequence[str] = ()
    ) -> list[str]:
        """A function (*first, need, *tensors) -> gradients of the inputs.

        Of each constant's gradient there are ``rows`` partial sums.
        """
        loop, of = self.loop, self.names.of
        body = [f'"""{doc}"""', *self.measures()]
        body += [
            f"{self.past[s]} = torch.cat(({of[s]}.unsqueeze(0), {self.stored[s]}[:-1]))"
            for s in loop.states
            if self.needs_past(s)
        ]
        body += [f"{self.of_block[b]} = torch.empty_like({name})" for b, name in self.names.blocks.items()]
        body += [f"{self.gradient[s]} = torch.empty_like({of[s]})" for s in loop.states]
        for product, deltas in loop.backward.of_parts.items():
            if loop.shared_delta(product) is None:
                shape = f"steps, batch, {self.total(deltas)}"
                body.append(f"{self.deltas[product]} = {self.like}.new_empty({shape})")
        for constant, own in self.sums.items():
            items = [rows, self.size[axis_of(constant)], "dtype=torch.float32"]
            body += listed(f"{own} = {self.like}.new_zeros(", items, ")", 1)
        body += self._shared_deltas()
        body += launches
        arguments = self.arguments([*first, "need: Sequence[bool]"], self.given())
        head = listed(f"def {name}(", arguments, ") -> Tensors:", 0)
        return [*head, *indent([*body, *self._gradients()])]

    def needs_past(self, state: Quantity) -> bool:
        past = Previous(state.label, *state.axes)
        return past in read_by(self.loop) or any(p.operand == past for p in self.loop.products)

    def _shared_deltas(self) -> list[str]:
        lines = []
        for product in self.loop.products:
            if (shared := self.loop.shared_delta(product)) is None:
                continue
            block = self.loop.blocks[shared[0]]
            whole = self.of_block[block]
            if len(product.parts) < len(block.symbols):
                first = self.total(block.symbols[: shared[1]]) or "0"
                width = self.total(self.loop.backward.of_parts[product])
                lines.append(f"{self.deltas[product]} = {whole}.narrow(-1, {first}, {width})")
            else:
                lines.append(f"{self.deltas[product]} = {whole}")
        return lines

    def operand(self, product: Product) -> str:
        """The operand of a product at all steps."""
        operand, of = product.operand, self.names.of
        for state in self.loop.states:
            if operand == state.prev:
                return self.past[state]
        if operand in self.stored:
            return self.stored[operand]
        for block, tensor in self.names.blocks.items():
            if operand in block.symbols:
                index = block.symbols.index(operand)
                if len(block.symbols) == 1:
                    return tensor
                first = self.total(block.symbols[:index]) or "0"
                return f"{tensor}.narrow(-1, {first}, {self.size[axis_of(operand)]})"
        return f"{of[operand]}.expand(steps, batch, -1)"

    def _gradients(self) -> list[str]:
        lines: list[str] = []
        results = [*self.of_block.values(), *self.gradient.values()]
        for constant, name in self.names.constants.items():
            own = self.sums.get(constant)
            results.append(f"{own}.sum(0).to({name}.dtype)" if own else f"torch.zeros_like({name})")
        offset = len(results)
        if self.loop.products:
            lines.append(f"missing = {self.like}.new_empty(0)")
        for index, product in enumerate(self.loop.products):
            weight = f"d_{self.names.weights[product]}"
            call = f"over_steps({self.deltas[product]}, {self.operand(product)})"
            lines += [f"{weight} = missing", f"if need[{offset + index}]:", f"    {weight} = {call}"]
            results.append(weight)
        return [*lines, *returned(results, 1)] if len(results) > 1 else [*lines, f"return ({results[0]},)"]
