"""Claims that the equations decide by their structure alone: what a setting of the gates makes of a cell.

The deciding method reads the equations; the second method, behind ``Claim.recheck``, substitutes the setting
into the fully inlined step and differentiates or expands with SymPy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy

from derive.anatomy import Write, depends_on, find_reads, gate_factors, without_carry
from derive.cell import Cell
from derive.claim import Claim
from derive.show.text import typeset
from derive.symbols import (
    Activated,
    Linear,
    Parameter,
    Previous,
    Quantity,
    State,
    Vector,
    at_present,
    atoms,
)


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


def carries_with(cell: Cell, write: Write, setting: Mapping[Vector, int]) -> Claim:
    """At this setting of the gates the state passes the step unchanged."""
    name = typeset(write.state.name)
    held: dict[Quantity, Any] = dict(setting)
    at = ", ".join(f"{typeset(g.name)} = {v}" for g, v in setting.items()) or "every setting"
    result = _along_the_way(cell, write, held)
    holds = sympy.expand(result - write.state.prev) == 0
    return Claim(
        name=f"carries-{write.state.name}",
        statement=f"at {at} the step returns {name} unchanged",
        status="proved" if holds else "refuted",
        method="substitution in the write",
        certificate={"setting": {g.name: v for g, v in setting.items()}} if holds else None,
        counterexample=None
        if holds
        else {"setting": {g.name: v for g, v in setting.items()}, "step": str(result)},
        verify=lambda: bool(
            (sympy.expand(inlined(cell, write.state, held) - write.state.prev) == 0) == holds
        ),
    )


def _along_the_way(cell: Cell, write: Write, held: dict[Quantity, Any]) -> sympy.Expr:
    """The write with held gates and the vectors between the state and its past put in."""
    expr = cell.equations[write.state].xreplace(held)
    for vector in write.via[1:]:
        expr = expr.xreplace({vector: cell.equations[vector].xreplace(held)})
    return expr


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


def reads_bounded(cell: Cell, write: Write) -> Claim:
    """Every read of the state passes an activation with a bounded range, so what is read is bounded."""
    sources = (write.state.prev, write.state)
    reads = [
        (symbol, read)
        for symbol in cell.equations
        for source in sources
        for read, _ in find_reads(cell, without_carry(cell, write, symbol), source)
        if symbol not in write.via or source == write.state.prev
    ]
    raw = [
        (symbol, read)
        for symbol, read in reads
        if not (isinstance(read, Activated) and read.activation.is_bounded)
    ]
    limits = [read.activation.range for _, read in reads if isinstance(read, Activated)]
    union = sympy.Union(*limits) if limits else sympy.S.EmptySet
    if cell.output == write.state.name:
        raw.append((write.state, write.state))
    raw += copies(cell, write)
    name = typeset(write.state.name)
    squashed = f"every read of {name} passes an activation of bounded range and stays in {_interval(union)}"
    if raw:
        symbol, read = raw[0]
        return Claim(
            name=f"squashed-reads-{write.state.name}",
            statement=f"every read of {name} passes an activation of bounded range",
            status="refuted",
            method="reads of the state",
            counterexample={"equation": symbol.name, "read": str(read)},
            verify=lambda: not _no_bare_use(cell, write),
        )
    return Claim(
        name=f"squashed-reads-{write.state.name}",
        statement=squashed if limits else f"nothing reads {name}",
        status="proved",
        method="reads of the state",
        certificate={"reads": [(symbol.name, str(read)) for symbol, read in reads]},
        verify=lambda: _no_bare_use(cell, write),
    )


def copies(cell: Cell, write: Write) -> list[tuple[Vector, sympy.Expr]]:
    """Reads of vectors that hold the state unsquashed under another name: what it is written through."""
    through = set(write.via) - {write.state}
    shown = [(v, v) for v in through if v.name == cell.output]
    return shown + [
        (symbol, source)
        for symbol, expr in cell.equations.items()
        for source in sorted(through & atoms(expr), key=str)
        if symbol not in write.via
    ]


def _interval(limits: Any) -> str:
    if not isinstance(limits, sympy.Interval):
        return str(limits)
    left, right = "(" if limits.left_open else "[", ")" if limits.right_open else "]"
    return f"{left}{limits.inf}, {limits.sup}{right}"


def _no_bare_use(cell: Cell, write: Write) -> bool:
    """Second method: hide every bounded read behind a constant; only the carry may still hold the state."""
    hidden = sympy.Dummy("read")
    state, names = write.state, {v.name for v in write.via}
    for symbol in cell.equations:
        expr = without_carry(cell, write, symbol)
        for node in expr.atoms(Activated):
            if node.activation.is_bounded and node.argument in (state.prev, state):
                expr = expr.xreplace({node: hidden})
        left = {q.name for q in expr.atoms(Quantity)}
        if state.prev.name in left or (names & left and symbol not in write.via):
            return False
    return cell.output not in names


def convex(cell: Cell, write: Write) -> Claim:
    """The write is a weighted mean of the old state and candidates in [-1, 1], so [-1, 1] is invariant."""
    old = sympy.Symbol("old", real=True)
    step = write.carry * old + write.increment
    fractions = sorted(
        {g for term in sympy.Add.make_args(sympy.expand(step)) for g in gate_factors(cell, term)}, key=str
    )
    others = sorted(step.atoms(Vector) - set(fractions), key=str)
    bounded = all(_in_unit_box(cell, v) for v in others)
    elementwise = not step.atoms(Linear, Activated, Previous, Parameter)
    boxes: dict[Any, tuple[int, int]] = dict.fromkeys(fractions, (0, 1)) | dict.fromkeys(
        (old, *others), (-1, 1)
    )
    # through intermediates, what is bounded here would be another vector than the state
    direct = write.via == (write.state,) and step.is_polynomial(*boxes)
    affine = (
        direct and elementwise and all(sympy.degree(sympy.expand(step), v) <= 1 for v in boxes if step.has(v))
    )
    top = max(abs(value) for value in _vertices(step, boxes)) if affine and bounded else None
    holds = top is not None and top <= 1
    name = typeset(write.state.name)
    return Claim(
        name=f"invariant-{write.state.name}",
        statement=f"{name} stays in [-1, 1]",
        assumptions=(f"{name} starts in [-1, 1]",),
        status="proved" if holds else "unknown",
        method="vertices of the box: the write is affine in each of its factors",
        certificate={"write": str(step), "box": {str(v): b for v, b in boxes.items()}, "maximum": str(top)}
        if holds
        else None,
        verify=(lambda: _slack_is_positive(step, boxes)) if holds else None,
    )


def _in_unit_box(cell: Cell, vector: Vector) -> bool:
    expr = cell.equations[vector]
    return isinstance(expr, Activated) and bool(expr.activation.range.is_subset(sympy.Interval(-1, 1)))


def _vertices(expr: sympy.Expr, boxes: Mapping[Any, tuple[int, int]]) -> list[sympy.Expr]:
    values = [expr]
    for symbol, box in boxes.items():
        values = [v.subs(symbol, sympy.Integer(end)) for v in values for end in box]
    return values


def _slack_is_positive(step: sympy.Expr, boxes: Mapping[Any, tuple[int, int]]) -> bool:
    """Second method: put v = (a + b t) / (1 + t) with t ≥ 0 for each v in [a, b].

    Then 1 - step and 1 + step are quotients of polynomials without a negative coefficient.
    """
    ratios = {v: sympy.Dummy(str(v), nonnegative=True) for v in boxes}
    inside = {v: (a + b * ratios[v]) / (1 + ratios[v]) for v, (a, b) in boxes.items()}
    for slack in (1 - step, 1 + step):
        numerator, denominator = sympy.fraction(sympy.together(sympy.expand(slack).xreplace(inside)))
        polynomials = [sympy.Poly(p, *ratios.values()) for p in (numerator, denominator)]
        if any(c < 0 for p in polynomials for c in p.coeffs()):
            return False
    return True


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
