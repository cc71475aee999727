"""True truncation: every error is propagated back through exactly k steps of the cell.

This is what the truncated gradient is on paper, Σ_t ∂E_t/∂θ through s_t … s_{t−k+1}; blocks of k steps have
that for their last error alone. See "Styles of Truncated Backpropagation" (r2rt, 2016), and BPTT(h) of
Williams and Peng (1990), which is this with an update at each step.

The batch is unfolded: step t is a row of its own, of k steps from the remembered s_{t−k} on, so that the
rows of all steps (or of k of them, where the batch has more) are one call of the layer. A row ends with s_t,
which is remembered as the weights of the moment gave it; later updates do not change it. The first k steps of
a text have none to start from: they are run from its start, where their errors end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from codegen.training.gradients.base import Method, Taken
from codegen.training.gradients.constant_error import constant_error
from codegen.training.gradients.past import Unroll, require_steps, state_from
from codegen.training.model import Model, State, largest, tensors_of

if TYPE_CHECKING:
    from codegen.training.config import TrainingConfig


@dataclass(frozen=True)
class Past:
    """The last k steps, or all where the text has had fewer.

    Attributes:
        inputs: as the model takes them, shape (steps, B, …).
        states: after each of them, without a graph: (steps, layers, B, n) each; none before the first step.
    """

    inputs: Tensor
    states: tuple[Tensor, ...]

    def then(self, inputs: Tensor, states: tuple[Tensor, ...], k: int) -> Past:
        """The last k steps once these have followed."""
        known = zip(self.states, states, strict=True) if self.states else ((s,) for s in states)
        return Past(torch.cat((self.inputs, inputs))[-k:], tuple(torch.cat(pair)[-k:] for pair in known))


@dataclass(frozen=True)
class Exact:
    """Each error back through `steps` steps; a `Gradient`.

    Attributes:
        steps: the length k of the truncation. The inputs and states of so many steps are carried.
        weight: of the constant-error regularizer.
    """

    steps: int
    weight: float = 0.0

    def __call__(self, model: Model, inputs: Tensor, targets: Tensor, carry: State | None) -> Taken:
        """One batch.

        Raises:
            ConfigError: the layer is bidirectional.
        """
        require_steps(model.layer, "exact truncation")
        first, *states = (inputs[:0],) if carry is None else tensors_of(carry)
        past, rest, outputs = Past(first, tuple(states)), inputs, []
        with constant_error(model.layer, self.weight) as unroll:
            while len(rest):
                missing = self.steps - len(past.inputs)
                size = missing or self.steps
                piece, rest = rest[:size], rest[size:]
                run = self._from_the_start if missing else self._unfolded
                output, after = run(model, unroll, past, piece)
                outputs.append(output)
                past = past.then(piece, after, self.steps)
            loss = model.criterion(torch.cat(outputs), targets)
            loss.backward()
        peak = largest(tuple(states[-1] for states in past.states))
        return Taken(loss.detach(), (past.inputs, *past.states), peak)

    def _from_the_start(
        self, model: Model, unroll: Unroll, past: Past, piece: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The outputs of a piece of the first k steps, and the states after each of its steps."""
        state: State | None = None
        outputs, states = [], []
        for x in model.embed(torch.cat((past.inputs, piece))).split(1):
            output, state = unroll(x, state)
            outputs.append(output)
            states.append(tensors_of(state))
        new = zip(*states[len(past.inputs) :], strict=True)
        return torch.cat(outputs[len(past.inputs) :]), tuple(torch.stack(each).detach() for each in new)

    def _unfolded(
        self, model: Model, unroll: Unroll, past: Past, piece: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The outputs of a piece of at most k steps, and the states after each of them: a row for each."""
        rows = len(piece), piece.shape[1]
        x = model.embed(torch.cat((past.inputs, piece))[1:])
        x = x.unfold(0, self.steps, 1).movedim(-1, 0).flatten(1, 2)  # (k, rows · B, m)
        start = [states[: len(piece)].transpose(0, 1).flatten(1, 2) for states in past.states]
        output, last = unroll(x, state_from(start))
        after = (states.detach().unflatten(1, rows).transpose(0, 1) for states in tensors_of(last))
        return output[-1].unflatten(0, rows), tuple(after)


def make(config: TrainingConfig) -> Exact:
    """Truncation after `config.bptt` steps, whatever the batch."""
    return Exact(config.bptt, config.constant_error)


METHOD = Method("exact", "each error back through exactly bptt steps", make)
