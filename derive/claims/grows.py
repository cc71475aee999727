"""``grows-s``: a run of a state that no box holds: weights, inputs, and steps that anyone can replay (A4)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import sympy

from derive.bounds.growth import Growth
from derive.bounds.invariant import inlined_to_activations, invariant_boxes
from derive.bounds.ranges import Ranges
from derive.calculus.polynomials import with_generators
from derive.cell import Cell
from derive.claim import Claim
from derive.claims.tools.classes import classes
from derive.claims.tools.drives import FAR, Drive, Numbers, drives, zeros
from derive.claims.tools.kind import Evidence, Kind, Tries, made, state_of
from derive.evaluate import evaluate
from derive.show.text import typeset
from derive.symbols import Activated, State, Vector

STEPS, FEW = 50, 8
LINEAR_SHARE = 0.99
"""A run of a linearly growing state has to reach this share of the slope that is possible."""
LARGE = 25.0
"""What a run has to reach where no slope is known."""


def grows(cell: Cell, found: Growth) -> Claim:
    """A run that takes the state out of every box up to what it reaches."""
    tries = Tries()
    best: Numbers | None = None
    reached = [0.0, 0.0]
    for numbers in _runs(cell, found.state, STEPS, fills=(0.0, 1.0)):
        early = Numbers(numbers.parameters, numbers.inputs[:FEW], numbers.state)
        if not _is_enough(found, _size(cell, found.state, early), FEW):
            continue
        reached = _size(cell, found.state, numbers)
        if _is_enough(found, reached, STEPS):
            best = numbers
            break
    tries.note(
        "runs with gates and candidates at the ends of their ranges",
        "one grows" if best else "none grows enough",
    )
    if best is None:
        return made(
            cell,
            "grows",
            name=f"grows-{found.state.name}",
            statement=f"a run takes {typeset(found.state.name)} out of every box",
            status="unknown",
            method=tries.told,
            attempts=tuple(tries.attempts),
        )
    certificate = {
        "state": found.state.name,
        "run": best.to_plain(),
        "reached": _size(cell, found.state, best),
    }
    spoken = _spoken(cell, found.state, certificate)
    return made(cell, "grows", status="proved", method="a run", certificate=certificate, **spoken)


def _spoken(cell: Cell, state: State, evidence: Evidence) -> dict[str, Any]:
    name, symbol = typeset(state.name), sympy.latex(sympy.Symbol(state.name))
    start, end = evidence["reached"]
    steps = len(evidence["run"]["inputs"])
    return {
        "name": f"grows-{state.name}",
        "statement": f"a run of {steps} steps takes |{name}| from {start:.6g} to {end:.6g}",
        "latex": rf"|{symbol}_0| = {start:.6g},\ |{symbol}_{{{steps}}}| = {end:.6g}",
    }


def _size(cell: Cell, state: State, numbers: Numbers) -> list[float]:
    """|state| at the start and at the end."""
    place = cell.states.index(state.name)
    with np.errstate(all="ignore"):
        _, end = evaluate(cell, numbers.parameters, numbers.inputs, numbers.state)
    return [float(np.abs(values[place]).max()) for values in (numbers.state, end)]


def _is_enough(found: Growth, reached: list[float], steps: int) -> bool:
    start, end = reached
    known = found.kind == "linear" and found.slope.is_number and found.slope.is_finite
    wanted = LINEAR_SHARE * float(found.slope) * steps if known else LARGE * steps / STEPS
    return bool(np.isfinite(end) and end - start >= wanted)


def leaving(cell: Cell, state: State, low: float, high: float, steps: int = 60) -> Numbers | None:
    """A run that starts with the state in [low, high] and leaves it."""
    place = cell.states.index(state.name)
    inside = sorted({high, low, min(max(0.0, low), high)}, reverse=True)
    for length in (1, steps):
        for numbers in _runs(cell, state, length, fills=inside):
            if leaves(cell, state, numbers, low, high):
                with np.errstate(all="ignore"):
                    run = numbers.states(cell)
                out = next(t for t, v in enumerate(run) if not _within(v[place], low, high))
                return Numbers(numbers.parameters, numbers.inputs[:out], numbers.state)
    return None


def leaves(cell: Cell, state: State, numbers: Numbers, low: float, high: float) -> bool:
    """Whether a run starts in the box, other states in theirs, and is once outside by more than rounding."""
    place = cell.states.index(state.name)
    for box, value in zip(invariant_boxes(cell), numbers.state, strict=True):
        known = (low, high) if box.state == state else (float(box.range.low), float(box.range.high))
        if not (np.all(value >= known[0]) and np.all(value <= known[1])):
            return False
    with np.errstate(all="ignore"):
        run = numbers.states(cell)
    return any(np.isfinite(v[place]).all() and not _within(v[place], low, high) for v in run[1:])


def _within(value: Any, low: float, high: float) -> bool:
    slack = 1e-9 * max(1.0, abs(low), abs(high))
    return bool(np.all(value >= low - slack) and np.all(value <= high + slack))


def _runs(cell: Cell, state: State, steps: int, fills: Any) -> Iterator[Numbers]:
    """Runs with vectors driven to the ends of their ranges, the extreme vertices of the step first."""
    for choice in _choices(cell, state):
        for fill in fills:
            numbers = zeros(cell, n=2, T=steps, fill=fill)
            for box, value in zip(invariant_boxes(cell), numbers.state, strict=True):
                if box.state != state:
                    low, high = float(box.range.low), float(box.range.high)
                    value[...] = min(max(1.0, low), high)
            for drive, push in choice:
                drive.set(numbers, push)
            yield numbers


def _choices(cell: Cell, state: State) -> Iterator[list[tuple[Drive, float]]]:
    vectors = [v for v, e in cell.equations.items() if isinstance(e, Activated) and v != state]
    if isinstance(cell.equations[state], Activated):
        vectors.append(state)
    able = {v: found[0] for v in vectors if (found := drives(cell, v))}
    for ends in _vertices(cell, state):
        yield [(able[v], way * _far(cell, v)) for v, way in ends.items() if v in able]
    free = {v: able[v] for v in [state, *able] if v in able}
    if state not in free and (own := drives(cell, state)):
        free = {state: own[0], **free}
    chosen = list(free)[:3]
    for ways in product((1, -1), repeat=len(chosen)):
        yield [(free[v], way * _far(cell, v)) for v, way in zip(chosen, ways, strict=True)]


def _far(cell: Cell, vector: Vector) -> float:
    """How far out an activation is at the ends of its range, to five digits (softsign takes its time)."""
    expr = cell.equations[vector]
    if not isinstance(expr, Activated):
        return 1e3 * FAR if expr.atoms(Activated) else FAR
    if not expr.activation.is_bounded:
        return FAR
    top = float(expr.activation.numpy(np.array(FAR)))
    return FAR if abs(top - float(expr.activation.range.sup)) < 1e-5 else 1e3 * FAR


def _vertices(cell: Cell, state: State) -> Iterator[dict[Vector, int]]:
    """Which way each vector goes at the vertices where the next state, from 1, is largest and least."""
    polynomial, meanings = with_generators(sympy.expand(inlined_to_activations(cell, state)))
    ranges = Ranges(cell, {}, norm=None)
    symbols = sorted(polynomial.free_symbols - {state.prev}, key=str)
    ends = []
    for symbol in symbols:
        found = ranges(meanings.get(symbol, symbol))
        ends.append(
            [e if e.is_finite else sympy.Integer(1 if e > 0 else -1) for e in (found.low, found.high)]
        )
    if len(symbols) > 8:
        return
    step = polynomial.xreplace({state.prev: sympy.S.One})
    values = [
        (float(step.xreplace(dict(zip(symbols, corner, strict=True)))), places)
        for places in product((0, 1), repeat=len(symbols))
        for corner in [[e[p] for e, p in zip(ends, places, strict=True)]]
    ]
    for _, places in (max(values), min(values)):
        yield {
            s: 1 if place else -1 for s, place in zip(symbols, places, strict=True) if isinstance(s, Vector)
        }


def check(cell: Cell, claim: Evidence) -> bool:
    """The run is replayed through :func:`derive.evaluate` and reaches what is said."""
    evidence = claim["certificate"]
    state = state_of(cell, evidence["state"])
    spoken = _spoken(cell, state, evidence)
    if claim["status"] != "proved" or any(claim[key] != spoken[key] for key in ("name", "statement")):
        return False
    start, end = _size(cell, state, Numbers.from_plain(cell, evidence["run"]))
    said = [float(v) for v in evidence["reached"]]
    return bool(np.allclose([start, end], said, rtol=1e-9, atol=0.0) and end > start)


def _prove(cell: Cell) -> Iterator[Claim]:
    for found in classes(cell):
        if found.kind == "linear" and found.slope == 0:
            continue
        if found.kind != "invariant":
            yield grows(cell, found)


KINDS = (Kind("grows", "a run takes the state out of every box", _prove, check, rank=4),)
