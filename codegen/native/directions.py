"""The two directions of a loop: all steps in order, and the adjoint from the last step to the first."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from codegen.loop import Block, Loop, LoopStatement, Mean, Transposed, axis_of
from codegen.native.kernel import Home, parts_width, total
from codegen.native.program import Direction
from codegen.native.storage import back_outside, delta_places, sums
from codegen.plan import Assignment, Product
from derive.symbols import State, Vector


class Forward(Direction):
    """All steps, in order."""

    name = "forward"
    transposed = False

    def __init__(self, loop: Loop) -> None:
        super().__init__(loop, loop.forward)

    def lay_out(self) -> None:
        loop = self.loop
        for index, block in enumerate(loop.blocks):
            self.block(index, block)
        for symbol in loop.exports:
            pointer = self.array(
                f"kept_{self.names[symbol]}", ("stored", symbol), self.width(symbol), constant=False
            )
            self.homes[symbol] = Home(pointer, self.width(symbol))
        for group in self.groups:
            self.group(group, "(t % slots)", constant=False)
        for state in loop.states:
            if state not in self.homes:
                name, width = f"kept_{self.names[state]}", self.width(state)
                pointer = self.array(name, ("stored", state), width, "(t % slots)", constant=False)
                self.homes[state] = Home(pointer, width)
        for state in loop.states:
            self.past(state, "t - 1" if state in loop.exports else "(t - 1) % slots")

    def direct(self, statements: Sequence[LoopStatement]) -> Sequence[LoopStatement]:
        """With a copy of what a product leaves among its sums and what is stored by itself."""
        found: list[LoopStatement] = []
        for statement in statements:
            found.append(statement)
            stored = set(statement.symbols) & self.homes.keys()
            if isinstance(statement, Product) and stored:
                raw = {s: Vector(f"{s.name} in sums", *s.axes) for s in statement.symbols if s in stored}
                self.names |= {inner: f"{self.names[symbol]}_in_sums" for symbol, inner in raw.items()}
                parts = (dataclasses.replace(p, symbol=raw.get(p.symbol, p.symbol)) for p in statement.parts)
                found[-1] = Product(statement.operand, tuple(parts))
                found += [Assignment(symbol, inner) for symbol, inner in raw.items()]
        return found

    def multiply(self, stage: Product | Transposed) -> list[str]:
        assert isinstance(stage, Product)
        index, width = self.index(stage), parts_width(stage.symbols)
        addend = self.homes[stage.addends[0]] if stage.addends else None
        y, v = self.homes[stage.symbols[0]], self.homes[stage.operand]
        call = self.call(y, addend, v, index, width, f"size_{axis_of(stage.operand)}")
        return [f"if (!outside) {call}" if stage.operand in self.loop.taken else call]


class Reverse(Direction):
    """The adjoint, from the last step to the first."""

    name = "backward"
    transposed = True

    def __init__(self, loop: Loop) -> None:
        self.copies: list[Assignment] = []
        super().__init__(loop, (*loop.backward.recomputed, *loop.backward.statements))

    def lay_out(self) -> None:
        loop = self.loop
        for index, block in enumerate(loop.blocks):
            self.block(index, block)
        for symbol in loop.exports:
            name = f"kept_{self.names[symbol]}"
            pointer = self.array(name, ("stored", symbol), self.width(symbol), constant=True)
            self.homes[symbol] = Home(pointer, self.width(symbol))
        for group in self.groups:
            self.group(group, "t", constant=True)
        for state in loop.states:
            self._state(state)
        for symbol, gradient in loop.backward.arriving.items():
            name = f"arriving_{self.names[symbol]}"
            pointer = self.array(name, ("arriving", symbol), self.width(symbol), constant=True)
            self.homes[gradient] = Home(pointer, self.width(symbol))
        self._deltas()
        self._blocks()
        self._sums()

    def _state(self, state: State) -> None:
        width, name = self.width(state), self.names[state]
        if state in self.homes:
            self.past(state, "t - 1")
        last = self.pointers.add(f"carried_{name}", ("carried", state), constant=True)
        ring = self.array(f"ring_{name}", ("ring", state), width, "(t % 2)", constant=False)
        later = f"ring_{name} + (t + 1) % 2 * batch * {width}"
        self.at_step.append(f"const cw_real *const {last}_t = t + 1 < steps ? {later} : {last};")
        self.homes[self.loop.backward.carried[state]] = Home(f"{last}_t", width)
        self.homes[self.loop.backward.of_previous[state]] = Home(ring, width)

    def _deltas(self) -> None:
        """The gradients of a product's parts lie side by side: by themselves, or as the block's gradient."""
        self.gradient_of: dict[Block, str] = {}
        for index, block in enumerate(self.loop.blocks):
            width = parts_width(block.symbols)
            pointer = self.array(f"gradient_{index}", ("gradient", block), width, constant=False)
            self.gradient_of[block] = pointer
        for product, (owner, first) in delta_places(self.loop).items():
            deltas = self.loop.backward.of_parts[product]
            if isinstance(owner, Block):
                pointer, width, symbols = self.gradient_of[owner], parts_width(owner.symbols), owner.symbols
            else:
                width, symbols = parts_width(owner.symbols), owner.symbols
                name = f"delta_{self.index(owner)}"
                pointer = f"{name}_t"
                if owner is product:
                    self.array(name, ("delta", product), width, constant=False)
            for place, delta in enumerate(deltas):
                self.homes[delta] = Home(pointer, width, parts_width(symbols[: first + place]))

    def _blocks(self) -> None:
        """The gradients of what the loop took; one that lies elsewhere is copied."""
        for block, pointer in self.gradient_of.items():
            width = parts_width(block.symbols)
            for place, symbol in enumerate(block.symbols):
                gradient = self.loop.backward.of_blocks[symbol]
                home = Home(pointer, width, parts_width(block.symbols[:place]))
                if gradient not in self.homes and gradient not in self.loop.means:
                    self.homes[gradient] = home
                elif self.homes.get(gradient) != home:
                    copy = Vector(f"copy_{len(self.copies)}", *symbol.axes)
                    self.names[copy] = f"copy_{len(self.copies)}"
                    self.homes[copy] = home
                    self.copies.append(Assignment(copy, gradient))

    def _sums(self) -> None:
        """A constant's gradient is summed row by row; the rows are added in one order in the end."""
        group = sums(self.loop)
        if not group.symbols:
            return
        name = self.pointers.add(group.name, ("sums", group), constant=False)
        for place, constant in enumerate(group.symbols):
            home = Home(name, total(group.axes), total(group.axes[:place]))
            before, after = (Vector(f"{name}_{place}_{when}", *constant.axes) for when in ("before", "after"))
            for symbol in (before, after):
                self.names[symbol] = symbol.name
                self.homes[symbol] = home
            self.copies.append(Assignment(after, before + self.loop.backward.sums[constant]))

    def direct(self, statements: Sequence[LoopStatement]) -> Sequence[LoopStatement]:
        """With copies and sums, and without an assignment that a product can write in its place."""
        everything = [*statements, *self.copies]
        uses = [q for s in everything for q in s.reads]
        products = {s.symbol for s in everything if isinstance(s, Transposed)}
        found: list[LoopStatement] = []
        written: dict[Vector, Vector] = {}
        for statement in everything:
            expr = statement.expr if isinstance(statement, Assignment | Mean) else None
            alone = isinstance(statement, Assignment) and expr in products and uses.count(expr) == 1
            if alone and expr not in self.homes and statement.symbols[0] in self.homes:
                assert isinstance(expr, Vector)
                written[expr] = statement.symbols[0]  # by that name others wait for it
            else:
                found.append(statement)
        return [
            dataclasses.replace(s, symbol=written.get(s.symbol, s.symbol)) if isinstance(s, Transposed) else s
            for s in found
        ]

    def multiply(self, stage: Product | Transposed) -> list[str]:
        assert isinstance(stage, Transposed)
        index, depth = self.index(stage.product), parts_width(stage.gradients)
        y, v = self.homes[stage.symbol], self.homes[stage.gradients[0]]
        call = self.call(y, None, v, index, f"size_{axis_of(stage.symbol)}", depth)
        return [f"if (!outside) {call}" if stage.product in back_outside(self.loop) else call]


def kernels(loop: Loop) -> tuple[Forward, Reverse, str]:
    """Both directions of a loop, and the C text of both, without the prelude."""
    forward, reverse = Forward(loop), Reverse(loop)
    return forward, reverse, "\n".join([_HELPERS.strip(), "", *forward.lines(), *reverse.lines()])


_HELPERS = """
CW_INLINE cw_vec cw_get(const cw_real *p, int count) {
    return count == CW_LANES ? cw_load(p) : cw_load_part(p, count);
}
CW_INLINE void cw_put(cw_real *p, cw_vec x, int count) {
    if (count == CW_LANES)
        cw_store(p, x);
    else
        cw_store_part(p, x, count);
}
CW_INLINE cw_vec cw_first(cw_vec x, int count) {
    if (count == CW_LANES) return x;
    cw_real lanes[CW_LANES] = {0};
    cw_store_part(lanes, x, count);
    return cw_load(lanes);
}
CW_INLINE cw_real cw_sum(cw_vec x) {
    cw_real total = 0;
    for (int i = 0; i < CW_LANES; ++i) total += x[i];
    return total;
}
"""
