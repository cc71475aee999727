"""The names that functions over a whole loop use, and the text of their formulas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import sympy

from codegen.loop import Block, Loop, axis_of
from codegen.lowering.names import Names
from codegen.plan import Product
from codegen.writing.layout import joined
from codegen.writing.names import RESERVED, Identifiers
from codegen.writing.notation import TorchNotation
from derive.show.notation import ATOM
from derive.symbols import Quantity

LONGEST = 18
"""A run of names beyond this many characters is not worth spelling out."""

LOCAL = frozenset({"arrays", "batch", "ctx", "keep", "kept", "missing", "need", "t", "x_t"})


class LoopNames:
    """What a loop takes and gives, by the names of the arguments and results of its functions.

    ``of`` maps every quantity of the loop to a name; inside a step that is its value at the step, outside
    its values at all steps.
    """

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        taken = Identifiers(loop.plan)
        self._names = Names((RESERVED | LOCAL) - {"projected"})
        self.of: dict[Quantity, str] = {}
        for quantity in dict.fromkeys(self._quantities()):
            wish = taken[quantity].removeprefix("self.") if quantity in taken else quantity.label
            self.of[quantity] = self._names.fresh(wish.strip("_") or "v")
        self.blocks = {block: self._block(block) for block in loop.blocks}
        self.weights = {product: self._weight(product) for product in loop.products}
        self.states = {s: self.of[s] for s in loop.states}
        self.constants = {c: self.of[c] for c in loop.constants}

    def _quantities(self) -> Iterable[Quantity]:
        loop = self.loop
        yield from loop.taken
        yield from loop.constants
        yield from (s.prev for s in loop.states)
        yield from loop.states
        for statement in (*loop.forward, *loop.backward.statements):
            yield from statement.symbols
        yield from loop.backward.carried.values()
        yield from loop.backward.arriving.values()

    def _block(self, block: Block) -> str:
        if len(block.symbols) == 1:
            return self.of[block.symbols[0]]
        return self.fresh("projected" if len(self.loop.blocks) == 1 else f"x_{self.run(block.symbols)}")

    def _weight(self, product: Product) -> str:
        if len(product.parts) == 1:
            return self.fresh(product.parts[0].matrix.label)
        return self.fresh(f"W_{self.of[product.operand]}")

    def run(self, symbols: Iterable[Quantity]) -> str:
        """One name for several vectors side by side."""
        text = joined([self.of[q].removeprefix("x_") for q in symbols])
        return text if len(text) <= LONGEST else "all"

    def fresh(self, wish: str) -> str:
        """A name that nothing else has."""
        return self._names.fresh(wish)

    @property
    def inputs(self) -> list[str]:
        """The tensors that the loop takes, in order: blocks, states, constants, stacked matrices."""
        return [
            *self.blocks.values(),
            *self.states.values(),
            *self.constants.values(),
            *self.weights.values(),
        ]

    def sizes(self) -> dict[str, str]:
        """How the size of an axis is read off an argument, by axis."""
        found: dict[str, str] = {}
        for state in self.loop.states:
            found.setdefault(axis_of(state), f"{self.of[state]}.shape[-1]")
        for block in self.loop.blocks:
            if len(block.symbols) == 1:
                found.setdefault(axis_of(block.symbols[0]), f"{self.blocks[block]}.shape[-1]")
        for constant in self.loop.constants:
            found.setdefault(axis_of(constant), f"{self.of[constant]}.shape[-1]")
        for product in self.loop.products:
            axes = [axis_of(symbol) for symbol in product.symbols]
            found.setdefault(axis_of(product.operand), f"{self.weights[product]}.shape[1]")
            if len(set(axes)) == 1:
                found.setdefault(axes[0], f"{self.weights[product]}.shape[0] // {len(axes)}")
        for block in self.loop.blocks:
            axes = [axis_of(symbol) for symbol in block.symbols]
            if len(set(axes)) == 1:
                found.setdefault(axes[0], f"{self.blocks[block]}.shape[-1] // {len(axes)}")
        return found


class Texts:
    """Formulas as text, in which a quantity stands as its name or as what has been put in its place."""

    def __init__(self, names: LoopNames) -> None:
        plan = names.loop.plan
        order = dict.fromkeys([*plan.cell.equations, *names.of])
        self.notation = TorchNotation(order, names.of)

    def __call__(self, expr: sympy.Expr, level: int = 0) -> str:
        return self.notation(expr, level)

    def put(self, texts: Mapping[Quantity, str]) -> None:
        """Let quantities stand as other text, ``r`` as ``r[t]``."""
        self.notation.inlined.update({quantity: (text, ATOM) for quantity, text in texts.items()})

    def clear(self) -> None:
        self.notation.inlined.clear()


def splits(names: LoopNames, symbols: Iterable[Quantity], whole: str, sizes: Mapping[str, str]) -> str:
    """The call that cuts a tensor into vectors that lie side by side in it."""
    axes = [axis_of(symbol) for symbol in symbols]
    if len(set(axes)) == 1:
        return f"{whole}.chunk({len(axes)}, -1)"
    return f"torch.split({whole}, [{', '.join(sizes[axis] for axis in axes)}], -1)"
