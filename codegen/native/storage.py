"""Where the forward kernel keeps values: few tensors, in which vectors lie side by side.

Arrays of one size lie at equal distances from page boundaries, so that the same unit of ten arrays falls into
one set of the first cache, which holds eight lines.  Side by side they fall into different sets.
"""

from __future__ import annotations

from dataclasses import dataclass

from codegen.loop import Block, Loop, Transposed, axis_of
from codegen.plan import Product
from derive.symbols import Quantity

ROW = "1"
"""The axis of a value with one number a row."""


@dataclass(frozen=True)
class Group:
    """A tensor (T, B, Σ sizes) of vectors side by side."""

    name: str
    symbols: tuple[Quantity, ...]
    axes: tuple[str, ...]

    def place(self, symbol: Quantity) -> int | None:
        """Which of the vectors a symbol is."""
        return self.symbols.index(symbol) if symbol in self.symbols else None


def groups(loop: Loop) -> tuple[Group, ...]:
    """The tensors that a forward pass keeps besides its exports."""
    values = tuple(q for q in loop.kept if q not in loop.means)
    means = tuple(q for q in loop.kept if q in loop.means)
    found = (
        Group("values", values, tuple(map(axis_of, values))),
        Group("means", means, (ROW,) * len(means)),
    )
    return tuple(group for group in found if group.symbols)


def delta_places(loop: Loop) -> dict[Product, tuple[Block | Product, int]]:
    """Where the gradients of each product's parts lie side by side, and from which vector on.

    In the gradient of a block, or in an array that is named after the product with the most parts in it.
    """
    backward = loop.backward
    arrays: list[tuple[Block | Product, tuple[Quantity, ...]]] = [
        (block, tuple(backward.of_blocks[q] for q in block.symbols)) for block in loop.blocks
    ]
    found: dict[Product, tuple[Block | Product, int]] = {}
    for product in sorted(loop.products, key=lambda p: -len(p.parts)):
        wanted = backward.of_parts[product]
        places = (
            (owner, first)
            for owner, deltas in arrays
            for first in range(len(deltas))
            if deltas[first : first + len(wanted)] == wanted
        )
        place = next(places, None)
        if place is None:
            arrays.append((product, wanted))
            place = (product, 0)
        found[product] = place
    return found


def from_outside(loop: Loop) -> tuple[Product, ...]:
    """The products of what the loop takes: they can be made for all steps at once."""
    return tuple(p for p in loop.products if p.operand in loop.taken)


def back_outside(loop: Loop) -> tuple[Product, ...]:
    """Those whose way back can, too, since nothing else reads the operand."""
    gradients = {s.product: s.symbol for s in loop.backward.statements if isinstance(s, Transposed)}
    return tuple(p for p in from_outside(loop) if loop.backward.of_blocks[p.operand] == gradients[p])


def sums(loop: Loop) -> Group:
    """The constants' gradients, row by row, side by side."""
    found = tuple(c for c, expr in loop.backward.sums.items() if expr != 0)
    return Group("sums", found, tuple(map(axis_of, found)))
