"""Models that read vectors and are asked at some of the steps: a recurrent layer and a linear decoder."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from codegen.training.model import Layer, Model, State

IGNORED = -100
"""The class of a step at which nothing is asked; where the target is a number, it is NaN."""


class ReadoutModel(Model):
    """Decode the layer's output at every step.

    Args:
        layer: a recurrent layer of `input_size` inputs and `hidden_size` outputs.
        input_size: the size m of the vectors that are read.
        hidden_size: the layer's state size n.
        output_size: how many numbers are read out.
    """

    def __init__(self, layer: Layer, input_size: int, hidden_size: int, output_size: int) -> None:
        super().__init__(layer)
        self.input_size = input_size
        self.embedding = None
        self.decoder = nn.Linear(hidden_size, output_size)

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """What is read out after each step, (T, B, output_size), and the last state; inputs (T, B, m)."""
        output, state = self.layer(inputs, state)
        return self.decoder(output), state

    def embed(self, inputs: Tensor) -> Tensor:
        """The inputs are vectors already."""
        return inputs

    def asked(self, targets: Tensor) -> Tensor:
        """Where there is a target, bool, (T, B)."""
        raise NotImplementedError

    def answers(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """What is read out where something is asked, (asked, output_size), and the targets there, (asked,).

        Args:
            outputs: of the layer, shape (T, B, n).
            targets: shape (T, B).
        """
        asked = self.asked(targets)
        return self.decoder(outputs[asked]), targets[asked]


class Regressor(ReadoutModel):
    """One number, to be close to a target; targets (T, B), NaN where nothing is asked."""

    def __init__(self, layer: Layer, input_size: int, hidden_size: int) -> None:
        super().__init__(layer, input_size, hidden_size, output_size=1)

    def asked(self, targets: Tensor) -> Tensor:
        """Where the target is a number."""
        return ~targets.isnan()

    def criterion(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean squared error over the steps that are asked; 0 if none is."""
        found, expected = self.answers(outputs, targets)
        return F.mse_loss(found.squeeze(-1), expected, reduction="sum") / max(len(expected), 1)


class Classifier(ReadoutModel):
    """The logits of classes; targets int64, (T, B), `IGNORED` where nothing is asked."""

    def asked(self, targets: Tensor) -> Tensor:
        """Where the target is a class."""
        return targets != IGNORED

    def criterion(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean cross-entropy in nats over the steps that are asked; 0 if none is."""
        found, expected = self.answers(outputs, targets)
        return F.cross_entropy(found, expected, reduction="sum") / max(len(expected), 1)
