"""B8: how far a gated incremental write can take its state, in every cell that has one, for all weights."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import sympy

from derive.anatomy import Write, gate_factors, is_fraction, memories
from derive.bounds.arithmetic import Floats
from derive.bounds.boxes import step_intervals
from derive.bounds.invariant import inlined_to_activations
from derive.bounds.ranges import Ranges
from derive.calculus.polynomials import with_generators
from derive.catalogue import catalogue, cell
from derive.cell import Cell
from derive.claim import Claim
from derive.evaluate import step
from derive.symbols import Vector
from derive.theorems.theorem import Attack, Theorem
from derive.theorems.tools.attacks import judged
from derive.theorems.tools.implication import Domain, implies
from derive.theorems.tools.weights import Array, Params, draw, each

M, LOWER, UPPER = sympy.symbols("M i_bar f_bar", nonnegative=True)
"""A bound of |c| before the step; the suprema of the write gate and of the carry."""
STEPS = 50


@dataclass(frozen=True)
class Memory:
    """A state whose write is gated and incremental: c⁺ = f c + i φ, perhaps times something of at most 1."""

    cell: Cell
    write: Write

    @property
    def keep(self) -> Vector:
        """The gate of the carry."""
        return gate_factors(self.cell, self.write.carry)[0]

    @property
    def admit(self) -> Vector:
        """The gate of what is written; the same one where they are coupled."""
        return gate_factors(self.cell, self.write.increment)[0]

    @property
    def is_coupled(self) -> bool:
        return sympy.expand(self.write.carry - (1 - self.write.increment.coeff(self._written))) == 0

    @property
    def _written(self) -> sympy.Expr:
        factors = sympy.Mul.make_args(self.write.increment)
        return next((f for f in factors if isinstance(f, Vector) and f != self.admit), sympy.S.Zero)


@lru_cache(maxsize=64)
def memories_of(subject: Cell) -> tuple[Memory, ...]:
    """The states of a cell that this speaks of, found in the equations: carry and increment have gates."""
    return tuple(
        Memory(subject, w)
        for w in memories(subject)
        if is_fraction(subject, w.carry) and gate_factors(subject, w.increment) and _is_small(subject, w)
    )


def _is_small(subject: Cell, w: Write) -> bool:
    """|i φ| ≤ 1, and nothing on the way to the state makes it larger."""
    free = Ranges(subject, {}, norm=None)
    return bool(free(w.increment).magnitude <= 1 and free(w.scale).magnitude <= 1)


def prove() -> list[Claim]:
    return [claim for name in catalogue() for memory in memories_of(cell(name)) for claim in claims(memory)]


def claims(memory: Memory) -> Iterator[Claim]:
    """What holds for one state."""
    name, subject = memory.write.state.name, memory.cell.name
    past, after, box = _step(memory)
    # |c| ≤ M, f ≤ f̄, i ≤ ī as products with fractions: then there is a box, and no hypotheses are needed
    fraction, kept, admitted = sympy.symbols("fraction kept admitted", real=True)
    box |= {M: (0, sympy.oo), fraction: (-1, 1)}
    after = after.xreplace({past: M * fraction})
    assuming = (f"M ≥ |{name}| before the step, {name} = M · fraction", "any weights, any input, elementwise")

    def claim(tag: str, statement: str, most: sympy.Expr, value: sympy.Expr, over: Any, *more: str) -> Claim:
        both = sympy.And(most - value >= 0, most + value >= 0, evaluate=False)
        said = f"{subject}: |{name}ₜ₋₁| ≤ M ⇒ {statement}"
        return implies(f"{subject}-{name}-{tag}", said, both, Domain(over), assumptions=(*assuming, *more))

    yield claim("linear", f"|{name}ₜ| ≤ M + 1, hence |{name}ₜ| ≤ |{name}₀| + t", M + 1, after, box)
    if memory.is_coupled:
        told = f"|{name}ₜ| ≤ M where M ≥ 1, hence |{name}ₜ| ≤ max(1, |{name}₀|)"
        yield claim("coupled", told, M, after, box | {M: (1, sympy.oo)})
        return
    keep, admit = (next(v for v in box if v.name == gate.name) for gate in (memory.keep, memory.admit))
    ends = {v: interval for v, interval in box.items() if v not in (keep, admit)}
    ends |= dict.fromkeys((UPPER, LOWER, kept, admitted), (0, 1))
    told = f"|{name}ₜ| ≤ f̄M + ī"
    noted = f"{keep.name} = f̄ · kept ≤ f̄, {admit.name} = ī · admitted ≤ ī"
    value = after.xreplace({keep: UPPER * kept, admit: LOWER * admitted})
    yield claim("step", told, UPPER * M + LOWER, value, ends, noted)
    limit = LOWER / (1 - UPPER)
    yield implies(
        f"{subject}-{name}-limsup",
        f"{subject}: f̄ < 1 ⇒ f̄M + ī is nearer to ī/(1 - f̄) than M by f̄, hence limsup|{name}| ≤ ī/(1 - f̄)",
        (UPPER * M + LOWER - limit, "==", UPPER * (M - limit)),
        Domain({M: (0, sympy.oo), UPPER: (0, 1), LOWER: (0, 1)}, ((UPPER, "<", 1),)),
        assumptions=assuming,
    )


def _step(memory: Memory) -> tuple[sympy.Symbol, sympy.Expr, dict[sympy.Symbol, Any]]:
    """The past, the next value as a polynomial, and the ranges of what else it is made of."""
    past, free = memory.write.state.prev, Ranges(memory.cell, {}, norm=None)
    after, meanings = with_generators(inlined_to_activations(memory.cell, memory.write.state))
    box: dict[sympy.Symbol, Any] = {}
    for generator in sorted(after.free_symbols - {past}, key=str):
        interval = free(meanings.get(generator, generator))
        box[generator] = (interval.low, interval.high)
    return past, after, box


def attack(sets: int = 300, seed: int = 0) -> Attack:
    """Runs with random weights, in turn for every cell; ratio of |c| to what is allowed, unit by unit."""
    start = time.perf_counter()
    subjects = [m for name in catalogue() for m in memories_of(cell(name))]
    share = -(-sets // len(subjects))
    chosen = [(m, p) for m in subjects for p in each(draw(m.cell, share, seed))][:sets]
    rng = np.random.default_rng(seed + 1)
    return judged([_run(m, p, rng) for m, p in chosen], time.perf_counter() - start)


def _run(memory: Memory, params: Params, rng: np.random.Generator) -> float:
    found = step_intervals(memory.cell, params, Floats(), None, 1)
    name, subject = memory.write.state.name, memory.cell
    sizes = [found.sizes[subject.axes(s)[0]] for s in subject.states]
    state = [rng.uniform(-1, 1, (8, n)) for n in sizes]
    start = np.abs(state[subject.states.index(name)])
    keep, admit = (np.minimum(found.magnitude(g), 1.0) for g in (memory.keep, memory.admit))
    allowed, worst = start, 0.0
    for t in range(1, STEPS + 1):
        x = np.sign(rng.uniform(-1, 1, (8, next(iter(found.sizes.values())))))
        vectors = step(subject, params, x, state)
        state = [vectors[s] for s in subject.states]
        allowed = keep * allowed + admit
        most = np.minimum(allowed, start + t)
        most = np.maximum(1.0, start) if memory.is_coupled else most
        worst = max(worst, _ratio(vectors[name], most))
    return worst


def _ratio(value: Array, most: Array) -> float:
    return float((np.abs(value) / most).max())


THEOREM = Theorem(
    name="B8",
    title="What gated incremental writes can reach",
    statement=(
        "c⁺ = f ⊙ c + i ⊙ φ, |φ| ≤ 1: |cₜ| ≤ |c₀| + t; with f ≤ f̄ < 1, limsup|c| ≤ ī/(1 - f̄); "
        "coupled (i = 1 - f): |cₜ| ≤ max(1, |c₀|)"
    ),
    latex=(
        r"|c_t| \le |c_0| + t, \quad \limsup_t |c_t| \le \bar\imath / (1 - \bar f), \quad"
        r" |c_t| \le \max(1, |c_0|) \text{ where } i = 1 - f"
    ),
    source="derived from the equations of every cell with such a write",
    cells=tuple(name for name in catalogue() if memories_of(cell(name))),
    assumptions=("any weights, any input", "elementwise"),
    prove=prove,
    attack=attack,
)
