"""Taking the recurrence out of the gates: what is left of it is what the states carry."""

from __future__ import annotations

from collections.abc import Mapping

import sympy

from derive.anatomy import gates, memories, readers, states
from derive.cell import Cell
from derive.claim import Claim
from derive.claims.linear import diagonal, is_linear_recurrence, linear
from derive.errors import MalformedCell
from derive.rewriting import drop_unread
from derive.rule import Rewrite, Rule, agree, already, refuse
from derive.symbols import Activated, Linear, Parameter, Previous, Quantity, State, Vector, atoms

Equations = Mapping[Vector, sympy.Expr]


def drop_recurrence(cell: Cell) -> Rewrite:
    """A gate or a candidate reads a past state through weights:  g = φ(W_g s' + U_g x)  ⟶  g = φ(U_g x).

    A state that nothing reads any more at the next step is then an ordinary vector.
    """
    found = memories(cell)
    if not found:
        raise refuse(cell, "no state carries its past; the rule needs one that does", states(cell)[0])
    sites = {vector for write in found for vector in write.via}
    chosen = _leading(cell, {*gates(cell), *(r for write in found for r in readers(cell, write))})
    dropped: dict[sympy.Expr, int] = {}
    equations: dict[Vector, sympy.Expr] = {}
    for (
        symbol,
        expr,
    ) in cell.equations.items():  # a vector that has lost its recurrence is none for its readers
        equations[symbol] = _without(equations, expr, dropped) if symbol in chosen else expr
    at_fault = [s for s in chosen if s not in sites and _reads_past(equations, equations[s])]
    if not dropped and not at_fault:
        seen = next(iter(chosen), states(cell)[0])
        raise already(cell, "no gate and no candidate reads a past state through weights", seen)
    if at_fault:
        raise refuse(cell, f"{at_fault[0].name} reads a past state, and not through weights", at_fault[0])
    empty = next((s for s in chosen if _is_empty(equations[s])), None)
    if empty is not None:
        raise refuse(cell, f"nothing but the recurrence enters {empty.name}", empty)
    changed = equations
    equations, names = _without_shadows(changed, cell.output)
    output = next((s for s in equations if s.name == cell.output), None)
    try:
        after = cell.replace(equations=equations, output=output, states=names)
    except MalformedCell as error:
        first = next(s for s in chosen if changed[s] != cell.equations[s])
        raise refuse(cell, f"without its recurrence it is no cell: {error}", first) from error
    renamed = {s: Vector(s.name, *s.axes) for s in states(cell) if s.name not in names}
    zero_after = {term.xreplace(renamed): 0 for term in dropped}
    return Rewrite(after, agree(before=dropped, after=zero_after), _claims)


def _leading(cell: Cell, ends: set[Vector]) -> list[Vector]:
    """Vectors and what they are computed from within the step, states left out; in the cell's order."""
    found: set[Vector] = set()
    frontier = list(ends)
    while frontier:
        symbol = frontier.pop()
        if symbol not in found:
            found.add(symbol)
            inside = (q for q in atoms(cell.equations[symbol]) if isinstance(q, Vector))
            frontier += [q for q in inside if not isinstance(q, State)]
    return [symbol for symbol in cell.equations if symbol in found]


def _reads_past(equations: Equations, expr: sympy.Expr) -> bool:
    """Whether an expression reads a past state within the step, other than through a state just written."""
    return any(
        isinstance(q, Previous)
        or (isinstance(q, Vector) and not isinstance(q, State) and _reads_past(equations, equations[q]))
        for q in atoms(expr)
    )


def _is_empty(expr: sympy.Expr) -> bool:
    """Whether an expression, or an activation in it, is applied to nothing that varies."""
    return not expr.atoms(Quantity) or any(
        not node.argument.atoms(Quantity) for node in expr.atoms(Activated)
    )


def _without(equations: Equations, expr: sympy.Expr, dropped: dict[sympy.Expr, int]) -> sympy.Expr:
    """An expression without the weights of past states, diagonal ones inside activations alone: outside
    p ⊙ s' is a carry.  Notes what it leaves out."""

    def visit(node: sympy.Expr, activated: bool) -> sympy.Expr:
        if isinstance(node, Quantity) or not node.args:
            return node
        weighted = isinstance(node, Linear) and isinstance(node.map, Parameter)
        diagonal_ = activated and node.is_Mul and any(isinstance(a, Parameter) for a in node.args)
        if (weighted or diagonal_) and _reads_past(equations, node):
            dropped[node] = 0
            return sympy.S.Zero
        if isinstance(node, Linear):
            vector = visit(node.vector, activated)
            return sympy.S.Zero if vector == 0 else Linear(node.map, vector)
        if isinstance(node, Activated):
            argument = visit(node.argument, True)
            return node if argument == node.argument else node.activation(argument)
        return node.func(*(visit(arg, activated) for arg in node.args))

    return visit(expr, False)


def _without_shadows(
    equations: Equations, output: str | None
) -> tuple[dict[Vector, sympy.Expr], tuple[str, ...]]:
    """The equations in which states whose past nothing reads are vectors; and the names of the others."""
    kept = dict(equations)
    while True:
        kept = drop_unread(kept, output)
        read = {q.state for e in kept.values() for q in atoms(e) if isinstance(q, Previous)}
        unread = {s: Vector(s.name, *s.axes) for s in kept if isinstance(s, State) and s not in read}
        if not unread:
            return kept, tuple(s.name for s in kept if isinstance(s, State))
        kept = {unread.get(s, s) if isinstance(s, State) else s: e.xreplace(unread) for s, e in kept.items()}


def _claims(cell: Cell) -> list[Claim]:
    """Linear and diagonal, where the carries are; a carry inside an activation is not."""
    if not is_linear_recurrence(cell):
        return []
    return [claim for state in states(cell) for claim in (linear(cell, state), diagonal(cell, state))]


RULES = (
    Rule(
        name="drop-recurrence",
        law="gₜ = φ(W_g sₜ₋₁ + U_g xₜ + b_g)  ⟶  gₜ = φ(U_g xₜ + b_g)   for every gate and candidate",
        condition="gates or candidates read past states, through weights alone, and not these states alone",
        reason="Bradbury et al. (2017), Lei et al. (2018): if the gates look at the input alone, the states "
        "are carried linearly and unit by unit, and a whole sequence can be computed at once.",
        buys="where the carry itself is linear, the recurrence is linear and diagonal: a parallel scan "
        "computes it",
        rewrite=drop_recurrence,
        search=(),
    ),
)
