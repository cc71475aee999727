"""B2: ‖W‖ < 1/L makes a vanilla network a contraction, in every absolute norm and not in every norm."""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy

from derive.activations import Activation, sigmoid, tanh
from derive.bounds import bound
from derive.bounds.symbols import norm_symbol
from derive.calculus import step_jacobian
from derive.catalogue import cell
from derive.cell import Cell
from derive.claim import Claim
from derive.evaluate import evaluate
from derive.theorems.theorem import Theorem
from derive.theorems.tools.attacks import contraction
from derive.theorems.tools.facts import disproved
from derive.theorems.tools.implication import domain, implies
from derive.theorems.tools.slopes import steepest_slope
from derive.theorems.tools.trials import Trial

W = norm_symbol("W")


def published(phi: Activation) -> Any:
    """‖W‖ < 1/L."""
    return 1 / phi.lipschitz > W


def subject(phi: Activation) -> Cell:
    return cell("vanilla").with_activations({"s": phi})


def prove() -> list[Claim]:
    return [*(claim for phi in (tanh, sigmoid) for claim in _claims(phi)), any_norm()]


def _claims(phi: Activation) -> list[Claim]:
    name, on = phi.text or phi.name, domain([], {}, W)
    claims = [steepest_slope("B2", phi), _any_absolute_norm(phi)]
    for norm, sign in ((2, "₂"), ("inf", "∞")):
        found = bound(subject(phi), norm)
        for tag, goal, given in (
            ("", found.condition, published(phi)),
            ("-converse", published(phi), found.condition),
        ):
            arrow = "⇐" if tag else "⇒"
            claims.append(
                implies(
                    f"contraction-{phi.name}-{norm}{tag}",
                    f"φ = {name}: ‖W‖{sign} < 1/L = {1 / phi.lipschitz} {arrow} the engine's condition",
                    goal,
                    on.given(given),
                    assumptions=found.assumptions,
                )
            )
    return claims


def _any_absolute_norm(phi: Activation) -> Claim:
    """A finite change is one word, diag(d) W Δs with |d| ≤ L; an absolute norm is monotone in |·|.

    |Δs⁺| ≤ L |W Δs|, elementwise, gives ‖Δs⁺‖ ≤ L ‖W Δs‖ in every norm that grows with the absolute values of
    the elements, which is what an absolute norm does (Bauer, Stoer and Witzgall 1961).
    """
    words = step_jacobian(subject(phi)).blocks[0][0].words
    if len(words) != 1 or len(words[0].maps) != 1 or words[0].coefficients[1:] != (1,):
        raise ValueError(f"the step of {subject(phi).name} is not diag(a) W")
    before, moved, after = sympy.symbols("before moved after", nonnegative=True)
    box = dict.fromkeys((before, moved, after), (0, sympy.oo))
    lengths = ((moved, "<=", W * before), (after, "<=", phi.lipschitz * moved), (before, ">", 0))
    return implies(
        f"contraction-{phi.name}-absolute",
        f"φ = {phi.text or phi.name}: ‖W‖ < 1/L ⇒ ‖Δs⁺‖ < ‖Δs‖ for finite changes, in every absolute norm",
        (after, "<", before),
        domain([], {}, W).joined(box, published(phi), *lengths),
        assumptions=(
            "before = ‖Δs‖, moved = ‖W Δs‖ ≤ ‖W‖ ‖Δs‖ (induced norm), after = ‖Δs⁺‖",
            "|φ(a) - φ(b)| ≤ L |a - b| (mean value theorem) and the norm is absolute: after ≤ L · moved",
        ),
    )


def any_norm() -> Claim:
    """‖x‖ = max(|x₂|/2, |x₁ - 2x₂|) is a norm in which ‖W‖ = 1/2, and yet there are two attractors.

    W is nilpotent; a bias saturates the second unit, so that the first is left with s₁ ← tanh(2s₁ + …).
    """
    params: dict[str, Any] = {"W": [[2, -4], [1, -2]], "U": [[0], [0]], "b": [4, 8]}
    change = [[0, 0.5], [1, -2]]  # ‖x‖ = the largest entry of this times x
    starts = [[1, 1], [-1, 1]]
    shown = {"cell": "vanilla", "params": params, "norm": change, "starts": starts, "steps": 1000}

    def replayed() -> bool:
        similar = np.array(change) @ np.array(params["W"]) @ np.linalg.inv(np.array(change))
        run = evaluate(cell("vanilla"), params, np.zeros((1000, 2, 1)), (np.array(starts, float),))[0]
        apart = run[-1, 0, 0] > 0.9 and run[-1, 1, 0] < -0.9
        return bool(np.linalg.norm(similar, np.inf) < 1 and apart and np.abs(run[-1] - run[-2]).max() < 1e-12)

    claim = Claim(
        "contraction-any-norm",
        "φ = tanh: ‖W‖ < 1/L in some norm ⇒ contraction",
        "refuted",
        "a norm that is not absolute, ‖W‖ = 1/2, and a run with two attractors",
        counterexample=shown,
        verify=replayed,
    )
    return disproved(claim, "φ = tanh: ‖W‖ < 1/L in a norm that is not absolute does not make a contraction")


TRIAL = Trial(lambda: bound(subject(tanh), "inf", inputs=1), lambda _: published(tanh), contraction)

THEOREM = Theorem(
    name="B2",
    title="A vanilla network is a contraction in every absolute norm",
    statement="‖W‖ < 1/L_φ ⇒ the step is a contraction",
    latex=r"\|W\| < 1/L_\varphi \implies \|\Delta s_t\| \le L_\varphi \|W\| \, \|\Delta s_{t-1}\|",
    source="Miller and Hardt, Stable recurrent models, ICLR 2019 (recalled)",
    cells=("vanilla",),
    assumptions=("an absolute norm (every p-norm is one)", "L_φ the Lipschitz constant of φ", "any input"),
    prove=prove,
    compare=TRIAL.compare,
    attack=TRIAL.attack,
)
