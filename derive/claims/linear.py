"""``linear-s`` and ``diagonal-s``: is the next state affine in the past states, and does it mix no units?

A recurrence that is both needs no loop: it can be computed by a parallel scan.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import sympy

from derive.anatomy import depends_on, states
from derive.calculus.jacobian import jacobian
from derive.catalogue import cell as catalogued
from derive.cell import Cell
from derive.claim import Claim
from derive.claims.tools.drives import Numbers, zeros
from derive.claims.tools.kind import Evidence, Kind, Tries, made, state_of
from derive.claims.tools.pieces import affine_pieces, pieces
from derive.show.text import typeset
from derive.symbols import Activated, Linear, Previous, Quantity, State, Vector, atoms

TRIES = 12
VISIBLE = 1e-6
"""By how much numbers must differ to refute."""


def is_linear_recurrence(cell: Cell | str, *, diagonal: bool = True) -> bool:
    """Whether all next states are affine in the past ones, and with ``diagonal`` elementwise: a parallel scan
    then computes the whole sequence."""
    subject = catalogued(cell)
    return all(
        _is_linear(subject, state) and (not diagonal or _is_diagonal(subject, state))
        for state in states(subject)
    )


def linear(cell: Cell, state: Any) -> Claim:
    """The next state is affine in the past states; refuted by two states and the one between them."""
    state = state_of(cell, state)
    method = "no word of the Jacobian reads a past state"
    return _decide(cell, state, "linear", _is_linear(cell, state), method)


def diagonal(cell: Cell, state: Any) -> Claim:
    """The next state depends on the past states unit by unit; refuted by a unit that another one changes."""
    state = state_of(cell, state)
    method = "no word of the Jacobian has a map"
    return _decide(cell, state, "diagonal", _is_diagonal(cell, state), method)


def _decide(cell: Cell, state: State, what: str, holds: bool, method: str) -> Claim:
    spoken = _spoken(state, what)
    if holds and _agrees(cell, state, what):
        certificate = {"state": state.name, "what": what, "words": _words(cell, state)}
        return made(cell, "linear", status="proved", method=method, certificate=certificate, **spoken)
    tries = Tries()
    for seed in range(TRIES):
        pair = _pair(cell, state, what, seed)
        if _broken(cell, state, what, *pair) > VISIBLE:
            shown = {"state": state.name, "what": what, "runs": [numbers.to_plain() for numbers in pair]}
            return made(cell, "linear", status="refuted", method="numbers", counterexample=shown, **spoken)
    told = f"{method}: {'so, but the equations do not show it' if holds else 'not so'}"
    tries.note(f"{told}; {TRIES} pairs of states", "none refutes it")
    return made(cell, "linear", status="unknown", method=tries.told, attempts=tuple(tries.attempts), **spoken)


def _spoken(state: State, what: str) -> dict[str, Any]:
    name, symbol = typeset(state.name), sympy.latex(sympy.Symbol(state.name))
    if what == "linear":
        statement = f"{name}ₜ is affine in the states at t - 1"
        latex = rf"{symbol}_t = A(x_t)\, s_{{t-1}} + b(x_t)"
    else:
        statement = f"every unit of {name}ₜ depends on the same unit alone of the states at t - 1"
        latex = rf"\partial {symbol}_t / \partial s_{{t-1}} \text{{ is diagonal}}"
    return {"name": f"{what}-{state.name}", "statement": statement, "latex": latex}


def _blocks(cell: Cell, state: State) -> list[Any]:
    return [jacobian(cell, state, other) for other in cell.states]


def _words(cell: Cell, state: State) -> dict[str, list[str]]:
    return {block.wrt.label: [str(word) for word in block.words] for block in _blocks(cell, state)}


def _is_linear(cell: Cell, state: State) -> bool:
    pasts = [s.prev for s in states(cell)]
    coefficients = [c for b in _blocks(cell, state) for word in b.words for c in word.coefficients]
    return not any(_reads(cell, c, pasts) for c in coefficients)


def _reads(cell: Cell, expr: sympy.Expr, pasts: list[Previous]) -> bool:
    """Whether an expression depends on a past state within the step."""
    return any(
        q in pasts or (isinstance(q, Vector) and any(depends_on(cell, q, past) for past in pasts))
        for q in atoms(expr)
    )


def _is_diagonal(cell: Cell, state: State) -> bool:
    return all(block.is_diagonal for block in _blocks(cell, state))


def _pair(cell: Cell, state: State, what: str, seed: int) -> tuple[Numbers, Numbers]:
    """Two steps with the same random weights: other states, or states that differ in their second unit."""
    rng = np.random.default_rng(seed)
    one = zeros(cell, n=2, m=2)
    for array in one.parameters.values():
        array[...] = np.round(8 * rng.normal(size=array.shape)) / 8
    inputs = np.round(8 * rng.normal(size=one.inputs.shape)) / 8
    scale = 1.0 if what == "diagonal" else 3.0
    first = tuple(np.round(8 * scale * rng.normal(size=v.shape)) / 8 for v in one.state)
    second = tuple(np.round(8 * scale * rng.normal(size=v.shape)) / 8 for v in one.state)
    if what == "diagonal":
        second = tuple(np.concatenate([v[:1], v[1:] + 1.0]) for v in first)
    return Numbers(one.parameters, inputs, first), Numbers(one.parameters, inputs, second)


def _broken(cell: Cell, state: State, what: str, one: Numbers, other: Numbers) -> float:
    """How far from affine the step is between two states; or how much the first unit changes."""
    place = cell.states.index(state.name)
    middle = Numbers(
        one.parameters, one.inputs, tuple((a + b) / 2 for a, b in zip(one.state, other.state, strict=True))
    )
    with np.errstate(all="ignore"):
        first, between, second = (n.states(cell)[1][place] for n in (one, middle, other))
    difference = (first + second) / 2 - between if what == "linear" else (first - second)[:1]
    worst = float(np.abs(difference).max())
    return worst if np.isfinite(worst) else 0.0


def check(cell: Cell, claim: Evidence) -> bool:
    """The equations put in, to the last: where may a past state stand?  Numbers are replayed."""
    evidence = claim["certificate" if claim["status"] == "proved" else "counterexample"]
    state, what = state_of(cell, evidence["state"]), evidence["what"]
    spoken = _spoken(state, what)
    if what not in ("linear", "diagonal") or any(claim[k] != spoken[k] for k in ("name", "statement")):
        return False
    if claim["status"] == "refuted":
        one, other = (Numbers.from_plain(cell, run) for run in evidence["runs"])
        same = all(np.array_equal(one.parameters[p], other.parameters[p]) for p in cell.parameters)
        if what == "diagonal":
            pairs = zip(one.state, other.state, strict=True)
            same = same and all(np.array_equal(a[:1], b[:1]) for a, b in pairs)
        same = same and np.array_equal(one.inputs, other.inputs)
        return same and _broken(cell, state, what, one, other) > VISIBLE
    if evidence["words"] != _words(cell, state):
        return False
    return _agrees(cell, state, what)


def _agrees(cell: Cell, state: State, what: str) -> bool:
    """Second method: what the equations look like, put in to the last."""
    degree, mixes = _syntax(cell, cell.equations[state])
    return degree <= 1 if what == "linear" else not mixes


def _syntax(cell: Cell, expr: sympy.Expr) -> tuple[int, bool]:
    """The degree in the past states (2 for anything but affine), and whether a map is applied to them."""
    if isinstance(expr, Previous):
        return 1, False
    if isinstance(expr, Vector):
        return _syntax(cell, cell.equations[expr])
    if isinstance(expr, Quantity) or not expr.args:
        return 0, False
    if isinstance(expr, Linear):
        degree, mixes = _syntax(cell, expr.vector)
        return degree, mixes or degree > 0
    if (
        isinstance(expr, Activated)
        and len(affine_pieces(expr.activation)) == len(pieces(expr.activation)) == 1
    ):
        return _syntax(cell, expr.argument)  # the identity
    parts = [_syntax(cell, arg) for arg in (expr.args[1:] if isinstance(expr, Activated) else expr.args)]
    mixes = any(m for _, m in parts)
    degrees = [d for d, _ in parts]
    if expr.is_Add:
        return max(degrees), mixes
    if expr.is_Mul:
        return min(2, sum(degrees)), mixes
    return (2 if max(degrees) else 0), mixes


def _prove(cell: Cell) -> Iterator[Claim]:
    for state in states(cell):
        yield linear(cell, state)
        yield diagonal(cell, state)


KINDS = (Kind("linear", "the next state is affine, or diagonal, in the past ones", _prove, check, rank=7),)
