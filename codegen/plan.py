"""``Plan``: what a cell computes and when, as plain data that every backend reads.

A cell over a sequence is four phases.  Nothing here knows of torch.

* ``once``: what reads parameters alone; computed once a call.
* ``before``: what reads the input but no state; computed for all steps at once, before the loop.
* ``step``: what the recurrence needs; computed step by step.
* ``after``: what nothing in the recurrence reads; computed for all steps at once, from what the steps leave.

A phase is a list of statements, each a :class:`Product` (matrices stacked over each other, applied to one
vector) or an :class:`Assignment` (elementwise).  Every name is bound before it is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sympy

from derive.cell import Cell
from derive.counts import size
from derive.symbols import Activated, Linear, MeanMap, Parameter, Previous, Quantity, State, Vector
from derive.wellformed import axes_of


class SpreadMean(MeanMap):
    """A mean in an expression where nothing else has the full width, so that it must be written out."""


@dataclass(frozen=True)
class Counts:
    """Operations for one sequence as polynomials in the axes' sizes; a step's, or for ``once`` a call's."""

    multiply_adds: sympy.Expr = sympy.S.Zero
    elementwise: sympy.Expr = sympy.S.Zero
    activations: sympy.Expr = sympy.S.Zero

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            sympy.expand(self.multiply_adds + other.multiply_adds),
            sympy.expand(self.elementwise + other.elementwise),
            sympy.expand(self.activations + other.activations),
        )


@dataclass(frozen=True)
class Part:
    """Some rows of a product: ``symbol = matrix @ operand + Σ biases + addend``.

    ``target`` is the equation that it is for (the first, of several).  ``addend`` is a vector of the phase
    before; a product's parts have either all an addend or none, and so for biases.
    """

    symbol: Vector
    target: Vector
    matrix: Parameter
    biases: tuple[Parameter, ...] = ()
    addend: Vector | None = None


@dataclass(frozen=True)
class Product:
    """One matrix product: the matrices of all parts, stacked, applied to one vector."""

    operand: sympy.Expr
    parts: tuple[Part, ...]

    @property
    def symbols(self) -> tuple[Vector, ...]:
        return tuple(part.symbol for part in self.parts)

    @property
    def addends(self) -> tuple[Vector, ...]:
        return tuple(part.addend for part in self.parts if part.addend is not None)

    @property
    def reads(self) -> set[Quantity]:
        """Every quantity that must be there before this statement."""
        parameters = {p for part in self.parts for p in (part.matrix, *part.biases)}
        return {*self.operand.atoms(Quantity), *self.addends, *parameters}

    @property
    def counts(self) -> Counts:
        adds = sum((size(p.symbol.axes) for p in self.parts if p.addend is not None), sympy.S.Zero)
        bias = sum((size(b.axes) for p in self.parts for b in p.biases), sympy.S.Zero)
        products = sum((size(p.matrix.axes) for p in self.parts), sympy.S.Zero)
        return Counts(products, adds + bias) + elementwise_counts(self.operand)


@dataclass(frozen=True)
class Assignment:
    """An elementwise formula; ``shared`` tells a common subexpression from an equation or a piece of one."""

    symbol: Vector
    expr: sympy.Expr
    shared: bool = False

    @property
    def symbols(self) -> tuple[Vector, ...]:
        return (self.symbol,)

    @property
    def reads(self) -> set[Quantity]:
        found: set[Quantity] = self.expr.atoms(Quantity)
        return found

    @property
    def counts(self) -> Counts:
        return elementwise_counts(self.expr)


Statement = Product | Assignment


@dataclass(frozen=True)
class Phase:
    """Statements in the order of computation."""

    statements: tuple[Statement, ...] = ()

    def __iter__(self) -> Iterator[Statement]:
        return iter(self.statements)

    def __bool__(self) -> bool:
        return bool(self.statements)

    @property
    def products(self) -> tuple[Product, ...]:
        return tuple(s for s in self.statements if isinstance(s, Product))

    @property
    def symbols(self) -> tuple[Vector, ...]:
        """What the phase binds, in order."""
        return tuple(symbol for statement in self.statements for symbol in statement.symbols)

    @property
    def free(self) -> set[Quantity]:
        """What the phase reads and does not bind."""
        reads: set[Quantity] = set().union(*(s.reads for s in self.statements))
        return {q for q in reads if not isinstance(q, MeanMap)} - set(self.symbols)

    @property
    def counts(self) -> Counts:
        return sum((s.counts for s in self.statements), Counts())


@dataclass(frozen=True)
class Plan:
    """A cell as its four phases.

    ``handed`` is what the step reads of ``before``, in groups: a group of several is added whole to one
    product of the step, and its vectors are consecutive parts of one product of ``before``.
    """

    cell: Cell
    once: Phase
    before: Phase
    step: Phase
    after: Phase
    handed: tuple[tuple[Vector, ...], ...]

    @property
    def states(self) -> tuple[State, ...]:
        """The states, in the cell's order."""
        return tuple(s for name in self.cell.states if isinstance(s := self.cell.symbols[name], State))

    @property
    def recorded(self) -> tuple[Vector, ...]:
        """The equations that have a value at every step of the loop: all but those of ``after``."""
        late = set(self.after.symbols)
        return tuple(symbol for symbol in self.cell.equations if symbol not in late)

    @property
    def late(self) -> tuple[Vector, ...]:
        """The equations of ``after``."""
        late = set(self.after.symbols)
        return tuple(symbol for symbol in self.cell.equations if symbol in late)

    @property
    def late_reads(self) -> tuple[Quantity, ...]:
        """What ``after`` reads besides parameters: recorded vectors, old states, the input."""
        free = {q for q in self.after.free if not isinstance(q, Parameter)}
        vectors = [v for v in self.recorded if v in free]
        others = sorted(free - set(vectors), key=lambda q: (not isinstance(q, Previous), q.name))
        return (*vectors, *others)

    @property
    def axes(self) -> tuple[str, ...]:
        """Every named axis of the cell's parameters and vectors, in the order of first use."""
        found = [axis for axes in self.cell.parameters.values() for axis in axes]
        found += [axis for symbol in self.cell.equations for axis in symbol.axes]
        return tuple(dict.fromkeys(found))

    @property
    def counts(self) -> Counts:
        """Operations of one step, those outside the loop included."""
        return self.before.counts + self.step.counts + self.after.counts


def elementwise_counts(expr: sympy.Expr) -> Counts:
    """The operations of a formula without matrix products, each distinct subexpression counted once."""
    elementwise = activations = sympy.S.Zero
    for node in set(sympy.preorder_traversal(expr)):
        if not isinstance(node, sympy.Expr) or isinstance(node, Quantity) or node.is_Number:
            continue
        if isinstance(node, Activated):
            activations += size(axes_of(node)) if node.activation.torch and axes_of(node) else 0
        elif isinstance(node, Linear):
            elementwise += size(axes_of(node))
        elif axes_of(node):
            elementwise += size(axes_of(node)) * max(1, len(node.args) - 1)
    return Counts(elementwise=elementwise, activations=activations)
