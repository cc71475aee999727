"""B1: gradients of a vanilla network vanish below ‖W‖ = 1/γ, and explode only above it."""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy

from derive.activations import Activation, sigmoid, tanh
from derive.bounds import bound
from derive.bounds.symbols import norm_symbol
from derive.calculus import jacobian
from derive.catalogue import cell
from derive.cell import Cell
from derive.claim import Claim
from derive.theorems.theorem import Theorem
from derive.theorems.tools.attacks import spectral
from derive.theorems.tools.facts import disproved
from derive.theorems.tools.implication import domain, implies
from derive.theorems.tools.slopes import steepest_slope
from derive.theorems.tools.trials import Trial

W = norm_symbol("W")


def published(phi: Activation) -> Any:
    """‖W‖ < 1/γ."""
    return 1 / phi.lipschitz > W


def subject(phi: Activation) -> Cell:
    return cell("vanilla").with_activations({"s": phi})


def prove() -> list[Claim]:
    return [claim for phi in (tanh, sigmoid) for claim in _claims(phi)]


def _claims(phi: Activation) -> list[Claim]:
    found = bound(subject(phi), 2)
    gamma, name = phi.lipschitz, phi.text or phi.name
    growth = sympy.Symbol("growth", nonnegative=True)
    on = domain([], {}, W)
    return [
        steepest_slope("B1", phi),
        implies(
            f"step-{phi.name}",
            f"the engine's bound of ‖∂sₜ/∂sₜ₋₁‖₂ with φ = {name} is γ‖W‖, hence (γ‖W‖)ᵏ over k steps",
            (found.expr, "==", gamma * W),
            on,
            assumptions=found.assumptions,
        ),
        implies(
            f"vanishing-{phi.name}",
            f"φ = {name}: ‖W‖₂ < 1/γ = {1 / gamma} ⇒ the engine's condition of vanishing",
            found.condition,
            on.given(published(phi)),
            assumptions=found.assumptions,
        ),
        implies(
            f"vanishing-{phi.name}-converse",
            f"φ = {name}: the engine's condition of vanishing ⇒ ‖W‖₂ < 1/γ = {1 / gamma}",
            published(phi),
            on.given(found.condition),
            assumptions=found.assumptions,
        ),
        implies(
            f"exploding-{phi.name}",
            f"φ = {name}: a step that enlarges some gradient (‖∂sₜ/∂sₜ₋₁‖₂ > 1) needs ‖W‖₂ > 1/γ",
            (gamma * W, ">", 1),
            on.joined({growth: (0, sympy.oo)}, (growth, "<=", found.expr), (growth, ">", 1)),
            assumptions=found.assumptions,
        ),
        _not_sufficient(phi),
    ]


def _not_sufficient(phi: Activation) -> Claim:
    """W = [[0, w], [0, 0]] with w = 2/γ: two steps lose every gradient, whatever the state."""
    size = int(2 / phi.lipschitz)
    params: dict[str, Any] = {"W": [[0, size], [0, 0]], "U": [[1], [1]], "b": [0, 0]}
    state, x = [0, 0], [0]
    shown = {"cell": "vanilla", "activation": phi.name, "params": params, "state": state, "x": x, "steps": 2}

    def replayed() -> bool:
        block = jacobian(subject(phi), "s", "s")
        one = block.evaluate(params, x, (np.array(state),))
        return bool(np.linalg.norm(params["W"], 2) > 1 / phi.lipschitz and not (one @ one).any())

    claim = Claim(
        f"exploding-{phi.name}-converse",
        f"φ = {phi.text or phi.name}: ‖W‖₂ > 1/γ ⇒ gradients explode",
        "refuted",
        "a nilpotent W: the product over two steps is 0",
        counterexample=shown,
        verify=replayed,
    )
    name = phi.text or phi.name
    return disproved(claim, f"φ = {name}: ‖W‖₂ > 1/γ is not enough for gradients to explode")


TRIAL = Trial(lambda: bound(subject(tanh), 2, inputs=1), lambda _: published(tanh), spectral)

THEOREM = Theorem(
    name="B1",
    title="Vanishing and exploding gradients of a vanilla network",
    statement="‖W‖₂ < 1/γ ⇒ gradients vanish; exploding gradients need ‖W‖₂ > 1/γ",
    latex=r"\|W\|_2 < 1/\gamma \implies \left\|\prod_j \partial s_j / \partial s_{j-1}\right\|_2 \to 0",
    source=(
        "Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks, "
        "ICML 2013 (recalled)"
    ),
    cells=("vanilla",),
    assumptions=("γ = sup|φ′|", "2-norm", "any input, any bias"),
    prove=prove,
    compare=TRIAL.compare,
    attack=TRIAL.attack,
)
