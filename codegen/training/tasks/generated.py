"""Tasks whose batches are drawn, each from a number of its own: no batch depends on another."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from codegen.errors import ConfigError, TrainingError
from codegen.training.config import TrainingConfig
from codegen.training.evaluation import Loss
from codegen.training.model import Layer
from codegen.training.tasks.base import TaskKind
from codegen.training.tasks.readout import Classifier, ReadoutModel, Regressor

Array: TypeAlias = np.ndarray[Any, Any]

VALID_BATCHES = 10
DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "batch_size": 20,
        "hidden_size": 24,
        "learning_rate": 0.01,
        "clip": 1.0,
        "initialization": "orthogonal",
        "epochs": 30,
        "patience": 30,
    }
)
"""A small network that learns fast; no patience, since the loss stays at the baseline before it falls."""


@dataclass(frozen=True)
class Problem:
    """Sequences and what is asked about them.

    Attributes:
        name, summary: as of a `TaskKind`.
        input_size: the size m of a vector that is read; its entries are from 0 to 1.
        classes: how many a target has; None where it is a number.
        shortest: the least `length` that makes sense.
        steps: of a sequence, by `length`.
        draw: inputs (T, rows, m) and targets (T, rows) of one batch, from a generator, a length and a number
            of rows; targets as `readout.Regressor` or `readout.Classifier` takes them.
        baseline: by `length`, the expected loss of the best guess that needs no memory of the sequence.
        distance: by `length`, the least number of steps from an input that every answer needs to the answer.
        right: which answers count as right, of what is read out and the targets where something is asked;
            answers that are not to be judged are left out.
        solved: whether a loss on the validation sequences leaves nothing to learn.
    """

    name: str
    summary: str
    input_size: int
    classes: int | None
    shortest: int
    steps: Callable[[int], int]
    draw: Callable[[np.random.Generator, int, int], tuple[Array, Array]]
    baseline: Callable[[int], float]
    distance: Callable[[int], int]
    right: Callable[[Tensor, Tensor], Tensor]
    solved: Callable[[Loss], bool]

    def kind(self) -> TaskKind:
        """The problem as a task that a training can name."""
        return TaskKind(
            self.name,
            self.summary,
            self.input_size,
            partial(GeneratedTask, self),
            self._make_model,
            self._defaults,
        )

    def check_length(self, length: int) -> None:
        """Refuse, with a ConfigError, sequences that are too short for the problem."""
        if length < self.shortest:
            raise ConfigError(f"length is {length}; the task {self.name!r} takes {self.shortest} at least")

    def _defaults(self, length: int) -> dict[str, Any]:
        self.check_length(length)
        return {**DEFAULTS, "bptt": self.steps(length)}

    def _make_model(self, layer: Layer, config: TrainingConfig) -> ReadoutModel:
        if self.classes is None:
            return Regressor(layer, self.input_size, config.hidden_size)
        return Classifier(layer, self.input_size, config.hidden_size, self.classes)


class GeneratedTask:
    """Fresh sequences in every step, and the same ones for every validation; a `Task`.

    A training batch is a function of (seed, epoch, step) alone, so that a resumed run reads what an
    undisturbed one reads; the validation batches are the same for all seeds.

    Args:
        problem: what is drawn.
        config: gives the length, the rows of a batch, the steps of an epoch, and the seed.
        device: where the batches are wanted.

    Raises:
        ConfigError: the sequences are too short for the problem.
    """

    carries_state = False

    def __init__(
        self, problem: Problem, config: TrainingConfig, device: torch.device | str | None = None
    ) -> None:
        problem.check_length(config.length)
        self.problem, self.config, self.device = problem, config, device
        self.steps = config.epoch_steps
        self.baseline, self.distance = problem.baseline(config.length), problem.distance(config.length)
        self.valid = [self._batch(0, 0, index) for index in range(VALID_BATCHES)]
        self.predictions = problem.steps(config.length) * config.batch_size
        self.identity: Mapping[str, Any] = {"generated_sha256": _checksum(self.valid)}

    def batches(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Sequences that no other epoch has."""
        return (self._batch(self.config.seed, epoch, step) for step in range(start, self.steps))

    def evaluate(self, model: ReadoutModel, on_batch: Callable[[], None] | None = None) -> Loss:
        """The loss on the validation sequences, and the share of right answers."""
        losses, right = [], []
        was_training = model.training
        model.eval()
        try:
            with torch.no_grad():
                for inputs, targets in self.valid:
                    outputs, _ = model.layer(model.embed(inputs))
                    losses.append(model.criterion(outputs, targets))
                    right.append(self.problem.right(*model.answers(outputs, targets)))
                    if on_batch is not None:
                        on_batch()
        finally:
            model.train(was_training)
        correct = torch.cat(right).double().mean().item()
        return Loss(math.fsum(torch.stack(losses).tolist()), len(losses), correct)

    def solved(self, valid: Loss) -> bool:
        """As the problem says."""
        return self.problem.solved(valid)

    def check(self, model: ReadoutModel) -> None:
        """Compare the sizes of the model with those of problem and configuration."""
        for what, found, expected in (
            ("input", model.input_size, self.problem.input_size),
            ("state", model.decoder.in_features, self.config.hidden_size),
            ("output", model.decoder.out_features, self.problem.classes or 1),
        ):
            if found != expected:
                raise TrainingError(
                    f"the model's {what} has size {found}; the task {self.problem.name!r} and the "
                    f"configuration call for {expected}"
                )

    def _batch(self, seed: int, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """Epochs are counted from 1; epoch 0 is the validation."""
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(epoch, step)))
        inputs, targets = self.problem.draw(rng, self.config.length, self.config.batch_size)
        return torch.from_numpy(inputs).to(self.device), torch.from_numpy(targets).to(self.device)


def one_hot(symbols: Array, size: int) -> Array:
    """Symbols, int, as vectors: float32, of one more axis."""
    return np.eye(size, dtype=np.float32)[symbols]


def is_largest(found: Tensor, expected: Tensor) -> Tensor:
    """Whether the largest logit is that of the right class."""
    return found.argmax(-1) == expected


def _checksum(batches: list[tuple[Tensor, Tensor]]) -> str:
    """Of the numbers, lest a run be resumed with another generator."""
    digest = hashlib.sha256()
    for tensor in (tensor for batch in batches for tensor in batch):
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()
