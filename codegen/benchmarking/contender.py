"""A contender: something that runs a recurrent layer, and the pass that is timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from codegen.benchmarking.setting import Setting

Results = dict[str, Tensor]
"""Values and gradients of a pass by name: ``output``, ``∂x``, ``∂W_i``."""


@dataclass
class Contender:
    """``run(x)`` gives the outputs (T, B, n) and the last states.

    ``parameters`` are those whose gradient is taken, by the equations' names where it has such.  ``about``
    says what it is.  ``same_cell``: it has the cell's equations and the same weights, so that its results are
    compared, by the names that it has in common with eager.  ``ours``: an error in it is a fault of the
    toolkit; others are left out with their error as the reason.
    """

    name: str
    run: Callable[[Tensor], tuple[Tensor, ...]]
    x: Tensor
    parameters: Mapping[str, Tensor]
    setting: Setting
    about: str = ""
    same_cell: bool = True
    ours: bool = False
    seconds_first: float | None = None
    weights: list[Tensor] = field(default_factory=list)

    def __call__(self) -> tuple[Tensor, ...]:
        """One pass: the outputs, or the gradients of x and of the parameters."""
        if self.setting.forward_only:
            with torch.no_grad():
                return self.run(self.x)
        shown = differentiated(self.run(self.x))
        if not self.weights:
            self.weights = drawn_like(shown, self.setting.seed)
        return torch.autograd.grad(shown, self._leaves(), self.weights, allow_unused=True)

    def results(self) -> Results:
        """What a pass computes, to be compared: outputs, last states and, with them, the gradients."""
        if self.setting.forward_only:
            with torch.no_grad():
                shown = differentiated(self.run(self.x))
            return {f"output {k}": value for k, value in enumerate(shown)}
        shown = differentiated(self.run(self.x))
        self.weights = drawn_like(shown, self.setting.seed)
        found = torch.autograd.grad(shown, self._leaves(), self.weights, allow_unused=True)
        names = [*(["∂x"] if self.setting.input_gradient else []), *(f"∂{name}" for name in self.parameters)]
        values = {f"output {k}": value.detach() for k, value in enumerate(shown)}
        leaves = zip(names, found, self._leaves(), strict=True)
        return values | {name: torch.zeros_like(leaf) if g is None else g for name, g, leaf in leaves}

    def _leaves(self) -> list[Tensor]:
        return [*([self.x] if self.setting.input_gradient else []), *self.parameters.values()]


def differentiated(found: tuple[Tensor, ...]) -> list[Tensor]:
    """What the loss reads: the outputs; of a cell without output its last states."""
    return [found[0]] if found[0].numel() else list(found[1:])


def drawn_like(tensors: list[Tensor], seed: int) -> list[Tensor]:
    """Gradients to begin the backward pass with, the same for the same shapes."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(t.shape, generator=generator).to(t) for t in tensors]


def input_of(setting: Setting, features: int) -> Tensor:
    """x (T, B, features), the same for the same shape."""
    generator = torch.Generator().manual_seed(setting.seed + 1)
    x = torch.randn(setting.time, setting.batch, features, generator=generator)
    x = x.to(setting.device, setting.dtype)
    return x.requires_grad_(setting.input_gradient and not setting.forward_only)
