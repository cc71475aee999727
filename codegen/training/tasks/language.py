"""Predict the next word of a running text: the article's task."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from codegen.errors import TrainingError
from codegen.training.config import TrainingConfig
from codegen.training.data import Corpus, batch_count, batches
from codegen.training.evaluation import Loss, evaluate
from codegen.training.model import LanguageModel


class LanguageTask:
    """A corpus in windows, the state carried from one to the next; a `Task`.

    Args:
        corpus: the text.
        config: gives the rows of a batch and the steps of a window.
        device: where the batches are wanted.

    Raises:
        DataError: a split is too short for one window.
    """

    carries_state = True

    def __init__(
        self, corpus: Corpus, config: TrainingConfig, device: torch.device | str | None = None
    ) -> None:
        self.corpus, self.config = corpus, config
        self.train, self.valid = corpus.train.to(device), corpus.valid.to(device)
        self.window = config.window
        batches(self.train, config.batch_size, self.window)  # for its complaint about too few
        batches(self.valid, config.batch_size, config.bptt)
        self.steps = batch_count(len(self.train), config.batch_size, self.window)
        self.predictions = config.batch_size * self.window
        self.identity: dict[str, Any] = {"data_sha256": corpus.checksum}

    def batches(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The windows of the training text, the same in each epoch."""
        return batches(self.train, self.config.batch_size, self.window, start=start)

    def evaluate(self, model: LanguageModel, on_batch: Callable[[], None] | None = None) -> Loss:
        """The loss on the validation text."""
        return evaluate(model, self.valid, self.config.batch_size, self.config.bptt, on_batch=on_batch)

    def solved(self, valid: Loss) -> bool:
        """Language never is."""
        return False

    def check(self, model: LanguageModel) -> None:
        """Compare the sizes of the model with those of corpus and configuration."""
        for what, found, expected in (
            ("vocabulary", model.embedding.num_embeddings, len(self.corpus.vocabulary)),
            ("embedding", model.embedding.embedding_dim, self.config.embedding_size),
            ("state", model.decoder.in_features, self.config.hidden_size),
        ):
            if found != expected:
                raise TrainingError(
                    f"the model's {what} has size {found}; the corpus and the configuration call for "
                    f"{expected}"
                )
