"""Claims that only rules make: what a gate closes or leaves open, what a shadow state holds.

The deciding method reads the equations; the second method, behind ``Claim.recheck``, puts everything into
everything.  Claims about any cell are in :mod:`derive.claims`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy

from derive.anatomy import depends_on
from derive.cell import Cell
from derive.claim import Claim
from derive.show.text import typeset
from derive.symbols import Activated, Linear, Quantity, State, Vector, at_present


def inlined(cell: Cell, symbol: Vector, held: Mapping[Quantity, Any]) -> sympy.Expr:
    """A vector as an expression of past states, input, parameters and held values; zeros pass linear maps."""

    def visit(expr: sympy.Expr) -> sympy.Expr:
        if expr in held:
            return sympy.sympify(held[expr])
        if isinstance(expr, Vector):
            return visit(cell.equations[expr])
        if isinstance(expr, Linear):
            vector = visit(expr.vector)
            return sympy.S.Zero if vector == 0 else Linear(expr.map, vector)
        if isinstance(expr, Activated):
            return expr.activation(visit(expr.argument))
        return expr.func(*(visit(arg) for arg in expr.args)) if expr.args else expr

    return visit(symbol)


def closes(cell: Cell, gate: Vector, value: int, target: Vector, source: Quantity, what: str) -> Claim:
    """With the gate at ``value``, ``target`` does not depend on ``source`` within the step."""
    held: dict[Quantity, Any] = {gate: sympy.Integer(value)}
    holds = not depends_on(cell, target, source, held)
    return Claim(
        name=f"{gate.name}-closes-{target.name}",
        statement=f"at {typeset(gate.name)} = {value}, {what}",
        status="proved" if holds else "refuted",
        method="dependence in the graph",
        certificate={"gate": gate.name, "value": value, "target": target.name, "source": source.name}
        if holds
        else None,
        counterexample=None if holds else {"gate": gate.name, "value": value, "still read by": target.name},
        verify=lambda: _reached(cell, target, source, held) != holds,
    )


def _reached(cell: Cell, target: Vector, source: Quantity, held: Mapping[Quantity, Any]) -> bool:
    """Second method: put everything in but the source, and look for it in what is left."""
    return source in inlined(cell, target, {**held, source: source}).atoms(Quantity)


def opens(cell: Cell, gate: Vector, target: Vector, source: Quantity, what: str) -> Claim:
    """Even with the gate at 0, ``target`` still depends on ``source``."""
    held: dict[Quantity, Any] = {gate: sympy.S.Zero}
    holds = depends_on(cell, target, source, held)
    return Claim(
        name=f"{target.name}-sees-{source.name}",
        statement=what,
        status="proved" if holds else "refuted",
        method="dependence in the graph",
        certificate={"gate": gate.name, "target": target.name, "source": source.name} if holds else None,
        counterexample=None if holds else {"gate": gate.name, "target": target.name},
        verify=lambda: _reached(cell, target, source, held) == holds,
    )


def mirrors(cell: Cell, shadow: State, read: sympy.Expr) -> Claim:
    """The shadow state holds exactly what used to be read, one step later."""
    now = at_present(read)
    holds = sympy.expand(cell.equations[shadow] - now) == 0
    return Claim(
        name=f"shadow-{shadow.name}",
        statement=f"{typeset(shadow.name)} at t - 1 is what the candidate used to read, "
        "gated one step too early",
        status="proved" if holds else "refuted",
        method="comparison of expressions",
        certificate={"shadow": str(cell.equations[shadow]), "read": str(read)} if holds else None,
        counterexample=None if holds else {"shadow": str(cell.equations[shadow]), "read": str(read)},
        verify=lambda: (cell.equations[shadow].expand() == now.expand()) == holds,
    )
