"""The loss of a model on a text, in the article's unit, in nats, and as perplexity."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from codegen.training.data import batches
from codegen.training.model import Model, State


@dataclass(frozen=True)
class Loss:
    """One loss in three units, all from the same predictions.

    Attributes:
        article: the sum over the batches of the mean cross-entropy in nats: the unit of the article's table.
        batches: how many there were; all of one size, so that `nats` is the mean over words as well.
        correct: the share of predictions that count as right, in tasks other than language; there the loss
            is not a cross-entropy of words, and `nats` reads as its mean.
    """

    article: float
    batches: int
    correct: float | None = None

    @property
    def nats(self) -> float:
        """The mean cross-entropy of a word."""
        return self.article / self.batches

    @property
    def perplexity(self) -> float:
        """exp(nats): the number of equally likely words that would be as hard to predict."""
        try:
            return math.exp(self.nats)
        except OverflowError:
            return math.inf


def evaluate(
    model: Model,
    tokens: Tensor,
    batch_size: int = 30,
    bptt: int = 30,
    *,
    on_batch: Callable[[], None] | None = None,
) -> Loss:
    """The loss of `model` on `tokens`, with the state carried from zero through all batches.

    Args:
        tokens: int64, shape (tokens,), on any device.
        on_batch: called after each batch.

    Raises:
        DataError: too few tokens for one batch.
    """
    windows = batches(tokens.to(model.device), batch_size, bptt)
    state: State | None = None
    losses = []
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for inputs, targets in windows:
                loss, state = model.loss(inputs, targets, state)
                losses.append(loss)
                if on_batch is not None:
                    on_batch()
    finally:
        model.train(was_training)
    return Loss(math.fsum(torch.stack(losses).tolist()), len(losses))
