"""Derivatives of a cell's step as sums of words: diag(a₀) W₁ diag(a₁) W₂ … (idea 3 of the design)."""

from derive.calculus.blocks import StepJacobian, step_jacobian
from derive.calculus.jacobian import Jacobian, jacobian
from derive.calculus.product import KStepJacobian, k_step_jacobian
from derive.calculus.words import Word

__all__ = [
    "Jacobian",
    "KStepJacobian",
    "StepJacobian",
    "Word",
    "jacobian",
    "k_step_jacobian",
    "step_jacobian",
]
