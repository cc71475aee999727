"""The C functions of a loop: where everything lies, and what a step does.

Both directions have the same shape: the matrices are packed once, then each step is products and passes over
the rows of the batch that the calling thread was given.  Every array is time-major and contiguous.  Functions
are called by :meth:`codegen.native.library.Library.call`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from codegen.loop import Block, Loop, LoopStatement, Transposed, axis_of, matrices
from codegen.native.kernel import Body, Home, c_names, crossing, parts_width, stages, total
from codegen.native.storage import Group, groups
from codegen.plan import Product
from derive.symbols import Quantity, State

INDENT = "    "
SIGNATURE = "(void *const *tensors, const int64_t *sizes, int64_t first, int64_t last)"
LEADING_SIZES = ("steps", "batch", "slots", "outside")
"""The sizes before those of the axes.

``slots`` is the number of steps if values are kept, else 2.  ``outside`` is 1 where the products of what the
loop takes are made outside, for all steps at once.
"""


@dataclass
class Pointers:
    """What a C function is given, in order: the pointer's name and the role that tells whose memory it is."""

    names: list[str] = field(default_factory=list)
    roles: list[tuple[str, object]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def add(self, name: str, role: tuple[str, object], *, constant: bool) -> str:
        qualifier = "const " if constant else ""
        self.lines.append(f"{qualifier}cw_real *const {name} = tensors[{len(self.names)}];")
        self.names.append(name)
        self.roles.append(role)
        return name


class Direction:
    """One direction of a loop.

    ``pointers`` lists what its C function is given; a role is a kind (``block``, ``constant``, ``initial``,
    ``stored``, ``group``, ``arriving``, ``carried``, ``gradient``, ``delta``, ``ring``, ``sums``, ``packed``,
    ``room``) and what of that kind: a block, a quantity, a product, or for scratch memory the numbers in a
    row.
    """

    name: str
    transposed: bool

    def __init__(self, loop: Loop, statements: Sequence[LoopStatement]) -> None:
        self.loop = loop
        self.names = c_names(loop)
        self.pointers = Pointers()
        self.homes: dict[Quantity, Home] = {}
        self.constants: dict[Quantity, str] = {}
        self.at_step: list[str] = []
        self.axes = axes(loop)
        self.groups = groups(loop)
        if loop.products:
            self.pointers.add("packed", ("packed", None), constant=True)
        for constant in loop.constants:
            name = f"all_{self.names[constant]}"
            self.constants[constant] = self.pointers.add(name, ("constant", constant), constant=True)
        self.lay_out()
        self.stages = stages(self.direct(statements))
        self._give_room()

    def lay_out(self) -> None:
        """Give a home to everything that has one in a tensor."""
        raise NotImplementedError

    def direct(self, statements: Sequence[LoopStatement]) -> Sequence[LoopStatement]:
        """The statements as they are computed."""
        return statements

    def array(
        self, name: str, role: tuple[str, object], width: str, time: str = "t", *, constant: bool
    ) -> str:
        """A time-major tensor; returns the pointer to the rows of the present step."""
        self.pointers.add(name, role, constant=constant)
        qualifier = "const " if constant else ""
        self.at_step.append(
            f"{qualifier}cw_real *const {name}_t = {name} + {time} * batch * {_factor(width)};"
        )
        return f"{name}_t"

    def block(self, index: int, block: Block) -> None:
        """The homes of what the loop takes at every step."""
        width = parts_width(block.symbols)
        pointer = self.array(f"block_{index}", ("block", block), width, constant=True)
        for place, symbol in enumerate(block.symbols):
            self.homes[symbol] = Home(pointer, width, parts_width(block.symbols[:place]))

    def group(self, group: Group, time: str, *, constant: bool) -> None:
        """The homes of values that are kept side by side."""
        width = total(group.axes)
        pointer = self.array(group.name, ("group", group), width, time, constant=constant)
        for place, symbol in enumerate(group.symbols):
            if symbol is not None:
                self.homes[symbol] = Home(pointer, width, total(group.axes[:place]))

    def past(self, state: State, time: str) -> None:
        """The home of a state's old value: where the step before left it, or the initial one."""
        home, name, size = self.homes[state], self.names[state], f"size_{axis_of(state)}"
        initial = self.pointers.add(f"initial_{name}", ("initial", state), constant=True)
        array = home.array.removesuffix("_t")
        rows = f"{array} + ({time}) * batch * {_factor(home.width)} + {home.offset}"
        self.at_step.append(f"const cw_real *const {initial}_t = t ? {rows} : {initial};")
        # the initial state is an array of its own: its rows are closer
        self.at_step.append(f"const int64_t {initial}_width = t ? {home.width} : {size};")
        self.homes[state.prev] = Home(f"{initial}_t", f"{initial}_width")

    def width(self, quantity: Quantity) -> str:
        return "1" if quantity in self.loop.means else f"size_{axis_of(quantity)}"

    def _give_room(self) -> None:
        """Scratch rows for every value that outlives a loop over units and has no home."""
        for stage in self.stages:
            if isinstance(stage, Product):
                self._room_for(stage)
        for quantity in crossing(self.stages):
            if quantity not in self.homes:
                width = self.width(quantity)
                room = self.pointers.add(f"room_{self.names[quantity]}", ("room", width), constant=False)
                self.homes[quantity] = Home(room, width)

    def _room_for(self, product: Product) -> None:
        """Where a product leaves its sums: on those of another, which it adds itself to, or in a room."""
        onto = self.loop.onto(product)
        if onto is not None:
            first = onto.symbols.index(product.addends[0])
            for symbol, sums in zip(product.symbols, onto.symbols[first:], strict=False):
                self.homes[symbol] = self.homes[sums]
            return
        index, width = self.index(product), parts_width(product.symbols)
        room = self.pointers.add(f"room_{index}", ("sums", product), constant=False)
        if product.operand in self.loop.taken:
            self.at_step.append(
                f"cw_real *const {room}_t = {room} + (outside ? t : 0) * batch * {_factor(width)};"
            )
            room = f"{room}_t"
        for place, symbol in enumerate(product.symbols):
            self.homes[symbol] = Home(room, width, parts_width(product.symbols[:place]))

    def index(self, product: Product) -> int:
        """A product's number; its parts' symbols may have been exchanged, so it is known by its matrices."""
        known = [(p.operand, matrices(p)) for p in self.loop.products]
        return known.index((product.operand, matrices(product)))

    def lines(self) -> list[str]:
        """The packing and the function itself."""
        return [*(self._packing() if self.loop.products else []), *self._function()]

    def _function(self) -> list[str]:
        forward = "for (int64_t t = 0; t < steps; ++t) {"
        backward = "for (int64_t t = steps - 1; t >= 0; --t) {"
        body = Body(self.loop, self.names, self.homes, self.constants)
        step: list[str] = []
        for stage in self.stages:
            step += body.passes(stage) if isinstance(stage, list) else self.multiply(stage)
        sizes = [*LEADING_SIZES, *(f"size_{axis}" for axis in self.axes)]
        lines = [
            *(f"const int64_t {name} = sizes[{index}];" for index, name in enumerate(sizes)),
            *self.pointers.lines,
            *self._packed_matrices(),
            backward if self.transposed else forward,
            *_in([*self.at_step, *step]),
            "}",
        ]
        return [f"CW_EXPORT void {self.name}{SIGNATURE} {{", *_in(lines), "}", ""]

    def multiply(self, stage: Product | Transposed) -> list[str]:
        """A product of a step."""
        raise NotImplementedError

    def call(self, y: Home, c: Home | None, v: Home, index: int, columns: str, depth: str) -> str:
        """``y = c + v W^T`` for the thread's rows."""
        addend = f"{_rows(c)}, {c.width}" if c else "0, 0"
        return (
            f"cw_multiply({_rows(y)}, {y.width}, {addend}, {_rows(v)}, {v.width}, "
            f"packed_{index}, last - first, {columns}, {depth});"
        )

    def _packed_matrices(self) -> Iterator[str]:
        place = "packed"
        for index, product in enumerate(self.loop.products):
            yield f"const cw_real *const packed_{index} = {place};"
            place = f"packed_{index} + {self._packed_size(product)}"

    def _packed_size(self, product: Product) -> str:
        rows, columns = parts_width(product.symbols), f"size_{axis_of(product.operand)}"
        return (
            f"cw_packed_size({columns}, {rows})" if self.transposed else f"cw_packed_size({rows}, {columns})"
        )

    def _packing(self) -> list[str]:
        """``<name>_pack`` packs all matrices, ``<name>_packed`` says how many numbers that takes."""
        sizes = ", ".join(f"int64_t {name}" for name in (*LEADING_SIZES, *(f"size_{a}" for a in self.axes)))
        room = " + ".join(self._packed_size(product) for product in self.loop.products)
        lines = [
            *(
                f"const int64_t size_{axis} = sizes[{len(LEADING_SIZES) + k}];"
                for k, axis in enumerate(self.axes)
            ),
            "cw_real *packed = tensors[0];",
        ]
        for index, product in enumerate(self.loop.products):
            rows, columns = parts_width(product.symbols), f"size_{axis_of(product.operand)}"
            shape = (
                f"{columns}, {rows}, 1, {columns}" if self.transposed else f"{rows}, {columns}, {columns}, 1"
            )
            lines.append(f"cw_pack(packed, tensors[{index + 1}], {shape});")
            lines.append(f"packed += {self._packed_size(product)};")
        return [
            f"CW_EXPORT int64_t {self.name}_packed({sizes}) {{",
            f"{INDENT}return {room};",
            "}",
            "",
            f"CW_EXPORT void {self.name}_pack{SIGNATURE} {{",
            *_in(lines),
            "}",
            "",
        ]


def axes(loop: Loop) -> list[str]:
    """Every axis of a loop's vectors, in the order in which their sizes are passed."""
    return list(dict.fromkeys(axis_of(q) for q in c_names(loop)))


def _rows(home: Home) -> str:
    """The address of the first of the thread's rows."""
    place = f"{home.array} + first * {_factor(home.width)}"
    return place if home.offset == "0" else f"{place} + {home.offset}"


def _factor(width: str) -> str:
    return f"({width})" if " " in width else width


def _in(lines: Sequence[str]) -> list[str]:
    return [INDENT + line if line else "" for line in lines]
