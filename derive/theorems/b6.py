"""B6: when an LSTM is input-to-state stable with respect to its input and its biases."""

from __future__ import annotations

from typing import Any

from derive.bounds.stability import Stability, stability
from derive.bounds.symbols import norm_symbol
from derive.claim import Claim
from derive.theorems.theorem import Theorem
from derive.theorems.tools.attacks import state_gains
from derive.theorems.tools.implication import ends_domain, implies, tighter, upper_end
from derive.theorems.tools.trials import Trial


def published(found: Stability) -> Any:
    """f̄ + ō ī ‖U_c‖ < 1; their U_c is the candidate's recurrent matrix W."""
    f, o, i = (upper_end(found, name) for name in ("f", "o", "i"))
    return f + o * i * norm_symbol("W") < 1


def subject() -> Stability:
    return stability("lstm", "inf", inputs=1)


def prove() -> list[Claim]:
    found = subject()
    theirs, ours = published(found), found.condition_in_gates
    on = ends_domain(found, theirs, ours)
    return [
        implies(
            "stable", "B6 ⇒ the engine's condition", ours, on.given(theirs), assumptions=found.assumptions
        ),
        implies(
            "converse",
            "the engine's condition ⇒ B6",
            theirs,
            on.given(*ours.args),
            assumptions=found.assumptions,
        ),
        tighter(found, ours),
    ]


TRIAL = Trial(subject, published, state_gains)

THEOREM = Theorem(
    name="B6",
    title="Input-to-state stability of the LSTM",
    statement="f̄ + ō·ī·‖W‖ < 1 ⇒ input-to-state stable with respect to (u, b)",
    latex=r"\bar f + \bar o \, \bar\imath \, \|W\| < 1 \implies \text{ISS with respect to } (u, b)",
    source=(
        "Terzi, Bonassi, Farina and Scattolini, Learning model predictive control with long short-term "
        "memory networks, 2021 (form recalled)"
    ),
    cells=("lstm",),
    assumptions=("∞-norm", "|u| ≤ 1", "f̄, ō, ī = σ(‖[W U b]‖) of their gates, or any upper bounds"),
    prove=prove,
    compare=TRIAL.compare,
    attack=TRIAL.attack,
)
