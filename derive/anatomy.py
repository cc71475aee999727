"""Carries, writes, reads and gates, *found* in a cell's equations (idea 4 of the design), never annotated.

In the write of a state, the part that is linear in the state's own past with an elementwise coefficient is
its *carry*; what is added is the *increment*.  Every other use of the state is a *read*.  A *gate* is a
vector of fractions (its activation's range lies in [0, 1]) that multiplies something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import sympy

from derive.cell import Cell
from derive.symbols import Activated, Linear, Previous, Quantity, State, Vector, atoms


@dataclass(frozen=True)
class Write:
    """How a state is written.

    ``site`` is the vector in whose equation the state's past stands bare; it is the state itself, or an
    intermediate that the state is computed from elementwise (``via``, from the state to the site, both
    included).  At the site the equation reads ``carry * state.prev + increment``.  A state without a carry
    has carry 0 and is its own site.
    """

    state: State
    site: Vector
    carry: sympy.Expr
    increment: sympy.Expr
    via: tuple[Vector, ...]
    scale: sympy.Expr = sympy.S.One
    """What multiplies the site on its way to the state; 1 where the state is its own site."""

    @property
    def is_incremental(self) -> bool:
        return bool(self.carry != 0)


def linear_part(expr: sympy.Expr, past: Quantity) -> tuple[sympy.Expr, sympy.Expr]:
    """``(c, r)`` with ``expr == c * past + r``, where c is elementwise; past may remain in both as a read."""
    if expr == past:
        return sympy.S.One, sympy.S.Zero
    if expr.is_Add:
        parts = [linear_part(arg, past) for arg in expr.args]
        return sympy.Add(*(c for c, _ in parts)), sympy.Add(*(r for _, r in parts))
    if expr.is_Mul:
        for factor in expr.args:
            c, r = linear_part(factor, past)
            if c != 0:
                others = sympy.Mul(*(f for f in expr.args if f is not factor))
                return c * others, r * others
    return sympy.S.Zero, expr


def states(cell: Cell) -> tuple[State, ...]:
    """The state symbols in ``cell.states`` order."""
    return tuple(State(name, *cell.axes(name)) for name in cell.states)


@lru_cache(maxsize=4096)
def write(cell: Cell, state: State) -> Write:
    """The write of a state, its carry found."""
    via = _carrying(cell, state, state.prev)
    site = via[-1] if via else state
    carry, increment = (
        linear_part(cell.equations[site], state.prev) if via else (sympy.S.Zero, cell.equations[state])
    )
    scale = sympy.Mul(*(linear_part(cell.equations[above], below)[0] for above, below in pairwise(via)))
    return Write(state, site, carry, increment, via or (state,), scale)


def _carrying(cell: Cell, vector: Vector, past: Previous) -> tuple[Vector, ...]:
    """The vectors from ``vector`` to the one that has ``past`` bare, along elementwise factors and terms."""
    expr = cell.equations[vector]
    if linear_part(expr, past)[0] != 0:
        return (vector,)
    for source in sorted(_bare(expr), key=lambda q: q.name):
        below = _carrying(cell, source, past)
        if below:
            return (vector, *below)
    return ()


def _bare(expr: sympy.Expr) -> set[Vector]:
    """The vectors in which an expression is elementwise linear: in no map and in no activation."""
    if isinstance(expr, Vector):
        return {expr}
    if expr.is_Add or expr.is_Mul:
        return set().union(*(_bare(arg) for arg in expr.args))
    return set()


def memories(cell: Cell) -> tuple[Write, ...]:
    """The writes of the states that carry something: the cell's memory, shadow states left out."""
    return tuple(w for s in states(cell) if (w := write(cell, s)).is_incremental)


def is_shadow(cell: Cell, state: State) -> bool:
    """Whether a state only mirrors, elementwise, what this step wrote to another: h = o ⊙ φ(c)."""
    if write(cell, state).is_incremental:
        return False
    return any(isinstance(q, State) for q in _elementwise_atoms(cell.equations[state]))


def _elementwise_atoms(expr: sympy.Expr) -> set[Quantity]:
    if isinstance(expr, Linear):
        return set()
    if isinstance(expr, Quantity):
        return {expr}
    return set().union(*(_elementwise_atoms(arg) for arg in expr.args), set())


def is_fraction(cell: Cell, vector: sympy.Expr) -> bool:
    """Whether a vector's outermost activation makes it a number in [0, 1]; a state never is a gate."""
    if not isinstance(vector, Vector) or isinstance(vector, State):
        return False
    expr = cell.equations.get(vector)
    return isinstance(expr, Activated) and expr.activation.is_gate


@lru_cache(maxsize=4096)
def gates(cell: Cell) -> tuple[Vector, ...]:
    """The vectors of fractions that multiply something, in the order of their equations."""
    factors: set[sympy.Expr] = set()
    for expr in cell.equations.values():
        for node in expr.atoms(sympy.Mul):
            for factor in node.args:
                factors |= _bare(factor)
    return tuple(v for v in cell.equations if v in factors and is_fraction(cell, v))


def gate_factors(cell: Cell, product: sympy.Expr) -> tuple[Vector, ...]:
    """The gates among the factors of a product, ``1 - g`` counted as g."""
    factors = sympy.Mul.make_args(product)
    return tuple(gate for f in factors for gate in (f, 1 - f) if is_fraction(cell, gate))


def closing(cell: Cell, product: sympy.Expr) -> dict[Vector, int]:
    """The setting of one gate that makes a product vanish: 0, or 1 where ``1 - g`` multiplies."""
    factors = sympy.Mul.make_args(product)
    return next(({g: int(g not in factors)} for g in gate_factors(cell, product)), {})


def readers(cell: Cell, write: Write) -> tuple[Vector, ...]:
    """The candidates: the vectors that compute the increment, gates left out; the site if it is inline."""
    found = [write.site]
    gate_set = set(gates(cell))
    frontier = [q for q in atoms(write.increment) if isinstance(q, Vector)]
    while frontier:
        q = frontier.pop()
        if q in found or q in gate_set or isinstance(q, State):
            continue
        found.append(q)
        frontier += [v for v in atoms(cell.equations[q]) if isinstance(v, Vector)]
    return tuple(v for v in cell.equations if v in found)


Replace = Callable[[sympy.Expr, tuple[Vector, ...]], sympy.Expr]


def map_reads(cell: Cell, expr: sympy.Expr, source: Quantity, replace: Replace) -> sympy.Expr:
    """Replace every read of ``source`` in an expression.

    A read is ``source`` itself or an activation of it alone.  ``replace(read, gates)`` is given the read and
    the gates that multiply it where it stands.
    """

    def visit(node: sympy.Expr, around: tuple[Vector, ...]) -> sympy.Expr:
        if node == source or (isinstance(node, Activated) and node.argument == source):
            return replace(node, around)
        if not node.args or source not in atoms(node):
            return node
        if isinstance(node, Linear):
            return Linear(node.map, visit(node.vector, ()))
        if isinstance(node, Activated):
            return node.activation(visit(node.argument, ()))
        inner = (*around, *gate_factors(cell, node)) if node.is_Mul else around
        return node.func(*(visit(arg, inner) for arg in node.args))

    return visit(expr, ())


def find_reads(cell: Cell, expr: sympy.Expr, source: Quantity) -> list[tuple[sympy.Expr, tuple[Vector, ...]]]:
    """Every read of ``source`` in an expression, with the gates that multiply it."""
    found: list[tuple[sympy.Expr, tuple[Vector, ...]]] = []

    def note(read: sympy.Expr, around: tuple[Vector, ...]) -> sympy.Expr:
        found.append((read, around))
        return read

    map_reads(cell, expr, source, note)
    return found


def past_reads(cell: Cell, write: Write) -> Iterator[tuple[Vector, sympy.Expr, tuple[Vector, ...]]]:
    """``(reader, read, gates)`` for every read of a state's past; its carry is not among them."""
    for symbol in cell.equations:
        for read, around in find_reads(cell, without_carry(cell, write, symbol), write.state.prev):
            yield symbol, read, around


def without_carry(cell: Cell, write: Write, symbol: Vector) -> sympy.Expr:
    """An equation's expression with the state's carry taken out: what is left of the state are its reads."""
    if symbol == write.site and write.is_incremental:
        return write.carry + write.increment
    return cell.equations[symbol]


def depends_on(
    cell: Cell, target: Vector, source: Quantity, closed: dict[Quantity, sympy.Expr] | None = None
) -> bool:
    """Whether a vector depends on ``source`` within a step, when some vectors are held at given values."""
    held = closed or {}
    seen: set[Quantity] = set()
    frontier: list[Quantity] = [target]
    while frontier:
        q = frontier.pop()
        if q == source:
            return True
        if q in seen or q in held or not isinstance(q, Vector):
            continue
        seen.add(q)
        frontier += atoms(_hold(cell.equations[q], held))
    return False


def _hold(expr: sympy.Expr, held: dict[Quantity, sympy.Expr]) -> sympy.Expr:
    """Substitute values and let zeros vanish through linear maps: W @ (0 * s) is 0."""
    if expr in held:
        return sympy.sympify(held[expr])
    if isinstance(expr, Linear):
        vector = _hold(expr.vector, held)
        return sympy.S.Zero if vector == 0 else Linear(expr.map, vector)
    if isinstance(expr, Activated):
        return expr.activation(_hold(expr.argument, held))
    return expr.func(*(_hold(arg, held) for arg in expr.args)) if expr.args else expr


def mirrors_of(cell: Cell, write: Write) -> tuple[State, ...]:
    """The shadow states that show what this step wrote to a state through a gate: h = o ⊙ φ(c)."""
    shadows = (s for s in states(cell) if s != write.state and is_shadow(cell, s))
    return tuple(s for s in shadows if any(gs for _, gs in find_reads(cell, cell.equations[s], write.state)))


def reads_shadow(cell: Cell, write: Write) -> bool:
    """Whether a state's candidate reads it through a shadow state."""
    past = {s.prev for s in mirrors_of(cell, write)}
    return any(past & atoms(without_carry(cell, write, candidate)) for candidate in readers(cell, write))
