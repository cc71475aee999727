"""B5: when two runs of a GRU under the same input come together; z taken jointly gives a weaker condition."""

from __future__ import annotations

from typing import Any

from derive.bounds import Bound, bound
from derive.bounds.symbols import norm_symbol
from derive.claim import Claim
from derive.theorems.theorem import Theorem
from derive.theorems.tools.attacks import contraction
from derive.theorems.tools.facts import disproved
from derive.theorems.tools.implication import ends_domain, implies, tighter, upper_end
from derive.theorems.tools.trials import Trial

W, W_z, W_r = norm_symbol("W"), norm_symbol("W_z"), norm_symbol("W_r")


def published(found: Bound) -> Any:
    """‖U_r‖(f̄ + ¼‖U_f‖) + ¼(1 + φ̄)‖U_z‖/(1 - z̄) < 1.

    Theirs are U_r, U_f, U_z, f̄, φ̄; ours W, W_r, W_z, r̄ and the upper end of the candidate s̃.
    """
    z, r, candidate = (upper_end(found, name) for name in ("z", "r", "s_tilde"))
    return W * (r + W_r / 4) + (1 + candidate) * W_z / (4 * (1 - z)) < 1


def subject() -> Bound:
    return bound("gru", "inf", inputs=1)


def prove() -> list[Claim]:
    found = subject()
    theirs, ours = published(found), found.condition_in_gates
    on = ends_domain(found, theirs, ours)
    return [
        implies(
            "contraction",
            "B5 ⇒ z̄(1 + φ̄)‖W_z‖ + ‖W‖(r̄ + ¼‖W_r‖) < 1, the engine's condition",
            ours,
            on.given(theirs),
            assumptions=found.assumptions,
        ),
        disproved(
            implies("converse", "the engine's condition ⇒ B5", theirs, on.given(ours)),
            "the engine's condition certifies weights that B5 does not: it is weaker",
        ),
        tighter(found, ours),
    ]


TRIAL = Trial(subject, published, contraction)

THEOREM = Theorem(
    name="B5",
    title="Incremental stability of the GRU",
    statement="‖W‖(r̄ + ¼‖W_r‖) + ¼(1 + φ̄)‖W_z‖/(1 - z̄) < 1 ⇒ incrementally stable",
    latex=(
        r"\|W\| \left(\bar r + \tfrac14 \|W_r\|\right) + \tfrac14 \frac{1 + \bar\varphi}{1 - \bar z} \|W_z\|"
        r" < 1 \implies |\Delta s_t| \to 0"
    ),
    source="Bonassi, Farina and Scattolini, On the stability properties of gated recurrent units, 2021",
    cells=("gru",),
    assumptions=(
        "∞-norm",
        "|u| ≤ 1, |s| ≤ 1",
        "z̄, r̄ = σ(‖[W U b]‖) of their gates, φ̄ = tanh(‖[W U b]‖), or any upper bounds",
    ),
    prove=prove,
    compare=TRIAL.compare,
    attack=TRIAL.attack,
)
