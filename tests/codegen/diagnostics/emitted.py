"""The emitted code as the second voice: states after k steps, and their Jacobian by reverse mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

import codegen
from derive import Cell

Array = np.ndarray[Any, Any]


def k_step_jacobian(
    cell: Cell, params: dict[str, Array], inputs: Array, state: tuple[Array, ...]
) -> tuple[Array, Array]:
    """The stacked state (N,) after all of ``inputs`` (k, m), and ∂ of it by the initial one, (N, N)."""
    layer = codegen.build(cell, inputs.shape[-1], len(state[0]), backend="eager", dtype=torch.float64)
    for name, view in layer.equation_parameters().items():
        view.copy_(torch.tensor(params[name]))
    widths = [len(s) for s in state]

    def run(stacked: Tensor) -> Tensor:
        parts = tuple(part[None, None] for part in stacked.split(widths))  # one layer, a batch of one
        _, last = layer(torch.tensor(inputs)[:, None], parts if len(parts) > 1 else parts[0])
        return torch.cat([s[0, 0] for s in last] if isinstance(last, tuple) else [last[0, 0]])

    start = torch.tensor(np.concatenate(state))
    return run(start).detach().numpy(), torch.func.jacrev(run)(start).detach().numpy()
