"""One kernel for the whole sequence: each program keeps the matrices and its rows' states on the chip."""

from __future__ import annotations

from codegen.loop import Mean, Transposed, axis_of, reads
from codegen.plan import Assignment, Product
from codegen.triton.host import Host
from codegen.triton.kernel import KernelNames, Place, Writer, kernel, times
from codegen.triton.reading import read_by
from codegen.writing.layout import indent, listed
from derive.symbols import Quantity


class _Persistent:
    """The state of writing one of the two kernels."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.loop = host.loop
        self.names = KernelNames(host.names)
        self.writer = Writer(self.names)
        self.tensors: dict[str, str] = {}
        self.advancing: dict[str, str] = {}

    def pointer(self, tensor: str, width: str = "") -> str:
        """An argument for a tensor of the host; one with a width of rows moves by a step at every step."""
        name = self.names.fresh(f"{tensor}_ptr")
        self.tensors[name] = f"{tensor}{self.begin}" if width else tensor
        if width:
            self.advancing[name] = width
        return name

    def launch(self, function: str) -> list[str]:
        """The call from the host."""
        host, names = self.host, self.names
        sizes = [f"{names.size[axis]}={host.size[axis]}" for axis in names.axes]
        padded = [f"{names.padded[axis]}=padded({host.size[axis]})" for axis in names.axes]
        own = {"KEEP": "keep", "BLOCK": "ROWS", "PRECISION": "precision()", "WIDEN": "INTERPRETED"}
        switches = [f"{name}={own[name]}" for name in self.switches]
        arguments = [*self.tensors.values(), "steps", "batch", *sizes, *padded, *switches]
        arguments += [f"num_warps=warps({host.largest()})", "num_stages=depth", "enable_fp_fusion=True"]
        return listed(f"{function}[(triton.cdiv(batch, ROWS),)](", arguments, ")", 1)

    @property
    def arguments(self) -> list[str]:
        constants = [*self.names.size.values(), *self.names.padded.values(), *self.switches]
        return [*self.tensors, "steps", "batch", *(f"{name}: tl.constexpr" for name in constants)]

    switches: tuple[str, ...] = ("BLOCK", "PRECISION", "WIDEN")
    begin = ""
    """Where the first step to be computed lies in a tensor of all steps."""

    def frame(self) -> list[str]:
        names = self.names
        lines = self.writer.frame(names.axes, tiled=False)
        axes = {axis for p in self.loop.products for q in (p.operand, *p.symbols) for axis in q.axes}
        lines += [
            f"{names.column[axis]} = tl.arange(0, {names.padded[axis]})[:, None]"
            for axis in names.axes
            if axis in axes
        ]
        return lines

    def constants(self, read: set[Quantity]) -> list[str]:
        lines: list[str] = []
        for constant, name in self.names.tensors.constants.items():
            pointer = self.pointer(name)
            if constant in read:
                lines += self.writer.units(constant, pointer)
        return lines

    def matrices(self, *, transposed: bool) -> list[str]:
        """Every matrix of every product, laid out as the product's right side."""
        names = self.names
        self.tiles: dict[Product, list[str]] = {}
        lines: list[str] = []
        for product, name in names.tensors.weights.items():
            pointer = self.pointer(name)
            source = axis_of(product.operand)
            self.tiles[product] = []
            for index, symbol in enumerate(product.symbols):
                tile = names.fresh(name if len(product.parts) == 1 else f"{name}_{index}")
                self.tiles[product].append(tile)
                to = axis_of(symbol)
                first = names.total(product.symbols[:index]) if index else "0"
                to_index, source_index = names.unit[to], names.column[source]
                if transposed:
                    to_index, source_index = names.column[to], names.unit[source]
                items = [pointer, first, to_index, names.size[to], source_index, names.size[source]]
                lines += listed(f"{tile} = load_matrix(", items, ")", 1)
        return lines

    def dot(self, value: str, tile: str) -> str:
        return f"dot({value}, {tile}, PRECISION, WIDEN)"

    def operand(self, value: str, axis: str, tile: str, target: str) -> list[str]:
        """A full tile of the matrices' type, zero outside."""
        return [f"{target} = {self.writer.masked(value, axis)}.to({tile}.dtype)"]

    def advance(self, sign: str) -> list[str]:
        return [f"{pointer} {sign}= {times('batch', width)}" for pointer, width in self.advancing.items()]


class PersistentForward(_Persistent):
    """The forward pass."""

    switches = ("KEEP", "BLOCK", "PRECISION", "WIDEN")

    def lines(self, name: str) -> list[str]:
        loop, names, writer = self.loop, self.names, self.writer
        read = reads(loop.forward)
        loads: list[str] = []
        for block, tensor in names.tensors.blocks.items():
            pointer = self.pointer(tensor, names.total(block.symbols))
            for symbol in block.symbols:
                if symbol in read:
                    loads += writer.loaded(symbol, names.in_block(block, symbol, pointer))
        start: list[str] = []
        for state in loop.states:
            start += writer.loaded(state.prev, names.alone(state, self.pointer(names.tensors.of[state])))
        start += [*self.constants(read), *self.matrices(transposed=False)]
        stores = [(names.of[q], self.output(q, kept=False)) for q in loop.exports]
        lasts = [(state, names.alone(state, self.pointer(self.host.last[state]))) for state in loop.states]
        stores += [(names.of[q], self.output(q, kept=True)) for q in loop.kept]
        step = [*loads, *self.statements(), *writer.stores(stores), *self.advance("+")]
        step += [f"{names.of[s.prev]} = {writer.whole(s)}" for s in loop.states]
        body = [
            *self.frame(),
            *start,
            "for _ in range(steps):",
            *indent(step),
            *(line for state, place in lasts for line in writer.stored(names.of[state.prev], place)),
        ]
        return kernel(name, self.arguments, "All steps of some rows.", body)

    def output(self, quantity: Quantity, *, kept: bool) -> Place:
        width = self.names.alone(quantity, "").width
        return self.names.alone(quantity, self.pointer(self.host.stored[quantity], width), kept=kept)

    def statements(self) -> list[str]:
        lines: list[str] = []
        for statement in self.loop.forward:
            if isinstance(statement, Product):
                lines += self.product(statement)
            elif isinstance(statement, Mean):
                lines += self.writer.mean(statement)
            elif isinstance(statement, Assignment):
                lines += self.writer.assigned(statement)
        return lines

    def product(self, product: Product) -> list[str]:
        name = self.names.of[product.operand]
        target = self.names.fresh(f"read_{name}")
        tiles = self.tiles[product]
        lines = self.operand(name, axis_of(product.operand), tiles[0], target)
        return [*lines, *self.writer.parts(product, [self.dot(target, tile) for tile in tiles])]


class PersistentBackward(_Persistent):
    """The adjoint."""

    begin = "[-1]"

    def lines(self, name: str) -> list[str]:
        loop, names, writer = self.loop, self.names, self.writer
        backward = loop.backward
        read = read_by(loop)
        loads: list[str] = []
        for quantity in backward.arriving.values():
            loads += writer.loaded(quantity, self.moving(quantity, names.tensors.of[quantity]))
        start: list[str] = []
        for state in loop.states:
            carried = backward.carried[state]
            start += writer.loaded(carried, names.alone(state, self.pointer(names.tensors.of[carried])))
        for block, tensor in names.tensors.blocks.items():
            if not read & set(block.symbols):
                continue
            pointer = self.pointer(tensor, names.total(block.symbols))
            for symbol in block.symbols:
                if symbol in read:
                    loads += writer.loaded(symbol, names.in_block(block, symbol, pointer))
        start += [*self.constants(read), *self.matrices(transposed=True)]
        for quantity in loop.stored:
            if quantity in read:
                loads += writer.loaded(quantity, self.moving(quantity, self.host.stored[quantity]))
        for state in loop.states:
            if state.prev in read:
                loads += writer.loaded(state.prev, self.moving(state, self.host.past[state]))
        stores = self.gradients()
        firsts = [
            (backward.carried[s], names.alone(s, self.pointer(self.host.gradient[s]))) for s in loop.states
        ]
        sums = {c: backward.sums[c] for c in self.host.sums}
        totals = {c: names.fresh(f"sum_{names.of[c]}") for c in sums}
        start += [f"{totals[c]} = {writer.full(c, '0')}" for c in sums]
        step = [*loads, *self.statements(), *writer.stores(stores)]
        step += [f"{totals[c]} += {writer.sum_text(expr, axis_of(c))}" for c, expr in sums.items()]
        step += self.advance("-")
        before = [names.of[backward.carried[s]] for s in loop.states]
        after = [writer.whole(backward.of_previous[s]) for s in loop.states]
        step += [f"{b} = {a}" for b, a in zip(before, after, strict=True)]
        end = [line for q, place in firsts for line in writer.stored(names.of[q], place)]
        for constant in sums:
            axis = axis_of(constant)
            pointer = self.pointer(self.host.sums[constant])
            target = f"{pointer} + tl.program_id(0) * {names.size[axis]} + {names.unit[axis]}"
            value = f"tl.sum({totals[constant]}, 0, keep_dims=True)"
            mask = f"mask={names.unit[axis]} < {names.size[axis]}"
            end += listed("tl.store(", [target, value, mask], ")", 1)
        body = [*self.frame(), *start, "for _ in range(steps):", *indent(step), *end]
        return kernel(name, self.arguments, "The adjoint of all steps of some rows, from the last on.", body)

    def moving(self, quantity: Quantity, tensor: str) -> Place:
        width = self.names.alone(quantity, "").width
        return self.names.alone(quantity, self.pointer(tensor, width))

    def gradients(self) -> list[tuple[str, Place]]:
        """What the step writes: the blocks' gradients, and the products' where they lie elsewhere."""
        loop, names = self.loop, self.names
        stores: list[tuple[str, Place]] = []
        for block in loop.blocks:
            pointer = self.pointer(self.host.of_block[block], names.total(block.symbols))
            for symbol in block.symbols:
                place = names.in_block(block, symbol, pointer)
                stores.append((names.of[loop.backward.of_blocks[symbol]], place))
        for product, deltas in loop.backward.of_parts.items():
            if loop.shared_delta(product) is None:
                total = names.total(deltas)
                pointer = self.pointer(self.host.deltas[product], total)
                for index, delta in enumerate(deltas):
                    first = names.total(deltas[:index]) if index else ""
                    stores.append((names.of[delta], Place(pointer, total, first, axis_of(delta))))
        return stores

    def statements(self) -> list[str]:
        lines: list[str] = []
        for statement in (*self.loop.backward.recomputed, *self.loop.backward.statements):
            if isinstance(statement, Transposed):
                lines += self.transposed(statement)
            elif isinstance(statement, Mean):
                lines += self.writer.mean(statement)
            elif isinstance(statement, Assignment):
                lines += self.writer.assigned(statement)
        return lines

    def transposed(self, statement: Transposed) -> list[str]:
        lines: list[str] = []
        terms = []
        for gradient, tile in zip(statement.gradients, self.tiles[statement.product], strict=True):
            target = self.names.fresh(f"read_{self.names.of[gradient]}")
            lines += self.operand(self.names.of[gradient], axis_of(gradient), tile, target)
            terms.append(self.dot(target, tile))
        symbol = self.names.of[statement.symbol]
        lines.append(f"{symbol} = {terms[0]}")
        return [*lines, *(f"{symbol} += {term}" for term in terms[1:])]
