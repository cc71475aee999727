"""Backpropagation through blocks: what the article, and nearly everybody, calls truncated backpropagation.

Errors go back to the start of their block of k steps and end there, so that some travel far and some one step
only. A batch of T steps is one update. It may hold several blocks, be one, or be no more than the end of one:
then the k − T steps before it are run again, and the blocks of successive updates overlap. The last is
BPTT(k; T) of Williams and Peng, An efficient gradient-based algorithm for on-line training of recurrent
network trajectories (1990).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from codegen.training.gradients.base import Method, Taken
from codegen.training.gradients.constant_error import constant_error
from codegen.training.gradients.past import state_from
from codegen.training.model import Model, State, detach, largest, tensors_of

if TYPE_CHECKING:
    from codegen.training.config import TrainingConfig


def backpropagate(model: Model, inputs: Tensor, targets: Tensor, carry: State | None) -> Taken:
    """Backpropagate every error of the batch to its first step, and no further."""
    loss, state = model.loss(inputs, targets, carry)
    loss.backward()
    return Taken(loss.detach(), detach(state), largest(state))


def backpropagate_pieces(
    model: Model, inputs: Tensor, targets: Tensor, carry: State | None, steps: int, weight: float
) -> Taken:
    """The batch in blocks of `steps`, the last perhaps shorter, with the loss and the update of one."""
    with constant_error(model.layer, weight) as unroll:
        first, *others = model.embed(inputs).split(steps)
        output, state = unroll(first, carry)
        outputs = [output]
        for x in others:
            output, state = unroll(x, detach(state))
            outputs.append(output)
        loss = model.criterion(torch.cat(outputs), targets)
        loss.backward()
    return Taken(loss.detach(), detach(state), largest(state))


def backpropagate_overlapping(
    model: Model, inputs: Tensor, targets: Tensor, carry: State | None, steps: int, weight: float
) -> Taken:
    """The batch as the end of a block of `steps`, which is more than it has.

    Carried are the inputs of the steps that the next block begins with, and the state before them (none at
    the start of the text): the one that the weights of this update gave.
    """
    past, *before = (inputs[:0],) if carry is None else tensors_of(carry)
    block = torch.cat((past, inputs))
    x, state, outputs = model.embed(block), state_from(before), []
    left = max(0, len(block) + len(inputs) - steps)  # what the next block, with as many new steps, leaves out
    with constant_error(model.layer, weight) as unroll:
        if left:
            output, state = unroll(x[:left], state)
            outputs.append(output)
        output, last = unroll(x[left:], state)
        outputs.append(output)
        loss = model.criterion(torch.cat(outputs)[len(past) :], targets)
        loss.backward()
    remembered = () if state is None else tensors_of(detach(state))
    return Taken(loss.detach(), (block[left:], *remembered), largest(last))


@dataclass(frozen=True)
class Blocks:
    """Blocks of `steps`, in batches of any length; a `Gradient`.

    Attributes:
        steps: the length k of a block.
        weight: of the constant-error regularizer.
    """

    steps: int
    weight: float = 0.0

    def __call__(self, model: Model, inputs: Tensor, targets: Tensor, carry: State | None) -> Taken:
        """One batch."""
        if len(inputs) == self.steps and not self.weight:
            return backpropagate(model, inputs, targets, carry)
        take = backpropagate_overlapping if len(inputs) < self.steps else backpropagate_pieces
        return take(model, inputs, targets, carry, self.steps, self.weight)


def make(config: TrainingConfig) -> Blocks:
    """Blocks of `config.bptt` steps."""
    return Blocks(config.bptt, config.constant_error)


METHOD = Method("blocks", "each error back to the start of its block of bptt steps", make)
