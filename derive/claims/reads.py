"""``squashed-reads-s``: every read of a state passes an activation of bounded range (A6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import sympy

from derive.anatomy import Write, find_reads, memories, without_carry, write
from derive.calculus.jacobian import environment
from derive.cell import Cell
from derive.claim import Claim
from derive.claims.tools.drives import Numbers, zeros
from derive.claims.tools.kind import Evidence, Kind, Tries, made, state_of
from derive.claims.tools.plain import from_plain, to_plain
from derive.evaluate import value
from derive.show.text import spell, typeset
from derive.symbols import Activated, Quantity, State, Vector, atoms

LARGE = 1000.0
"""The state at which a raw read is shown to be large."""


def reads_bounded(cell: Cell, state: Any) -> Claim:
    """Every read of the state passes an activation with a bounded range, so what is read is bounded.

    A raw read is refuted by a step from a state of 1000 in which what is read is as large.
    """
    found = write(cell, state_of(cell, state))
    reads, raw = _reads(cell, found)
    if not raw:
        listed = [[symbol.name, to_plain(read)] for symbol, read in reads]
        certificate = {"state": found.state.name, "reads": listed}
        spoken = _spoken(cell, found.state, reads)
        method = "reads of the state"
        return made(cell, "reads", status="proved", method=method, certificate=certificate, **spoken)
    tries = Tries()
    spoken = _spoken(cell, found.state, None)
    for symbol, read in [*raw, *raw]:
        numbers = zeros(cell, n=2, fill=LARGE)
        if tries.attempts and len(tries.attempts) >= len(raw):  # once more, with ones for the parameters
            for array in numbers.parameters.values():
                array[...] = 1.0
        size = _size(cell, read, numbers)
        tries.note(f"{spell(read)} in the equation of {typeset(symbol.name)}", f"{size:.6g}")
        if np.isfinite(size) and size >= LARGE / 2:
            shown = {
                "state": found.state.name,
                "equation": symbol.name,
                "read": to_plain(read),
                "run": numbers.to_plain(),
                "value": size,
            }
            method = "a read of the state"
            return made(cell, "reads", status="refuted", method=method, counterexample=shown, **spoken)
    return made(cell, "reads", status="unknown", method=tries.told, attempts=tuple(tries.attempts), **spoken)


def _reads(cell: Cell, found: Write) -> tuple[list[tuple[Vector, Any]], list[tuple[Vector, Any]]]:
    """All reads, and those among them that pass no bounded activation."""
    reads = [
        (symbol, read)
        for symbol in cell.equations
        for source in (found.state.prev, found.state)
        for read, _ in find_reads(cell, without_carry(cell, found, symbol), source)
        if symbol not in found.via or source == found.state.prev
    ]
    raw = [
        (symbol, read)
        for symbol, read in reads
        if not (isinstance(read, Activated) and read.activation.is_bounded)
    ]
    if cell.output == found.state.name:
        raw.append((found.state, found.state))
    return reads, raw + copies(cell, found)


def _spoken(cell: Cell, state: State, reads: list[tuple[Vector, Any]] | None) -> dict[str, Any]:
    name, symbol = typeset(state.name), sympy.latex(sympy.Symbol(state.name))
    statement = f"every read of {name} passes an activation of bounded range"
    latex = rf"\text{{every read of }} {symbol} \text{{ is }} \varphi({symbol}),\ \varphi \text{{ bounded}}"
    if reads is not None:
        limits = [read.activation.range for _, read in reads]
        around = _interval(sympy.Union(*limits)) if limits else ""
        statement = f"{statement} and stays in {around}" if limits else f"nothing reads {name}"
    return {"name": f"squashed-reads-{state.name}", "statement": statement, "latex": latex}


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


def _size(cell: Cell, read: sympy.Expr, numbers: Numbers) -> float:
    """The largest absolute value of what is read in the first step."""
    with np.errstate(all="ignore"):
        env = environment(cell, numbers.parameters, numbers.inputs[0], numbers.state)
        return float(np.abs(value(read, env)).max())


def check(cell: Cell, claim: Evidence) -> bool:
    """With every bounded activation of the state hidden behind a constant, only the carry may still hold it.

    For a refuted claim: something else does, and the read is replayed.
    """
    evidence = claim["certificate" if claim["status"] == "proved" else "counterexample"]
    found = write(cell, state_of(cell, evidence["state"]))
    names = {q.name: q for q in cell.symbols.values()} | {found.state.prev.name: found.state.prev}
    if claim["status"] == "refuted":
        spoken = _spoken(cell, found.state, None)
        if claim["statement"] != spoken["statement"] or claim["name"] != spoken["name"]:
            return False
        if _hidden(cell, found) is not None:
            return False
        read = from_plain(evidence["read"], names)
        mentioned = {found.state.prev, *found.via} & atoms(read)
        if not mentioned or evidence["equation"] not in [v.name for v in cell.equations]:
            return False
        if isinstance(read, Activated) and read.activation.is_bounded:
            return False
        again = _size(cell, read, Numbers.from_plain(cell, evidence["run"]))
        return bool(np.isclose(again, evidence["value"]) and again >= LARGE / 2)
    reads = [(names[symbol], from_plain(read, names)) for symbol, read in evidence["reads"]]
    spoken = _spoken(cell, found.state, reads)
    if claim["statement"] != spoken["statement"] or claim["name"] != spoken["name"]:
        return False
    return _hidden(cell, found) == set(reads)


def _hidden(cell: Cell, write: Write) -> set[tuple[Any, sympy.Expr]] | None:
    """Second method: the bounded reads, hidden behind a constant; None if the state is seen after that."""
    hidden = sympy.Dummy("read")
    state, names = write.state, {v.name for v in write.via}
    found: set[tuple[Any, sympy.Expr]] = set()
    for symbol in cell.equations:
        expr = without_carry(cell, write, symbol)
        for node in expr.atoms(Activated):
            if node.activation.is_bounded and node.argument in (state.prev, state):
                found.add((symbol, node))
                expr = expr.xreplace({node: hidden})
        left = {q.name for q in expr.atoms(Quantity)}
        if state.prev.name in left or (names & left and symbol not in write.via):
            return None
    return None if cell.output in names else found


def _prove(cell: Cell) -> Iterator[Claim]:
    for memory in memories(cell):
        yield reads_bounded(cell, memory.state)


KINDS = (Kind("reads", "every read of the state is squashed", _prove, check, rank=5),)
