"""B4: when a GRU is input-to-state stable with respect to its input and its bias."""

from __future__ import annotations

from typing import Any

import sympy

from derive.bounds.extremes import Greatest
from derive.bounds.stability import Stability, secant_rows, stability
from derive.bounds.symbolic import SymbolicBounds
from derive.bounds.symbols import norm_symbol, typeset_bound
from derive.claim import Claim
from derive.symbols import Previous
from derive.theorems.theorem import Theorem
from derive.theorems.tools.attacks import state_gains
from derive.theorems.tools.implication import ends_domain, implies, upper_end
from derive.theorems.tools.trials import Trial

W = norm_symbol("W")


def published(found: Stability) -> Any:
    """‖U_r‖ f̄ < 1; their U_r is the candidate's recurrent matrix W, their f̄ the reset gate's r̄."""
    return upper_end(found, "r") * W < 1


def subject() -> Stability:
    return stability("gru", "inf", inputs=1)


def prove() -> list[Claim]:
    found = subject()
    theirs, ours = published(found), found.condition_in_gates
    on = ends_domain(found, theirs, ours)
    return [
        implies(
            "stable", "B4 ⇒ the engine's condition", ours, on.given(theirs), assumptions=found.assumptions
        ),
        implies(
            "converse", "the engine's condition ⇒ B4", theirs, on.given(ours), assumptions=found.assumptions
        ),
        _one_step(found),
    ]


def _one_step(found: Stability) -> Claim:
    """λ is the engine's: the greatest of what the corners z = z̄ and z = 1 - z̄ allow, since z is joint."""
    secant = secant_rows(found.cell)[0]
    if secant is None:
        raise ValueError("the step of the GRU does not vanish at zero")
    symbolic, past = SymbolicBounds(found.cell, found.setting.ranges), Previous("s", *found.cell.axes("s"))
    rate, theirs = symbolic.infinity(secant.restricted(past)), published(found)
    corners = rate.args if isinstance(rate, Greatest) else (rate,)
    on = ends_domain(found, theirs, rate).given(theirs, (upper_end(found, "z"), "<", 1))
    return implies(
        "one-step",
        f"B4 ⇒ |sₜ| ≤ λ|sₜ₋₁| + γᵤ|uₜ| + γ_b|b| with λ = {typeset_bound(rate)} < 1",
        sympy.And(*(corner < 1 for corner in corners)),
        on,
        assumptions=found.assumptions,
    )


TRIAL = Trial(subject, published, state_gains)

THEOREM = Theorem(
    name="B4",
    title="Input-to-state stability of the GRU",
    statement="‖W‖·r̄ < 1 ⇒ input-to-state stable with respect to (u, b)",
    latex=r"\|W\|_\infty \, \bar r < 1 \implies |s_t| \le \lambda |s_{t-1}| + \gamma_u |u_t| + \gamma_b |b|",
    source="Bonassi, Farina and Scattolini, On the stability properties of gated recurrent units, 2021",
    cells=("gru",),
    assumptions=("∞-norm", "|u| ≤ 1, |s| ≤ 1", "r̄ = σ(‖[W_r U_r b_r]‖), or any upper bound of r"),
    prove=prove,
    compare=TRIAL.compare,
    attack=TRIAL.attack,
)
