"""``Loop``: the part of a plan that must go step by step, forward and backward, as kernels compute it.

Where a :class:`~codegen.plan.Plan` reads like the equations, a loop is flat: no activation, mean, root or
matrix product stands inside another formula, so that each is computed once and its value can be kept for the
backward pass.  What lies around the loop (:attr:`Loop.before`, :attr:`Loop.after`) stays in whatever language
the backend's host speaks.  Nothing here knows of torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import sympy

from codegen.plan import Assignment, Phase, Plan, Product
from derive.cell import Cell
from derive.symbols import Parameter, Previous, Quantity, State, Vector


@dataclass(frozen=True)
class Mean:
    """The mean of a formula over the units of each row: one number a row, which then meets every unit."""

    symbol: Vector
    expr: sympy.Expr

    @property
    def symbols(self) -> tuple[Vector, ...]:
        return (self.symbol,)

    @property
    def reads(self) -> set[Quantity]:
        found: set[Quantity] = self.expr.atoms(Quantity)
        return found


@dataclass(frozen=True)
class Transposed:
    """``symbol = Σ Wᵀ d`` over the parts of a forward product: the gradient of its operand."""

    symbol: Vector
    product: Product
    gradients: tuple[Vector, ...]

    @property
    def symbols(self) -> tuple[Vector, ...]:
        return (self.symbol,)

    @property
    def reads(self) -> set[Quantity]:
        return set(self.gradients)


LoopStatement = Assignment | Mean | Product | Transposed


@dataclass(frozen=True)
class Block:
    """A tensor (T, B, Σ sizes) that the loop takes: vectors computed before it, side by side.

    ``sources`` are their names outside; a state that no past state enters has another name inside.
    """

    symbols: tuple[Quantity, ...]
    sources: tuple[Quantity, ...]


@dataclass(frozen=True)
class Backward:
    """One step of the reverse pass, from the last step to the first.

    It reads :attr:`carried` (the gradient of each state as the later step left it), :attr:`arriving` (the
    gradient that each exported vector gets from outside at this step) and the values of the forward step that
    are exported, kept, or taken in; ``recomputed`` are the cheap ones, computed again.

    ``of_previous`` is what the earlier step gets as ``carried``; ``of_blocks`` the gradient of each vector
    that the loop takes at this step; ``of_parts`` that of each product's parts, from which a matrix has its
    gradient in one product over all steps; ``sums`` what a constant's gradient is a sum of, over all steps
    and rows.  A gradient that is identically zero is an ``Assignment`` of 0.
    """

    recomputed: tuple[Assignment, ...]
    statements: tuple[LoopStatement, ...]
    carried: Mapping[State, Vector]
    arriving: Mapping[Vector, Vector]
    of_previous: Mapping[State, Vector]
    of_blocks: Mapping[Quantity, Vector]
    of_parts: Mapping[Product, tuple[Vector, ...]]
    sums: Mapping[Quantity, sympy.Expr]


@dataclass(frozen=True)
class Loop:
    """A cell's recurrence: what it takes, one step of it, what it gives, and its adjoint.

    * ``blocks``: what it takes at every step, (T, B, ·) each.
    * ``constants``: vectors (n,) that all steps share: diagonal parameters, biases, what ``plan.once`` binds;
      by their name inside, with the one outside.
    * ``forward``: one step.  The operand of each product is a symbol, never a formula; a product takes no
      biases along, and what is added to it lies as its rows do in a block (:meth:`Loop.added`) or among
      the parts of an earlier product, which nothing else reads (:meth:`Loop.onto`).
    * ``exports``: the vectors that it gives at every step; the last states are given besides.
    * ``kept``: further vectors that the forward pass stores for the backward pass.
    * ``before``, ``after``: the phases around it, of which ``plan`` is the whole.
    """

    plan: Plan
    before: Phase
    after: Phase
    blocks: tuple[Block, ...]
    constants: Mapping[Quantity, Quantity]
    forward: tuple[LoopStatement, ...]
    exports: tuple[Vector, ...]
    kept: tuple[Vector, ...]
    backward: Backward

    @property
    def cell(self) -> Cell:
        return self.plan.cell

    @property
    def states(self) -> tuple[State, ...]:
        return self.plan.states

    @cached_property
    def products(self) -> tuple[Product, ...]:
        """The matrix products of a step; the loop takes the matrices of each stacked, (Σ rows, columns)."""
        return tuple(s for s in self.forward if isinstance(s, Product))

    @cached_property
    def means(self) -> frozenset[Quantity]:
        """The symbols with one number a row, of both directions."""
        return frozenset(s.symbol for s in (*self.forward, *self.backward.statements) if isinstance(s, Mean))

    @cached_property
    def stored(self) -> tuple[Vector, ...]:
        """What the forward pass writes at every step when a backward pass is to follow."""
        return (*self.exports, *self.kept)

    @cached_property
    def taken(self) -> tuple[Quantity, ...]:
        """The vectors that the loop takes at every step, in the order of the blocks."""
        return tuple(symbol for block in self.blocks for symbol in block.symbols)

    def shared_delta(self, product: Product) -> tuple[int, int] | None:
        """Where the gradients of a product's parts already lie as the gradient of what was added to it.

        The number of the block and that of the first vector in it; None where they need a place of their own.
        """
        return _located(
            self.backward.of_parts[product],
            [[self.backward.of_blocks[symbol] for symbol in block.symbols] for block in self.blocks],
        )

    def onto(self, product: Product) -> Product | None:
        """The product whose sums this one adds itself to, in their place."""
        owners = {symbol: p for p in self.products for symbol in p.symbols}
        return owners.get(product.addends[0]) if product.addends else None

    def added(self, product: Product) -> tuple[int, int] | None:
        """Where what is added to a product lies: the number of a block, that of the first vector in it."""
        return _located(product.addends, [list(block.symbols) for block in self.blocks])


def _located(wanted: Sequence[Quantity], lists: Sequence[Sequence[Quantity]]) -> tuple[int, int] | None:
    """Where vectors stand one after the other: in which list, from which place on."""
    for index, found in enumerate(lists):
        for first in range(len(found) - len(wanted) + 1):
            if wanted and tuple(found[first : first + len(wanted)]) == tuple(wanted):
                return index, first
    return None


def axis_of(symbol: Quantity) -> str:
    """The axis of a vector with one."""
    return symbol.axes[0]


def reads(statements: Sequence[LoopStatement]) -> set[Quantity]:
    """What statements read and do not bind, matrices and biases of products included."""
    found: set[Quantity] = set().union(*(s.reads for s in statements))
    return found - {symbol for s in statements for symbol in s.symbols}


def matrices(product: Product) -> tuple[Parameter, ...]:
    """The matrices of a product, in the order of its rows."""
    return tuple(part.matrix for part in product.parts)


def is_past(quantity: Quantity) -> bool:
    """Whether a quantity is the value of a state one step earlier."""
    return isinstance(quantity, Previous)
