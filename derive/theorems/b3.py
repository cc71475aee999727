"""B3: under Miller and Hardt's condition one step of an LSTM contracts: no iterate is needed."""

from __future__ import annotations

from functools import partial
from typing import Any

import sympy

from derive.bounds import Bound, bound
from derive.bounds.condition import block_matrix, positive_minors
from derive.bounds.symbolic import SymbolicBounds
from derive.bounds.symbols import norm_symbol
from derive.claim import Claim
from derive.theorems.theorem import Theorem
from derive.theorems.tools.attacks import contraction
from derive.theorems.tools.facts import disproved
from derive.theorems.tools.implication import ends_domain, implies, through, upper_end
from derive.theorems.tools.trials import Trial

W, W_i, W_o, W_f = (norm_symbol(name) for name in ("W", "W_i", "W_o", "W_f"))


def published(found: Bound) -> Any:
    """‖W_i‖, ‖W_o‖ < 1 - f̄, ‖W_z‖ ≤ ¼(1 - f̄), ‖W_f‖ < (1 - f̄)²; their W_z is the candidate's W."""
    left = 1 - upper_end(found, "f")
    return sympy.And(W_i < left, W_o < left, left / 4 >= W, W_f < left**2)


def subject() -> Bound:
    return bound("lstm", "inf", inputs=1)


def prove() -> list[Claim]:
    found = subject()
    theirs, ours = published(found), found.condition_in_gates
    symbolic = SymbolicBounds(found.cell, found.setting.ranges, closed=True)
    blocks = block_matrix(found.cell, found.norm, symbolic)  # over (h, c)
    f, o = upper_end(found, "f"), upper_end(found, "o")
    alpha, d = sympy.symbols("alpha D", nonnegative=True)
    where = {alpha: blocks[1, 0], d: sympy.expand(blocks[0, 0] - o * blocks[1, 0])}
    short = sympy.Matrix([[o * alpha + d, o * f], [alpha, f]])
    if positive_minors(blocks) != ours or (short.xreplace(where) - blocks).applyfunc(
        sympy.simplify
    ) != sympy.zeros(2):
        raise ValueError("the blocks of the LSTM are not [[ōα + D, ōf̄], [α, f̄]]")
    on = ends_domain(found, theirs, ours)
    by = partial(
        through,
        on=on.given(*theirs.args),
        where=where,
        facts=(
            (alpha, ">=", 0),
            (alpha, "<=", sympy.Rational(3, 4) * (1 - f)),
            (d, ">=", 0),
            (d, "<", (1 - f) / 4),
        ),
        assumptions=(*found.assumptions, "f̄ < 1 and the other upper ends are any bounds of the gates"),
    )
    rows = sympy.And(*(sum(short.row(k)) < 1 for k in range(2)))
    return [
        by(
            "one-step",
            "B3 ⇒ the spectral radius of N, the matrix of norms of one step's blocks, is below 1",
            positive_minors(short),
        ),
        by(
            "one-step-in-the-norm",
            "B3 ⇒ ‖∂(h, c)ₜ/∂(h, c)ₜ₋₁‖∞ < 1: one step contracts in the plain ∞-norm",
            rows,
        ),
        disproved(
            implies("converse", "the engine's condition ⇒ B3", theirs, on.given(*ours.args)),
            "the engine's condition certifies weights that B3 does not: it is weaker",
        ),
    ]


TRIAL = Trial(subject, published, contraction)

THEOREM = Theorem(
    name="B3",
    title="A stable LSTM",
    statement=(
        "‖W_i‖, ‖W_o‖ < 1 - f̄, ‖W‖ ≤ ¼(1 - f̄), ‖W_f‖ < (1 - f̄)² ⇒ stable; one step contracts, "
        "where the published proof takes an iterate of the map"
    ),
    latex=(
        r"\|W_i\|, \|W_o\| < 1 - \bar f,\ \|W\| \le \tfrac14 (1 - \bar f),\ \|W_f\| < (1 - \bar f)^2"
        r" \implies \left\|\partial (h, c)_t / \partial (h, c)_{t-1}\right\|_\infty < 1"
    ),
    source="Miller and Hardt, Stable recurrent models, ICLR 2019 (recalled)",
    cells=("lstm",),
    assumptions=("∞-norm", "|x| ≤ 1", "|c| ≤ 1/(1 - f̄)", "f̄ = sup f < 1"),
    prove=prove,
    compare=TRIAL.compare,
    attack=TRIAL.attack,
)
