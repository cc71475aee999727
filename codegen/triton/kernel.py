"""What all kernels share: their names, and the lines that compute a step's statements on a tile.

A tile is ``BLOCK`` rows of the batch by the units of an axis, padded to a power of two.  What lies outside is
loaded as zero, computed along, kept out of means, products and sums, and never stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sympy

from codegen.loop import Block, Loop, Mean, axis_of
from codegen.lowering.names import Names
from codegen.plan import Assignment, Product
from codegen.triton.notation import TritonNotation
from codegen.writing.layout import indent, listed
from codegen.writing.loop_names import LoopNames
from codegen.writing.names import RESERVED
from codegen.writing.widths import Width, widths
from derive.show.notation import PRODUCT
from derive.symbols import Quantity

TAKEN = RESERVED | {
    *(
        "BLOCK",
        "KEEP",
        "PRECISION",
        "WIDEN",
        "tl",
        "triton",
        "rows",
        "row",
        "batch",
        "unit",
        "column",
        "inside",
    ),
    *("load", "load_units", "load_matrix", "dot", "sigmoid", "tanh", "log1p", "expm1", "power", "min", "max"),
}


@dataclass(frozen=True)
class Place:
    """Where the values of a quantity lie in a tensor of rows, at one step.

    ``width`` is the length of a row and ``first`` where the quantity begins in it, as text; ``axis`` is
    empty for one number a row; with ``kept`` the tensor is there only if something is kept.
    """

    pointer: str
    width: str
    first: str
    axis: str
    kept: bool = False


class KernelNames:
    """The names of values, sizes and tensors inside kernels; tensors end in ``_ptr``."""

    def __init__(self, tensors: LoopNames) -> None:
        self.loop = loop = tensors.loop
        self.tensors = tensors
        self._names = Names(TAKEN)
        self.axes = tuple(dict.fromkeys(axis for q in _vectors(loop) for axis in q.axes))
        self.size = {axis: self.fresh(axis) for axis in self.axes}
        self.padded = {axis: self.fresh(f"{axis.upper()}_PADDED") for axis in self.axes}
        self.unit = {axis: self.fresh(f"unit_{axis}") for axis in self.axes}
        self.column = {axis: self.fresh(f"column_{axis}") for axis in self.axes}
        self.inside = {axis: self.fresh(f"inside_{axis}") for axis in self.axes}
        self.of = {q: self.fresh(name) for q, name in self.tensors.of.items()}
        self.width = dict(widths(loop))

    def fresh(self, wish: str) -> str:
        """A name that nothing else has inside the kernels."""
        return self._names.fresh(wish)

    def total(self, symbols: Iterable[Quantity]) -> str:
        """The width of vectors side by side."""
        axes = [axis_of(symbol) for symbol in symbols]
        counts = {axis: axes.count(axis) for axis in axes}
        parts = (f"{k} * {self.size[a]}" if k > 1 else self.size[a] for a, k in counts.items())
        return " + ".join(parts) or "0"

    def in_block(self, block: Block, symbol: Quantity, pointer: str) -> Place:
        index = block.symbols.index(symbol)
        first = self.total(block.symbols[:index]) if index else ""
        return Place(pointer, self.total(block.symbols), first, axis_of(symbol))

    def is_row(self, quantity: Quantity) -> bool:
        """Whether a tensor of it has one number a row."""
        return quantity in self.loop.means and self.width[quantity] is Width.ROW

    def alone(self, quantity: Quantity, pointer: str, *, kept: bool = False) -> Place:
        """The place of a quantity that has a tensor to itself."""
        if self.is_row(quantity):
            return Place(pointer, "1", "", "", kept)
        return Place(pointer, self.size[axis_of(quantity)], "", axis_of(quantity), kept)


def _vectors(loop: Loop) -> Iterable[Quantity]:
    yield from loop.states
    yield from loop.taken
    yield from loop.constants
    for statement in loop.forward:
        yield from statement.symbols


class Writer:
    """Lines that compute on tiles."""

    def __init__(self, names: KernelNames) -> None:
        self.names = names
        self.texts = TritonNotation([*names.loop.plan.cell.equations, *names.of], names.of)

    def frame(self, axes: Iterable[str], *, tiled: bool) -> list[str]:
        """Where the tile lies; ``tiled`` if programs also share out the units."""
        names = self.names
        lines = ["row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)[:, None]"]
        for axis in axes:
            start = f"tl.program_id(1) * {names.padded[axis]} + " if tiled else ""
            lines.append(f"{names.unit[axis]} = {start}tl.arange(0, {names.padded[axis]})[None, :]")
            inside = f"(row < batch) & ({names.unit[axis]} < {names.size[axis]})"
            lines.append(f"{names.inside[axis]} = {inside}")
        return lines

    def loaded(self, quantity: Quantity, place: Place) -> list[str]:
        """``quantity = load(…)``."""
        names = self.names
        pointer = f"{place.pointer} + {place.first}" if place.first else place.pointer
        if place.axis:
            rest = [place.width, names.unit[place.axis], names.inside[place.axis]]
        else:
            rest = ["1", "0", "row < batch"]
        return listed(f"{names.of[quantity]} = load(", [pointer, "row", *rest], ")", 2)

    def stored(self, value: str, place: Place) -> list[str]:
        """The store of a value that broadcasts to its place."""
        names = self.names
        parts = [place.pointer, place.first, times("row", place.width)]
        parts += [names.unit[place.axis]] if place.axis else []
        mask = names.inside[place.axis] if place.axis else "row < batch"
        return listed("tl.store(", [" + ".join(p for p in parts if p), value, f"mask={mask}"], ")", 2)

    def stores(self, items: Sequence[tuple[str, Place]]) -> list[str]:
        """Stores at the end of a step, those of what is kept in a branch of their own."""
        always = [line for value, place in items if not place.kept for line in self.stored(value, place)]
        kept = [line for value, place in items if place.kept for line in self.stored(value, place)]
        return [*always, *(["if KEEP:", *indent(kept)] if kept else [])]

    def units(self, quantity: Quantity, pointer: str) -> list[str]:
        """A constant's load."""
        names, axis = self.names, axis_of(quantity)
        items = [pointer, names.unit[axis], names.size[axis]]
        return listed(f"{names.of[quantity]} = load_units(", items, ")", 1)

    def assigned(self, statement: Assignment) -> list[str]:
        """An elementwise formula; a bare number fills a tile, for names must stand for tensors."""
        symbol, text = statement.symbol, self.texts(statement.expr)
        if self.names.width.get(symbol, Width.FULL) is Width.NUMBER:
            text = self.full(symbol, text)
        return [f"{self.names.of[symbol]} = {text}"]

    def full(self, symbol: Quantity, text: str) -> str:
        """A value as wide as the tile."""
        zeros = f"tl.zeros((BLOCK, {self.names.padded[axis_of(symbol)]}), tl.float32)"
        return zeros if text == "0" else f"{zeros} + {text}"

    def whole(self, symbol: Quantity) -> str:
        """A value's name, or what makes it as wide as the tile."""
        name = self.names.of[symbol]
        return name if self.names.width.get(symbol, Width.FULL) is Width.FULL else self.full(symbol, name)

    def mean(self, statement: Mean) -> list[str]:
        names, axis = self.names, axis_of(statement.symbol)
        items = [names.inside[axis], self.texts(statement.expr), "0.0"]
        masked = f"tl.where({', '.join(items)})"
        return [f"{names.of[statement.symbol]} = tl.sum({masked}, 1, keep_dims=True) / {names.size[axis]}"]

    def parts(self, product: Product, values: Sequence[str]) -> list[str]:
        """The parts of a product from the values of their matrices' products."""
        lines = []
        for part, value in zip(product.parts, values, strict=True):
            added = [self.names.of[q] for q in (*([part.addend] if part.addend else []), *part.biases)]
            lines.append(f"{self.names.of[part.symbol]} = {' + '.join([value, *added])}")
        return lines

    def masked(self, text: str, axis: str) -> str:
        """A full tile that is zero outside: a number that is none would pass through a product's zeros."""
        return f"tl.where({self.names.inside[axis]}, {text}, 0.0)"

    def sum_text(self, expr: sympy.Expr, axis: str) -> str:
        return self.masked(self.texts(expr, PRODUCT), axis)


def times(row: str, width: str) -> str:
    """The place of a row in a tensor with rows of a width."""
    return row if width == "1" else f"{row} * ({width})" if " + " in width else f"{row} * {width}"


def kernel(name: str, arguments: Sequence[str], doc: str, body: Sequence[str]) -> list[str]:
    """A decorated function."""
    return [
        "@triton.jit",
        *listed(f"def {name}(", arguments, "):", 0),
        *indent([f'"""{doc}"""', *body]),
    ]
