"""A regularizer that keeps errors constant on their way back, so that they neither vanish nor explode.

Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks (ICML 2013), equations
9 and 10, with δ_t = ∂E/∂s_t:

    Ω = Σ_t (‖δ_{t+1} ∂s_{t+1}/∂s_t‖ / ‖δ_{t+1}‖ − 1)²

and, as there, the gradient of Ω takes states, inputs and errors as given: it is that of ∂s_{t+1}/∂s_t by the
weights in one step alone. s_t is all states of a row, of all layers, side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from codegen.errors import ConfigError
from codegen.training.gradients.past import Unroll, require_steps, state_from
from codegen.training.model import Layer, State, tensors_of
from derive import Cell


@contextmanager
def constant_error(layer: Layer, weight: float) -> Iterator[Unroll]:
    """What to call in place of `layer` for a loss; on leaving, `weight` · Ω adds to the layer's `.grad`.

    `backward` of the loss is called inside: it leaves the errors. With weight 0 this is the layer itself.

    Raises:
        ConfigError: as :class:`ErrorFlow`.
    """
    if not weight:
        yield layer
        return
    flow = ErrorFlow(layer)
    yield flow
    (weight * flow.penalty()).backward()


@dataclass(frozen=True)
class Link:
    """One step of the cell: its input (1, B, m), without a graph, and the states before and after it."""

    x: Tensor
    before: tuple[Tensor, ...]
    after: tuple[Tensor, ...]


class ErrorFlow:
    """A layer that is run step by step, so that a backward pass leaves the error of every state.

    An output that is a state brings its own error to that state. Any other output reads the states inside
    the step, and its error is met from the state before on. The first step of a text has no state before it
    from which an error could vanish, and is left out.

    Raises:
        ConfigError: the layer is bidirectional, or does not tell its cell.
    """

    def __init__(self, layer: Layer) -> None:
        what = "the constant-error regularizer"
        require_steps(layer, what)
        cell = getattr(layer, "cell", None)
        if not isinstance(cell, Cell):
            raise ConfigError(
                f"{what} needs a layer that tells its cell, as those of codegen.build do in `layer.cell`; "
                f"this one is a {type(layer).__name__}"
            )
        self.layer = layer
        self.read = cell.states.index(cell.output) if cell.output in cell.states else None
        self.links: list[Link] = []

    def __call__(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """As the layer, step by step."""
        first, *others = x.split(1)
        output, state = self._step(first, state)
        outputs = [output]
        for later in others:
            output, state = self._step(later, state)
            outputs.append(output)
        return torch.cat(outputs), state

    def _step(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        output, after = self.layer(x, state)
        for tensor in tensors_of(after):
            tensor.retain_grad()
        if state is not None:
            self.links.append(Link(x.detach(), tensors_of(state), tensors_of(after)))
        return output if self.read is None else tensors_of(after)[self.read][-1:], after

    def ratios(self) -> tuple[Tensor, Tensor]:
        """What a step leaves of an error's norm, and where there is an error, shape (links · B,) each.

        To be called after a backward pass. The ratios have a graph to the layer's weights.
        """
        x = torch.cat([link.x for link in self.links], 1)
        before = _rows([link.before for link in self.links])
        direction, exists = _unit(_rows([[_error(s) for s in link.after] for link in self.links]))
        for tensor in before:
            tensor.requires_grad_()
        _, after = self.layer(x, state_from(before))
        back = torch.autograd.grad(
            tensors_of(after), before, direction, create_graph=True, materialize_grads=True
        )
        return torch.linalg.vector_norm(_stacked(back), dim=1), exists

    def penalty(self) -> Tensor:
        """Ω, shape (): the mean over steps and rows, as the loss is one, where the paper has two sums.

        So the weight means the same for every length. A step without an error counts as 0.
        """
        if not self.links:  # a text of one step
            return torch.zeros((), requires_grad=True)
        ratios, exists = self.ratios()
        return torch.where(exists, (ratios - 1).square(), 0).mean()


def _error(state: Tensor) -> Tensor:
    return torch.zeros_like(state) if state.grad is None else state.grad


def _rows(states: Sequence[Sequence[Tensor]]) -> tuple[Tensor, ...]:
    """States of several steps as rows of one, without their graphs."""
    return tuple(torch.cat(tensors, 1).detach() for tensors in zip(*states, strict=True))


def _stacked(state: Sequence[Tensor]) -> Tensor:
    """States (layers, B, n) side by side, shape (B, Σ layers · n)."""
    return torch.cat([tensor.transpose(0, 1).flatten(1) for tensor in state], 1)


def _unit(state: Sequence[Tensor]) -> tuple[tuple[Tensor, ...], Tensor]:
    """Each row divided by its norm, where it has one; and where that is."""
    values = _stacked(state)
    largest = values.abs().amax(1)
    exists = largest > 0
    scale = torch.where(exists, largest, 1)  # first, as squares of what nearly vanished would underflow
    norm = scale * torch.where(exists, torch.linalg.vector_norm(values / scale[:, None], dim=1), 1)
    return tuple(tensor / norm[:, None] for tensor in state), exists
