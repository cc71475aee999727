"""The loop in plain torch operations: differentiable by autograd, and the forward pass of ``fused``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from codegen.loop import Block, Loop, Mean, axis_of, reads
from codegen.plan import Assignment, Product
from codegen.writing.layout import fits, indent, listed, returned, unpacked
from codegen.writing.loop_names import LoopNames, Texts, splits
from codegen.writing.widths import Width, widths
from derive.symbols import Quantity, Vector


@dataclass(frozen=True)
class Run:
    """Vectors of a block that a product adds as they lie, or a single one."""

    symbols: tuple[Quantity, ...]
    name: str


def steps_function(loop: Loop, names: LoopNames, function: str) -> list[str]:
    """``function(keep, …)``: all steps; returns what is exported, the last states, and what is kept."""
    return _Forward(loop, names).function(function)


def runs(loop: Loop, names: LoopNames, block: Block) -> list[Run]:
    """A block cut where its products' shares begin and end; what is read by itself stands alone."""
    alone = _read_alone(loop)
    added = [p.addends for p in loop.products if p.addends and not alone & set(p.addends)]
    found: list[Run] = []
    index = 0
    while index < len(block.symbols):
        rest = block.symbols[index:]
        whole = next((a for a in added if rest[: len(a)] == a), rest[:1])
        name = names.of[whole[0]] if len(whole) == 1 else f"x_{names.run(whole)}"
        found.append(Run(tuple(whole), name))
        index += len(whole)
    return found


def _read_alone(loop: Loop) -> set[Quantity]:
    rest = tuple(s for s in loop.forward if not isinstance(s, Product))
    return reads(rest)


class _Forward:
    def __init__(self, loop: Loop, names: LoopNames) -> None:
        self.loop = loop
        self.names = names
        self.texts = Texts(names)
        self.width = dict(widths(loop))
        self.sizes = {axis: axis for axis in names.sizes()}
        self.uses_sizes: set[str] = set()
        self.whole: dict[Run, str] = {}

    def function(self, function: str) -> list[str]:
        body = self._body()
        head = []
        if "batch" in self.uses_sizes:
            head.append(f"batch = {self.names.of[self.loop.states[0]]}.shape[0]")
        sizes = self.names.sizes()
        head += [f"{axis} = {sizes[axis]}" for axis in sizes if axis in self.uses_sizes]
        doc = [
            '"""All steps, each from the state that the last one left.',
            "",
            "Returns what every step gives, the last states and, with keep,",
            "what the way back reads.",
            '"""',
        ]
        arguments = ["keep: bool", *(["steps: int"] if not self.loop.blocks else [])]
        arguments += [f"{name}: Tensor" for name in self.names.inputs]
        return [*listed(f"def {function}(", arguments, ") -> Tensors:", 0), *indent([*doc, *head, *body])]

    def _body(self) -> list[str]:
        loop, names = self.loop, self.names
        lines = ["history: list[Tensors] = []"]
        lines.append(self._loop_head())
        step: list[str] = []
        for block in loop.blocks:
            step += self._cut(block)
        past = {s.prev for s in loop.states if s.prev in reads(loop.forward)}
        lines[1:1] = [f"{names.of[s.prev]} = {names.of[s]}" for s in loop.states if s.prev in past]
        for statement in loop.forward:
            if isinstance(statement, Product):
                step += self._product(statement)
            elif isinstance(statement, Mean):
                text = f"{self.texts(statement.expr, 4)}.mean(-1, keepdim=True)"
                step.append(f"{names.of[statement.symbol]} = {text}")
            elif isinstance(statement, Assignment):
                step.append(f"{names.of[statement.symbol]} = {self._full(statement.symbol, statement.expr)}")
        step += self._record()
        step += [f"{names.of[s.prev]} = {names.of[s]}" for s in loop.states if s.prev in past]
        return [*lines, *indent(step), *self._results()]

    def _loop_head(self) -> str:
        blocks = list(self.names.blocks.values())
        if not blocks:
            return "for _ in range(steps):"
        if len(blocks) == 1:
            return f"for x_t in {blocks[0]}.unbind(0):"
        variables = ", ".join(f"x_t{index + 1}" for index in range(len(blocks)))
        return f"for {variables} in zip({', '.join(f'{b}.unbind(0)' for b in blocks)}, strict=True):"

    def _cut(self, block: Block) -> list[str]:
        index = self.loop.blocks.index(block) + 1
        whole = "x_t" if len(self.loop.blocks) == 1 else f"x_t{index}"
        pieces = runs(self.loop, self.names, block)
        if len(pieces) == 1:
            self.whole[pieces[0]] = whole
            self.texts.put({pieces[0].symbols[0]: whole} if len(pieces[0].symbols) == 1 else {})
            return []
        alike = {tuple(sorted(map(axis_of, piece.symbols))) for piece in pieces}
        if len(alike) == 1:
            return unpacked([self._piece(p) for p in pieces], f"{whole}.chunk({len(pieces)}, -1)", 2)
        sizes = ", ".join(self._size(piece.symbols) for piece in pieces)
        return unpacked([self._piece(p) for p in pieces], f"torch.split({whole}, [{sizes}], -1)", 2)

    def _piece(self, piece: Run) -> str:
        return self.whole.get(piece, piece.name)

    def _size(self, symbols: Sequence[Quantity]) -> str:
        axes = [axis_of(symbol) for symbol in symbols]
        self.uses_sizes |= set(axes)
        counts = [(axis, axes.count(axis)) for axis in dict.fromkeys(axes)]
        return " + ".join(f"{count} * {axis}" if count > 1 else axis for axis, count in counts)

    def _product(self, product: Product) -> list[str]:
        names = self.names
        operand, weight = self.texts(product.operand), names.weights[product]
        if product.addends:
            text = f"torch.addmm({self._addend(product)}, {operand}, {weight}.t())"
        else:
            text = f"F.linear({operand}, {weight})"
        symbols = [names.of[s] for s in product.symbols]
        lines: list[str] = []
        if len(symbols) == 1:
            lines = [f"{symbols[0]} = {text}"]
        else:
            axes = {axis_of(s) for s in product.symbols}
            self.uses_sizes |= axes if len(axes) > 1 else set()
            lines = unpacked(symbols, splits(names, product.symbols, text, self.sizes), 2)
        return lines

    def _addend(self, product: Product) -> str:
        for block in self.loop.blocks:
            for piece in runs(self.loop, self.names, block):
                if piece.symbols == product.addends:
                    return self._piece(piece)
        names = [self.names.of[addend] for addend in product.addends]
        return names[0] if len(names) == 1 else f"torch.cat(({', '.join(names)}), -1)"

    def _full(self, symbol: Vector, expr: object) -> str:
        """A right side, at full width where others rely on it."""
        needed = {*self.loop.stored, *self.loop.states, *(p.operand for p in self.loop.products)}
        if self.width[symbol] is Width.FULL or symbol not in needed:
            return self.texts(expr)
        self.width[symbol] = Width.FULL
        self.uses_sizes |= {"batch", axis_of(symbol)}
        return f"{self.texts(expr, 4)}.expand(batch, {axis_of(symbol)})"

    def _record(self) -> list[str]:
        exports = [self.names.of[q] for q in self.loop.exports]
        stored = [self.names.of[q] for q in self.loop.stored]
        tuples = [f"({', '.join(v)}{',' if len(v) == 1 else ''})" for v in (stored, exports)]
        if tuples[0] == tuples[1]:
            return [f"history.append({tuples[0]})"]
        line = f"history.append({tuples[0]} if keep else {tuples[1]})"
        if fits(line, 2):
            return [line]
        return [*listed("kept = (", stored, ")", 2), f"history.append(kept if keep else {tuples[1]})"]

    def _results(self) -> list[str]:
        names, loop = self.names, self.loop
        lasts = [f"{names.of[s]}.clone()" for s in loop.states]
        if not loop.stored:
            return returned(lasts, 1) if len(lasts) > 1 else [f"return ({lasts[0]},)"]
        count = len(loop.exports)
        lines = ["arrays = [torch.stack(values) for values in zip(*history, strict=True)]"]
        if not loop.kept:
            return [*lines, f"return (*arrays, {', '.join(lasts)})"]
        return [*lines, *listed("return (", [f"*arrays[:{count}]", *lasts, f"*arrays[{count}:]"], ")", 1)]
