"""Step by step: batched products of the host, and one kernel for each run of formulas between them."""

from __future__ import annotations

from dataclasses import dataclass, field

from codegen.loop import Loop, Mean, axis_of
from codegen.plan import Assignment
from codegen.triton.host import Host
from codegen.triton.kernel import KernelNames, Place, Writer, kernel
from codegen.triton.schedule import Level, Multiply, Sum, backward_levels, forward_levels
from codegen.writing.layout import indent, listed
from derive.symbols import Quantity


@dataclass(frozen=True)
class Spot:
    """Where a quantity lies outside: a tensor's text, and the ``index`` among the vectors side by side in it.

    ``thin`` tensors have one number a row where the quantity has.
    """

    tensor: str
    symbols: tuple[Quantity, ...]
    index: int = 0
    thin: bool = False
    kept: bool = False


@dataclass
class Run:
    """One kernel of a step: its statements and what it writes where."""

    level: Level
    sinks: list[tuple[Quantity, Spot]] = field(default_factory=list)

    @property
    def bound(self) -> set[Quantity]:
        return {symbol for s in self.level.run for symbol in s.symbols}

    @property
    def reads(self) -> set[Quantity]:
        found = {q for s in self.level.run for q in s.reads} | {q for q, _ in self.sinks}
        return found - self.bound


class _Stepwise:
    def __init__(self, host: Host, levels: list[Level]) -> None:
        self.host = host
        self.loop: Loop = host.loop
        self.runs = [Run(level) for level in levels]
        self.spots: dict[Quantity, Spot] = {}
        self.products: dict[Multiply, str] = {}
        self.start: list[str] = []
        self.swaps: list[str] = []

    def fresh(self, wish: str) -> str:
        return self.host.names.fresh(wish)

    def name(self, quantity: Quantity) -> str:
        return self.host.names.of.get(quantity, quantity.label.removesuffix("*"))

    # where values lie

    def sink(self, quantity: Quantity, spot: Spot) -> None:
        """Let the run that binds a quantity write it, or the last one, if none does."""
        binding = [run for run in self.runs if quantity in run.bound]
        (binding or self.runs[-1:])[0].sinks.append((quantity, spot))

    def results(self) -> None:
        """A tensor for what each product gives."""
        for run in self.runs:
            for multiply in run.level.products:
                name = self.fresh(f"product_{self.name(multiply.symbols[0])}")
                width = self.host.total(multiply.symbols)
                self.start.append(f"{name} = {self.host.like}.new_empty(batch, {width})")
                self.products[multiply] = name
                for index, symbol in enumerate(multiply.symbols):
                    self.spots[symbol] = Spot(name, multiply.symbols, index)

    def carry(self, read: Quantity, written: Quantity, initial: str, wish: str) -> tuple[str, str]:
        """Two float32 tensors that change places after every step; returns their names."""
        now, then = self.fresh(f"now_{wish}"), self.fresh(f"next_{wish}")
        self.start += [f"{now} = {initial}.to(torch.float32, copy=True)", f"{then} = torch.empty_like({now})"]
        self.swaps.append(f"{now}, {then} = {then}, {now}")
        self.spots[read] = Spot(now, (read,))
        self.sink(written, Spot(then, (written,)))
        return now, then

    def temporaries(self) -> None:
        """What one run binds and a later one reads; in float32."""
        for index, run in enumerate(self.runs):
            later = {q for other in self.runs[index + 1 :] for q in other.reads}
            for quantity in sorted(run.bound & later, key=lambda q: q.name):
                name = self.fresh(f"between_{self.name(quantity)}")
                shape = f"batch, {self.host.width(quantity)}, dtype=torch.float32"
                self.start.append(f"{name} = {self.host.like}.new_empty({shape})")
                spot = Spot(name, (quantity,), thin=True)
                run.sinks.append((quantity, spot))
                self.spots[quantity] = spot

    def taken(self) -> None:
        for block, tensor in self.host.names.blocks.items():
            for index, symbol in enumerate(block.symbols):
                self.spots[symbol] = Spot(f"{tensor}[t]", block.symbols, index)

    # text

    def kernels_and_loop(
        self, stem: str, head: str, multiplied: dict[Multiply, str]
    ) -> tuple[list[str], list[str]]:
        """The kernels, two empty lines between them, and the lines that launch them step by step."""
        kernels: list[str] = []
        step: list[str] = []
        count = 0
        for run in self.runs:
            step += [multiplied[multiply] for multiply in run.level.products]
            if run.level.run or run.sinks:
                count += 1
                writer = _RunWriter(self, run)
                name = f"{stem}_{count}"
                kernels += ["", "", *writer.lines(name)]
                step += writer.launch(name)
        return kernels[2:], [*self.start, head, *indent([*step, *self.swaps])]


class _RunWriter:
    def __init__(self, outer: _Stepwise, run: Run) -> None:
        self.outer = outer
        self.host = outer.host
        self.run = run
        self.names = KernelNames(outer.host.names)
        for multiply in outer.products:
            for symbol in multiply.symbols:
                if symbol not in self.names.of:
                    self.names.of[symbol] = self.names.fresh(f"product_{symbol.label.removesuffix('*')}")
        self.writer = Writer(self.names)
        self.tensors: dict[str, str] = {}
        quantities = {*run.reads, *run.bound, *(s.constant for s in run.level.run if isinstance(s, Sum))}
        self.axes = tuple(axis for axis in self.names.axes if axis in {a for q in quantities for a in q.axes})
        means = any(isinstance(s, Mean) for s in run.level.run)
        self.tiled = len(self.axes) == 1 and not means
        self.keeps = any(spot.kept for _, spot in run.sinks)

    def pointer(self, tensor: str) -> str:
        wish = "".join(c if c.isalnum() or c == "_" else "" for c in tensor.split("[")[0])
        name = self.names.fresh(f"{wish}_ptr")
        self.tensors[name] = tensor
        return name

    def place(self, quantity: Quantity, spot: Spot, pointer: str) -> Place:
        names = self.names
        if spot.thin:
            return names.alone(quantity, pointer, kept=spot.kept)
        first = names.total(spot.symbols[: spot.index]) if spot.index else ""
        axis = axis_of(spot.symbols[spot.index])
        return Place(pointer, names.total(spot.symbols), first, axis, spot.kept)

    def lines(self, name: str) -> list[str]:
        names, writer = self.names, self.writer
        body = writer.frame(self.axes, tiled=self.tiled)
        pointers: dict[str, str] = {}

        def of(tensor: str) -> str:
            if tensor not in pointers:
                pointers[tensor] = self.pointer(tensor)
            return pointers[tensor]

        for quantity in sorted(self.run.reads, key=lambda q: q.name):
            if quantity in self.host.names.constants:
                body += writer.units(quantity, of(self.host.names.constants[quantity]))
            else:
                spot = self.outer.spots[quantity]
                body += writer.loaded(quantity, self.place(quantity, spot, of(spot.tensor)))
        stores: list[tuple[str, Place]] = []
        for statement in self.run.level.run:
            if isinstance(statement, Mean):
                body += writer.mean(statement)
            elif isinstance(statement, Assignment):
                body += writer.assigned(statement)
            else:
                place = names.alone(statement.constant, of(self.host.sums[statement.constant]))
                total = names.fresh(f"sum_{names.of[statement.constant]}")
                items = [place.pointer, "row", place.width, names.unit[place.axis], names.inside[place.axis]]
                body += listed(f"{total} = load(", items, ")", 1)
                body.append(f"{total} += {writer.texts(statement.expr)}")
                stores.append((total, place))
        stores += [(names.of[q], self.place(q, spot, of(spot.tensor))) for q, spot in self.run.sinks]
        body += writer.stores(stores)
        sizes = [f"{table[axis]}: tl.constexpr" for table in (names.size, names.padded) for axis in self.axes]
        # a width may be that of vectors of another axis
        others = [f"{names.size[a]}: tl.constexpr" for a in names.axes if a not in self.axes]
        keep = ["KEEP: tl.constexpr"] if self.keeps else []
        arguments = [*self.tensors, "batch", *others, *sizes, *keep, "BLOCK: tl.constexpr"]
        return kernel(name, arguments, "Formulas of one step between two products.", body)

    def launch(self, name: str) -> list[str]:
        host, names = self.host, self.names
        grid = f"{'tiles' if self.tiled else 'whole_rows'}(batch, {self._widest()})"
        arguments = [*self.tensors.values(), "batch"]
        arguments += [f"{names.size[axis]}={host.size[axis]}" for axis in names.axes]
        if self.tiled:
            arguments.append(f"{names.padded[self.axes[0]]}=UNITS")
        else:
            arguments += [f"{names.padded[axis]}=padded({host.size[axis]})" for axis in self.axes]
        arguments += ["KEEP=keep"] if self.keeps else []
        arguments.append("BLOCK=block(UNITS)" if self.tiled else f"BLOCK=block(padded({self._widest()}))")
        arguments.append("enable_fp_fusion=True")
        return listed(f"{name}[{grid}](", arguments, ")", 2)

    def _widest(self) -> str:
        sizes = [self.host.size[axis] for axis in self.axes]
        return sizes[0] if len(sizes) == 1 else f"max({', '.join(sizes)})"


class StepwiseForward(_Stepwise):
    """The forward pass."""

    def __init__(self, host: Host) -> None:
        super().__init__(host, forward_levels(host.loop))

    def lines(self, stem: str) -> tuple[list[str], list[str]]:
        """The kernels, and what the host does with them; ``t`` is the step."""
        host, loop = self.host, self.loop
        self.results()
        self.taken()
        operands: dict[Quantity, str] = {}
        multiplied = {q for multiply in self.products for q in multiply.operands}
        lasts = []
        for state in loop.states:
            wish = host.names.of[state]
            now, then = self.carry(state.prev, state, wish, wish)
            if state.prev in multiplied:
                operands[state.prev] = self.operand_of_state(state, now, then)
            lasts.append(f"{host.last[state]}.copy_({now})")
        for quantity in sorted(multiplied, key=lambda q: q.name):
            operands.setdefault(quantity, self.operand(quantity))
        for quantity in loop.stored:
            kept = quantity in loop.kept
            tensor = f"{host.stored[quantity]}[{'at' if kept else 't'}]"
            self.sink(quantity, Spot(tensor, (quantity,), thin=True, kept=kept))
        self.temporaries()
        products = {
            m: f"torch.mm({operands[m.operands[0]]}, {host.names.weights[m.product]}.t(), out={name})"
            for m, name in self.products.items()
        }
        kernels, lines = self.kernels_and_loop(stem, "for t in range(steps):", products)
        if loop.kept:
            head = lines.index("for t in range(steps):")
            lines.insert(head + 1, "    at = t if keep else 0")
        return kernels, [*lines, *lasts]

    def operand_of_state(self, state: Quantity, now: str, then: str) -> str:
        """Its value in the matrices' type, which in float32 is the carried one."""
        given = self.host.names.of[state]
        read, following = self.fresh(f"read_{given}"), self.fresh(f"read_next_{given}")
        test = f"{given}.dtype == torch.float32"
        self.start += [
            f"{read} = {now} if {test} else {given}.clone()",
            f"{following} = {then} if {test} else torch.empty_like({given})",
        ]
        self.swaps.append(f"{read}, {following} = {following}, {read}")
        self.sink(state, Spot(following, (state,)))
        return read

    def operand(self, quantity: Quantity) -> str:
        if any(quantity in run.bound for run in self.runs):
            name = self.fresh(f"read_{self.name(quantity)}")
            size = self.host.size[axis_of(quantity)]
            self.start.append(f"{name} = {self.host.like}.new_empty(batch, {size})")
            self.sink(quantity, Spot(name, (quantity,)))
            return name
        if quantity in self.spots:  # taken from a block
            spot = self.spots[quantity]
            first = self.host.total(spot.symbols[: spot.index]) or "0"
            return f"{spot.tensor}.narrow(-1, {first}, {self.host.size[axis_of(quantity)]})"
        return f"{self.host.names.constants[quantity]}.expand(batch, -1)"


class StepwiseBackward(_Stepwise):
    """The adjoint."""

    def __init__(self, host: Host) -> None:
        super().__init__(host, backward_levels(host.loop))

    def lines(self, stem: str) -> tuple[list[str], list[str]]:
        host, loop = self.host, self.loop
        of = host.names.of
        self.results()
        self.taken()
        for quantity, tensor in host.stored.items():
            self.spots[quantity] = Spot(f"{tensor}[t]", (quantity,), thin=True)
        for state in loop.states:
            self.spots[state.prev] = Spot(f"{host.past[state]}[t]", (state,))
        for export, quantity in loop.backward.arriving.items():
            self.spots[quantity] = Spot(f"{of[quantity]}[t]", (export,), thin=True)
        firsts = []
        for state in loop.states:
            carried = loop.backward.carried[state]
            now, _ = self.carry(carried, loop.backward.of_previous[state], of[carried], of[carried])
            firsts.append(f"{host.gradient[state]}.copy_({now})")
        for block, tensor in host.of_block.items():
            own = tuple(loop.backward.of_blocks[symbol] for symbol in block.symbols)
            for index, gradient in enumerate(own):
                self.sink(gradient, Spot(f"{tensor}[t]", block.symbols, index))
        for product, deltas in loop.backward.of_parts.items():
            if loop.shared_delta(product) is None:
                for index, delta in enumerate(deltas):
                    self.sink(delta, Spot(f"{host.deltas[product]}[t]", deltas, index))
        self.temporaries()
        products = {
            m: f"torch.mm({host.deltas[m.product]}[t], {host.names.weights[m.product]}, out={name})"
            for m, name in self.products.items()
        }
        kernels, lines = self.kernels_and_loop(stem, "for t in reversed(range(steps)):", products)
        return kernels, [*lines, *firsts]
