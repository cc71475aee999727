"""The gap between two columns: which vertical piece of wire stands left of which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

NEAR = 4.0
"""Closer than this, two parallel wires read as one."""
FEW = 6
"""Up to so many trunks all orders are tried."""


@dataclass(frozen=True)
class Trunk:
    """A tree's vertical piece in a gap: in from the left at one height, out to the right at several."""

    left: float
    right: tuple[float, ...]

    @property
    def span(self) -> tuple[float, float]:
        return min(self.left, *self.right), max(self.left, *self.right)


def ordered(trunks: Sequence[Trunk]) -> tuple[int, ...]:
    """The trunks from left to right, with the fewest crossings and no two wires on top of each other."""
    price = [[_price(a, b) for b in trunks] for a in trunks]
    natural = tuple(sorted(range(len(trunks)), key=lambda i: (trunks[i].left, trunks[i].right)))

    def total(order: Sequence[int]) -> float:
        return sum(price[a][b] for i, a in enumerate(order) for b in order[i + 1 :])

    if len(trunks) <= FEW:
        return min(permutations(natural), key=total)
    order: tuple[int, ...] = ()
    for trunk in natural:
        order = min(((*order[:k], trunk, *order[k:]) for k in range(len(order) + 1)), key=total)
    return order


def _price(a: Trunk, b: Trunk) -> float:
    """What it costs that a stands left of b."""
    crossings = sum(_inside(y, b.span) for y in set(a.right)) + _inside(b.left, a.span)
    on_top = sum(abs(y - b.left) < NEAR for y in a.right)
    return crossings + 100.0 * on_top


def _inside(y: float, span: tuple[float, float]) -> bool:
    return span[0] - NEAR < y < span[1] + NEAR
