"""A loop as C: all steps of a range of rows, forward and backward.

A step is a chain of matrix products and, between them, passes over each row of the batch.  A pass loads what
it reads, computes in registers, and stores what outlives it: what the way back reads, operands, gradients,
and what a later pass needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import sympy

from codegen.loop import Loop, LoopStatement, Mean, Transposed, axis_of
from codegen.lowering.names import Names
from codegen.native.notation import CNotation
from codegen.native.storage import ROW
from codegen.plan import Assignment, Product
from derive.symbols import Activated, Previous, Quantity, Vector

INDENT = "    "


@dataclass(frozen=True)
class Home:
    """Where a vector lies at a step: ``array`` is a pointer to the step's rows, ``width`` numbers a row."""

    array: str
    width: str
    offset: str = "0"

    def row(self) -> str:
        """The address of the current row."""
        place = f"{self.array} + row * {_factor(self.width)}"
        return place if self.offset == "0" else f"{place} + {self.offset}"


@dataclass
class Segment:
    """Statements that one loop over the units of a row computes; ``means`` are whole when it ends."""

    axis: str
    assignments: list[Assignment] = field(default_factory=list)
    means: list[Mean] = field(default_factory=list)

    @property
    def statements(self) -> list[Assignment | Mean]:
        return [*self.assignments, *self.means]


Pass = list[Segment]
Stage = Product | Transposed | Pass


def stages(statements: Iterable[LoopStatement]) -> list[Stage]:
    """Products in their order, and between them passes; every formula in the first pass that can have it."""
    passes: list[list[Assignment | Mean]] = [[]]
    products: list[Product | Transposed] = []
    ready: dict[Quantity, int] = {}
    for statement in statements:
        if isinstance(statement, Product | Transposed):
            products.append(statement)
            passes.append([])
            ready.update(dict.fromkeys(statement.symbols, len(products)))
        else:
            first = max((ready.get(q, 0) for q in statement.reads), default=0)
            passes[first].append(statement)
            ready[statement.symbol] = first
    found: list[Stage] = [_segments(passes[0])]
    for product, following in zip(products, passes[1:], strict=True):
        found += [product, _segments(following)]
    return [stage for stage in found if stage]


def _segments(statements: Iterable[Assignment | Mean]) -> Pass:
    """A pass cut where a mean is needed, where the axis changes, and between activations of activations.

    A chain of activations in one loop over units is one long wait; in two loops the processor has other
    units to go on with.
    """
    segments: Pass = []
    behind: set[Quantity] = set()
    for statement in statements:
        axis = axis_of(statement.symbol)
        activated = isinstance(statement, Assignment) and isinstance(statement.expr, Activated)
        if (
            not segments
            or segments[-1].axis != axis
            or statement.reads & {mean.symbol for mean in segments[-1].means}
            or (activated and statement.reads & behind)
        ):
            segments.append(Segment(axis))
            behind = set()
        if activated or statement.reads & behind:
            behind.add(statement.symbol)
        if isinstance(statement, Mean):
            segments[-1].means.append(statement)
        else:
            segments[-1].assignments.append(statement)
    return segments


def crossing(plan: Sequence[Stage]) -> list[Quantity]:
    """The values that a later loop over units, or a product, reads from memory."""
    place: dict[Quantity, tuple[int, int]] = {}
    means: set[Quantity] = set()
    found: dict[Quantity, None] = {}
    for index, stage in enumerate(plan):
        if not isinstance(stage, list):
            reads = sorted(stage.reads, key=lambda q: q.sort_key())
            found.update(dict.fromkeys(q for q in reads if q in place))
            place.update(dict.fromkeys(stage.symbols, (index, 0)))
            found.update(dict.fromkeys(stage.symbols))
            continue
        for number, segment in enumerate(stage):
            for statement in segment.statements:
                for quantity in sorted(statement.reads, key=lambda q: q.sort_key()):
                    here = (place[quantity] == (index, number)) if quantity in place else True
                    in_row = quantity in means and place[quantity][0] == index
                    if not here and not in_row:
                        found[quantity] = None
                place[statement.symbol] = (index, number)
                if isinstance(statement, Mean):
                    means.add(statement.symbol)
    return list(found)


class Body:
    """The text of one step, given where everything lies."""

    def __init__(
        self,
        loop: Loop,
        names: Mapping[Quantity, str],
        homes: Mapping[Quantity, Home],
        constants: Mapping[Quantity, str],
    ) -> None:
        self.loop = loop
        self.names = names
        self.homes = homes
        self.constants = constants
        self.notation = CNotation(dict.fromkeys([*loop.cell.equations, *names]), names)
        self._segments = 0

    def passes(self, segments: Pass) -> list[str]:
        """One pass over the rows."""
        inner: list[str] = []
        known: set[Quantity] = set()
        for segment in segments:
            inner += self._segment(segment, known)
        return ["for (int64_t row = first; row < last; ++row) {", *_in(inner), "}"]

    def _segment(self, segment: Segment, known: set[Quantity]) -> list[str]:
        """A loop over the units of a row; ``known`` are the means that the row has already."""
        self._segments += 1
        bound: set[Quantity] = set()
        before: list[str] = []
        body: list[str] = []
        after: list[str] = []
        for statement in segment.statements:
            for quantity in sorted(statement.reads, key=lambda q: (q.label, q.sort_key())):
                if quantity in bound or quantity in known:
                    continue
                if quantity in self.loop.means:
                    before.append(self._row_scalar(quantity))
                    known.add(quantity)
                else:
                    head, line = self._load(quantity)
                    before += head
                    body.append(line)
                    bound.add(quantity)
            if isinstance(statement, Mean):
                name = self.names[statement.symbol]
                before.append(f"cw_vec sum_{name} = {{0}};")
                body.append(f"sum_{name} += cw_first({self.notation(statement.expr)}, count);")
                size = f"size_{segment.axis}"
                after.append(f"const cw_vec {name} = cw_splat(cw_sum(sum_{name}) / (cw_real){size});")
                if statement.symbol in self.homes:
                    after.append(f"*({self.homes[statement.symbol].row()}) = {name}[0];")
                continue
            name = self.names[statement.symbol]
            body.append(f"const cw_vec {name} = {self._value(statement.expr)};")
            bound.add(statement.symbol)
            if statement.symbol in self.homes:
                pointer = f"to_{name}_{self._segments}"
                before.append(f"cw_real *const {pointer} = {self.homes[statement.symbol].row()};")
                body.append(f"cw_put({pointer} + j, {name}, count);")
        known |= {m.symbol for m in segment.means}
        if not body:
            return [*before, *after]
        size = f"size_{segment.axis}"
        loop = [
            f"for (int64_t j = 0; j < {size}; j += CW_LANES) {{",
            INDENT + f"const int count = {size} - j < CW_LANES ? (int)({size} - j) : CW_LANES;",
            *_in(body),
            "}",
        ]
        return [*before, *loop, *after]

    def _value(self, expr: sympy.Expr) -> str:
        if expr.is_Number:
            return f"cw_splat({self.notation(expr)})"
        return self.notation(expr)

    def _load(self, quantity: Quantity) -> tuple[list[str], str]:
        name = self.names[quantity]
        if quantity in self.constants:
            return [], f"const cw_vec {name} = cw_get({self.constants[quantity]} + j, count);"
        pointer = f"from_{name}_{self._segments}"
        head = f"const cw_real *const {pointer} = {self.homes[quantity].row()};"
        return [head], f"const cw_vec {name} = cw_get({pointer} + j, count);"

    def _row_scalar(self, quantity: Quantity) -> str:
        return f"const cw_vec {self.names[quantity]} = cw_splat(*({self.homes[quantity].row()}));"


def _in(lines: Iterable[str], levels: int = 1) -> list[str]:
    return [INDENT * levels + line for line in lines]


def _factor(width: str) -> str:
    return f"({width})" if " " in width else width


def total(axes: Sequence[str]) -> str:
    """The numbers in a row of vectors side by side."""
    counts = {axis: axes.count(axis) for axis in axes if axis != ROW}
    terms = [f"{k} * size_{a}" if k > 1 else f"size_{a}" for a, k in counts.items()]
    if rows := list(axes).count(ROW):
        terms.append(str(rows))
    return " + ".join(terms) or "0"


def c_names(loop: Loop) -> dict[Quantity, str]:
    """A C identifier for every quantity of a loop."""
    names = Names({"count", "first", "j", "last", "row", "sizes", "t", "tensors"})
    found: dict[Quantity, str] = {}
    quantities: list[Quantity] = [*loop.taken, *loop.constants, *(s.prev for s in loop.states), *loop.states]
    for statement in (*loop.forward, *loop.backward.statements):
        quantities += statement.symbols
    quantities += [*loop.backward.carried.values(), *loop.backward.arriving.values()]
    for quantity in dict.fromkeys(quantities):
        label = f"{quantity.label}_prev" if isinstance(quantity, Previous) else quantity.label
        cleaned = "".join(c if c.isascii() and c.isalnum() else "_" for c in label)
        found[quantity] = names.fresh(f"v_{cleaned}")
    return found


def parts_width(symbols: Sequence[Vector | Quantity]) -> str:
    """The width of vectors side by side, in C."""
    return total([axis_of(symbol) for symbol in symbols])
