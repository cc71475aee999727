"""How a training step comes by its gradients: the one thing that truncation, online learning and regularizers
differ in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from codegen.training.model import Model, State

if TYPE_CHECKING:
    from codegen.training.config import TrainingConfig


@dataclass(frozen=True)
class Taken:
    """What a batch gave, besides gradients.

    Attributes:
        loss: the mean loss of its predictions, without a graph, shape ().
        carry: tensors that the next batch needs to go on from here, without a graph: the last state, and
            whatever the method must remember. It is saved with the checkpoints.
        peak: the largest |state|, shape ().
    """

    loss: Tensor
    carry: State
    peak: Tensor


class Gradient(Protocol):
    """Add the gradients of one batch to the `.grad` of the model's weights."""

    def __call__(self, model: Model, inputs: Tensor, targets: Tensor, carry: State | None) -> Taken:
        """One batch.

        Args:
            inputs, targets: as the model takes them, time first: (T, B, …).
            carry: what the batch before gave; None at the start of a text, or where each batch is one.
        """
        ...


@dataclass(frozen=True)
class Method:
    """A way to come by gradients, as `TrainingConfig.gradient` names it.

    Attributes:
        name: what it is called there.
        summary: one line for `--help`.
        make: the gradient for a configuration; raises ConfigError where that makes no sense.
        truncates: whether it looks at `bptt`.
        reads: the fields of the configuration that not every method looks at.
    """

    name: str
    summary: str
    make: Callable[[TrainingConfig], Gradient]
    truncates: bool = True
    reads: tuple[str, ...] = ()
