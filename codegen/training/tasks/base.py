"""What there is to learn: batches to train on, and a verdict on a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import torch
from torch import Tensor

from codegen.training.evaluation import Loss
from codegen.training.model import Layer, Model

if TYPE_CHECKING:
    from codegen.training.config import TrainingConfig

M = TypeVar("M", bound=Model, contravariant=True)


class Task(Protocol[M]):
    """Batches and their evaluation, for models of the kind `M`.

    Attributes:
        steps: batches in an epoch.
        predictions: in a batch; for the speed that is reported.
        carries_state: whether a batch goes on where the one before ended, as windows of one text do.
        identity: what must be the same for a run to be resumed, as plain values: a checksum of the data, or
            what they are generated from.
    """

    steps: int
    predictions: int
    carries_state: bool

    @property
    def identity(self) -> Mapping[str, Any]:
        """As above."""
        ...

    def batches(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and targets, time first, of an epoch counted from 1, without its first `start` batches."""
        ...

    def evaluate(self, model: M, on_batch: Callable[[], None] | None = None) -> Loss:
        """The loss of a model on data that it is not trained on; `on_batch` is called now and then."""
        ...

    def solved(self, valid: Loss) -> bool:
        """Whether there is nothing left to learn: the training then ends."""
        ...

    def check(self, model: M) -> None:
        """Complain, with a TrainingError, of a model that does not fit."""
        ...


@dataclass(frozen=True)
class TaskKind:
    """A task that needs no data but what it generates, as `TrainingConfig.task` names it.

    Attributes:
        name: what it is called there.
        summary: one line for `--help`.
        input_size: the size m of its inputs.
        make_task: the task for a configuration, its tensors on a device.
        make_model: a model for it around a layer.
        defaults: fields of `TrainingConfig` whose defaults, which are the article's, do not suit the task,
            by `length`.
    """

    name: str
    summary: str
    input_size: int
    make_task: Callable[[TrainingConfig, torch.device], Task[Any]]
    make_model: Callable[[Layer, TrainingConfig], Model]
    defaults: Callable[[int], Mapping[str, Any]]
