"""``read-latency-s``: which step's input the read gate had seen when the candidate reads through it (A7).

A *read gate* multiplies a read of the state on its way to the candidate.  Its latency is the lag of the gate
itself on that way plus the lag of the newest input that it depends on: 0 where the candidate reads
o[t] ⊙ φ(s[t-1]), and 1 in the LSTM, whose candidate reads h[t-1] = o[t-1] ⊙ φ(c[t-1]).  The *age* is how
much older the newest value of the state that the gate has seen is than the one that it gates: a peephole
from c[t] to o[t] makes it 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy

from derive.anatomy import Write, gate_factors, memories, readers, without_carry, write
from derive.cell import Cell
from derive.claim import Claim
from derive.claims.tools.drives import Numbers, zeros
from derive.claims.tools.kind import Evidence, Kind, Tries, made, state_of
from derive.evaluate import step
from derive.show.text import typeset
from derive.symbols import Activated, Input, Previous, State, Vector

DEPTH = 4
"""How many steps back a path is followed."""


@dataclass(frozen=True)
class Read:
    """A gated read of the state: from the gate to the candidate, each vector with the lag of its use."""

    candidate: Vector
    gate: Vector
    lag: int
    path: tuple[str, ...]
    shown: int  # the lag of the state that is gated


def read_latency(cell: Cell, state: Any, latency: int | None = None) -> Claim | None:
    """How old the newest input is that the read gate had seen; None where no gate is read through.

    With ``latency`` that number is claimed instead of the true one: a false one is refuted by two runs whose
    inputs differ at one step alone.
    """
    found = write(cell, state_of(cell, state))
    reads = gated_reads(cell, found)
    if not reads:
        return None
    read = min(reads, key=lambda r: (r.lag, r.candidate.name, r.gate.name))
    inner = _newest_input(cell, read.gate)
    if inner is None:
        return None
    true = read.lag + inner
    claimed = true if latency is None else latency
    age = _age(cell, read, found.state)
    evidence = {
        "state": found.state.name,
        "candidate": read.candidate.name,
        "gate": read.gate.name,
        "path": list(read.path),
        "latency": claimed,
        "age": age,
    }
    spoken = _spoken(found.state, evidence)
    if claimed == true:
        method = "the shortest lag in the graph"
        return made(cell, "latency", status="proved", method=method, certificate=evidence, **spoken)
    tries = Tries()
    pair = _pair(cell, read, claimed, true)
    tries.note("two runs whose inputs differ at one step", "found" if pair else "none found")
    if pair is None:
        told = tuple(tries.attempts)
        return made(cell, "latency", status="unknown", method=tries.told, attempts=told, **spoken)
    step_changed = min(claimed, true)
    shown = {**evidence, "lag": read.lag, "changed": step_changed, "runs": [n.to_plain() for n in pair]}
    return made(cell, "latency", status="refuted", method="two runs", counterexample=shown, **spoken)


def _spoken(state: State, evidence: Evidence) -> dict[str, Any]:
    name, gate = typeset(state.name), typeset(evidence["gate"])
    candidate, latency, age = typeset(evidence["candidate"]), evidence["latency"], evidence["age"]
    own = "" if age is None else f", and whose newest {name} was {_aged(age)}"
    symbol = sympy.latex(sympy.Symbol(evidence["gate"]))
    return {
        "name": f"read-latency-{state.name}",
        "statement": f"{candidate}ₜ reads {name} through {gate}, whose newest input was {_at(latency)}{own}",
        "gist": str(latency),
        "latex": rf"\text{{latency of }} {symbol} = {latency}",
    }


def _at(latency: int) -> str:
    return "xₜ" if latency == 0 else f"x{_lag(latency)}"


def _lag(lag: int) -> str:
    """``ₜ₋₁``."""
    return "ₜ₋" + "".join("₀₁₂₃₄₅₆₇₈₉"[int(digit)] for digit in str(lag))


def _aged(age: int) -> str:
    return "the one that it gates" if age == 0 else f"{age} step{'s' * (age > 1)} older than what it gates"


def gated_reads(cell: Cell, found: Write) -> list[Read]:
    """Every way from a gate that multiplies the state to a candidate, through vectors and past states."""
    reads: list[Read] = []
    for candidate in readers(cell, found):
        expr = without_carry(cell, found, candidate)
        for product, lag, path in _products(cell, expr, 0, (candidate.name,), found):
            around = gate_factors(cell, product)
            if len(around) != 1:
                continue
            shown = _shown(product, found.state)
            if shown is not None:
                reads.append(Read(candidate, around[0], lag, path, lag + shown))
    return reads


def _products(
    cell: Cell, expr: sympy.Expr, lag: int, path: tuple[str, ...], found: Write
) -> Iterator[tuple[sympy.Expr, int, tuple[str, ...]]]:
    """The products in an expression and, a step back, in the shadow states that it reads."""
    for node in sympy.preorder_traversal(expr):
        if isinstance(node, sympy.Mul):
            yield node, lag, path
        if isinstance(node, Previous) and node != found.state.prev and lag < DEPTH:
            shadow = node.state
            if shadow.name not in path:
                yield from _products(cell, cell.equations[shadow], lag + 1, (*path, shadow.name), found)


def _shown(product: sympy.Expr, state: State) -> int | None:
    """The lag of the state in a product, elementwise or under an activation alone."""
    for factor in product.args:
        bare = factor.argument if isinstance(factor, Activated) else factor
        if bare in (state, state.prev):
            return int(bare == state.prev)
    return None


def _newest_input(cell: Cell, gate: Vector) -> int | None:
    """The lag of the newest input that a vector depends on: the shortest path in the graph."""
    return _shortest(cell, gate.name, lambda name, lag: cell.graph.nodes[name]["kind"] == "input")


def _age(cell: Cell, read: Read, state: State) -> int | None:
    """How much older than the state it gates the gate's newest sight of it is."""
    newest = _shortest(cell, read.gate.name, lambda name, lag: name == state.name)
    return None if newest is None else max(0, read.lag + newest - read.shown)


def _shortest(cell: Cell, start: str, wanted: Any) -> int | None:
    """The least sum of lags from a vector back to one that is wanted."""
    best = {(start, 0)}
    frontier = [(start, 0)]
    for name, lag in frontier:
        for source, _, data in cell.graph.in_edges(name, data=True):
            for lag_ in {use.lag for use in data["uses"]}:
                new = (source, lag + lag_)
                if new[1] <= DEPTH and new not in best:
                    best.add(new)
                    frontier.append(new)
    found = [lag for name, lag in best if wanted(name, lag) and (name, lag) != (start, 0)]
    return min(found, default=None)


# the second method


def _unrolled(
    cell: Cell, expr: sympy.Expr, time: int, known: dict[tuple[sympy.Expr, int], frozenset[tuple[str, int]]]
) -> frozenset[tuple[str, int]]:
    """The inputs, each with its time, in an expression at a time with every equation put in, to the last."""
    if (expr, time) not in known:
        if isinstance(expr, Input):
            found = frozenset({(expr.name, time)})
        elif isinstance(expr, Previous):
            back = time > -2 * DEPTH
            found = _unrolled(cell, cell.equations[expr.state], time - 1, known) if back else frozenset()
        elif isinstance(expr, Vector):
            found = _unrolled(cell, cell.equations[expr], time, known)
        else:
            found = frozenset().union(*(_unrolled(cell, arg, time, known) for arg in expr.args))
        known[expr, time] = found
    return known[expr, time]


def _seen(cell: Cell, vector: Vector, time: int) -> int | None:
    """How many steps before t the newest input is that the unrolled vector contains."""
    times = [at for _, at in _unrolled(cell, vector, time, {})]
    return -max(times) if times else None


def _lag_along(cell: Cell, evidence: Evidence, state: State) -> int | None:
    """Along the path of the certificate: how many steps before t the gate multiplies the state, or None."""
    first, *rest = evidence["path"]
    gate = cell.symbols[evidence["gate"]]
    equation = without_carry(cell, write(cell, state), cell.symbols[first])
    for name in rest:
        past = State(name, *cell.axes(name)).prev
        if past not in equation.atoms(Previous):
            return None
        equation = cell.equations[past.state]
    for node in equation.atoms(sympy.Mul):
        held = node.xreplace({gate: sympy.S.Zero, 1 - gate: sympy.S.Zero})
        if held == 0 and node.has(state, state.prev):
            return len(rest)
    return None


def check(cell: Cell, claim: Evidence) -> bool:
    """The gate's equation unrolled over time: which inputs does it contain?  Two runs are replayed."""
    evidence = claim["certificate" if claim["status"] == "proved" else "counterexample"]
    state, gate = state_of(cell, evidence["state"]), cell.symbols[evidence["gate"]]
    spoken = _spoken(state, evidence)
    if any(claim[key] != spoken[key] for key in ("name", "statement")):
        return False
    lag = _lag_along(cell, evidence, state)
    if lag is None or evidence["path"][0] != evidence["candidate"] or not isinstance(gate, Vector):
        return False
    if claim["status"] == "refuted":
        pair = [Numbers.from_plain(cell, run) for run in evidence["runs"]]
        changed, claimed = int(evidence["changed"]), int(evidence["latency"])
        if lag != evidence["lag"] or not _differ_at(pair, changed):
            return False
        moved = _gate_moves(cell, gate, lag, pair)
        # too small a number: the input at that lag does not move the gate; too large: a newer one does
        return (changed == claimed and not moved) or (changed < claimed and moved)
    reads = gated_reads(cell, write(cell, state))
    same = next((r for r in reads if r.gate == gate and r.lag == lag), None)
    if same is None or min(r.lag for r in reads) < lag:
        return False
    return _seen(cell, gate, -lag) == evidence["latency"] and _age(cell, same, state) == evidence["age"]


def _pair(cell: Cell, read: Read, claimed: int, true: int) -> tuple[Numbers, Numbers] | None:
    """Two runs whose inputs differ at one step, where the gate ought to move and does not, or the reverse."""
    changed = min(claimed, true)
    if changed < 0:
        return None
    steps = max(claimed, true) + 2
    for seed in range(8):
        rng = np.random.default_rng(seed)
        one = zeros(cell, n=2, m=2, T=steps)
        for array in one.parameters.values():
            array[...] = np.round(8 * rng.normal(size=array.shape)) / 8
        inputs = np.round(8 * rng.normal(size=one.inputs.shape)) / 8
        other = inputs.copy()
        other[steps - 1 - changed] += 1.0
        pair = Numbers(one.parameters, inputs, one.state), Numbers(one.parameters, other, one.state)
        moved = _gate_moves(cell, read.gate, read.lag, list(pair))
        if moved == (claimed > true):
            return pair
    return None


def _differ_at(pair: list[Numbers], lag: int) -> bool:
    """Whether two runs differ in one input alone, so many steps before the last."""
    one, other = pair
    rows = np.flatnonzero((one.inputs != other.inputs).any(axis=1))
    weights = all(np.array_equal(one.parameters[p], other.parameters[p]) for p in one.parameters)
    states = all(np.array_equal(a, b) for a, b in zip(one.state, other.state, strict=True))
    return weights and states and rows.tolist() == [len(one.inputs) - 1 - lag]


def _gate_moves(cell: Cell, gate: Vector, lag: int, pair: list[Numbers]) -> bool:
    """Whether the gate, as the candidate of the last step reads through it, differs between two runs."""
    values = []
    for numbers in pair:
        before = numbers.states(cell)
        at = len(numbers.inputs) - 1 - lag
        values.append(step(cell, numbers.parameters, numbers.inputs[at], before[at])[gate.name])
    return bool(np.abs(values[0] - values[1]).max() > 1e-9)


def _prove(cell: Cell) -> Iterator[Claim]:
    for memory in memories(cell):
        found = read_latency(cell, memory.state)
        if found is not None:
            yield found


KINDS = (Kind("latency", "which input the read gate had seen", _prove, check, rank=6),)
