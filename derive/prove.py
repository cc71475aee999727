"""What is decided about a cell so far: claims that its structure settles.

Jacobian bounds, ranges and the prover are not here yet; what they will decide is not claimed.
"""

from __future__ import annotations

from itertools import product

import sympy

from derive.anatomy import Write, gates, is_shadow, memories, states, write
from derive.catalogue import cell as catalogued
from derive.cell import Cell
from derive.claim import Claim
from derive.show.text import typeset
from derive.structure import carries_with, convex, reads_bounded
from derive.symbols import Activated, Parameter, Vector, atoms

LARGEST_SEARCH = 6
"""Gate settings are tried one by one; a write with more gates than this is left undecided."""


def prove(cell: Cell | str) -> list[Claim]:
    """The claims about a cell that its structure decides, each with a certificate that ``recheck`` verifies.

    For each state: whether a setting of the gates carries it unchanged, whether everything read from it is
    squashed, and whether [-1, 1] is invariant.  What these methods cannot settle is ``unknown``.
    """
    subject = catalogued(cell)
    claims: list[Claim] = []
    for found in memories(subject):
        claims += [_carry(subject, found), reads_bounded(subject, found), convex(subject, found)]
    for state in states(subject):
        if not write(subject, state).is_incremental:
            claims.append(_not_incremental(subject, state.name, is_shadow(subject, state)))
    return claims


def forget_biases(cell: Cell | str, value: float = 1.0) -> dict[str, float]:
    """The initial biases that make each memory's forget gate start open: ``{"b_f": 1.0}`` for the LSTM.

    The forget gate is found as the carry of a state's write; where the carry is 1 - i, the sign is turned.
    """
    subject = catalogued(cell)
    found: dict[str, float] = {}
    for memory in memories(subject):
        for gate in gates(subject):
            sign = 1 if memory.carry == gate else -1 if memory.carry == 1 - gate else 0
            if sign:
                found |= {bias: sign * way * value for bias, way in _own_bias(subject, gate)}
    return found


def _own_bias(cell: Cell, gate: Vector) -> list[tuple[str, int]]:
    """A bias that the gate adds and nothing else reads, with its sign; of several, the first."""
    expr = cell.equations[gate]
    others = set().union(*(atoms(e) for v, e in cell.equations.items() if v != gate))
    if not isinstance(expr, Activated):
        return []
    terms = [term.as_coeff_Mul() for term in sympy.Add.make_args(expr.argument)]
    own = [(p.name, int(c)) for c, p in terms if abs(c) == 1 and isinstance(p, Parameter) and p not in others]
    return sorted(own)[:1]


def _carry(cell: Cell, memory: Write) -> Claim:
    """The first setting of the gates at 0 or 1 that returns the state unchanged."""
    switches = _switches(cell, memory)
    for setting in product((0, 1), repeat=len(switches)) if len(switches) <= LARGEST_SEARCH else ():
        claim = carries_with(cell, memory, dict(zip(switches, setting, strict=True)))
        if claim.status == "proved":
            return claim
    name = typeset(memory.state.name)
    tried = ", ".join(g.name for g in switches) or "no gates"
    return Claim(
        name=f"carries-{memory.state.name}",
        statement=f"some setting of the gates returns {name} unchanged",
        status="unknown",
        method=f"tried every setting of {tried} at 0 and 1; none carries",
    )


def _switches(cell: Cell, memory: Write) -> list[Vector]:
    present = set().union(*(cell.equations[v].atoms(Vector) for v in memory.via))
    return [g for g in gates(cell) if g in present]


def _not_incremental(cell: Cell, state: str, shadow: bool) -> Claim:
    what = "it is a shadow of another state" if shadow else "its past does not enter its write elementwise"
    return Claim(
        name=f"carries-{state}",
        statement=f"some parameters return {typeset(state)} unchanged for every value",
        status="unknown",
        method=f"{what}; whether parameters exist is for the prover, which is not built yet",
    )
