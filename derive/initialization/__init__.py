"""Initialization derived from the step Jacobian at rest: scales of matrices, biases for a memory length."""

from derive.initialization.memory import forget_biases, memory_biases
from derive.initialization.scales import DISTRIBUTIONS, Distribution, Scale, initial_scales
from derive.initialization.shares import JacobianShares, Term, jacobian_shares

__all__ = [
    "DISTRIBUTIONS",
    "Distribution",
    "JacobianShares",
    "Scale",
    "Term",
    "forget_biases",
    "initial_scales",
    "jacobian_shares",
    "memory_biases",
]
