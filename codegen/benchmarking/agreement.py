"""No time for a wrong result: every contender that claims to be the cell is compared with eager first."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from codegen.benchmarking.contender import Results

TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-4, torch.bfloat16: 1e-1}
"""Of max|a - b| / max|b|: far above what the order of sums changes, far below what a wrong formula does."""


def disagreement(found: Results, expected: Results, dtype: torch.dtype) -> str | None:
    """In which of the results that both have they differ most, and by how much; None where they agree."""
    common = [name for name in expected if name in found]
    errors = {name: relative_error(found[name], expected[name]) for name in common}
    worst = max(errors, key=lambda name: errors[name], default=None)
    if worst is None:
        return "it has no result that eager has"
    tolerance = TOLERANCES[dtype]
    if errors[worst] <= tolerance:
        return None
    return (
        f"{worst} differs from eager's by {errors[worst]:.1e} of its largest value (allowed: {tolerance:.0e})"
    )


def relative_error(found: Tensor, expected: Tensor) -> float:
    """max|a - b| / max|b|; infinite where the shapes differ or a number is missing."""
    if found.shape != expected.shape:
        return math.inf
    if expected.numel() == 0:
        return 0.0
    a, b = found.detach().double().cpu(), expected.detach().double().cpu()
    error, scale = float((a - b).abs().max()), float(b.abs().max())
    relative = error / scale if scale else error
    return math.inf if math.isnan(relative) else relative
