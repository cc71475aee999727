"""The hyperparameters of a training, with the article's values as defaults."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from codegen.errors import ConfigError
from codegen.training.initialization import find_initialization

_COUNTS = (
    *("batch_size", "bptt", "hidden_size", "embedding_size"),
    *("epochs", "patience", "log_every", "checkpoint_every"),
)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """All that decides the numbers of a training, besides the data and the machine.

    Attributes:
        cell: what the layer computes, such as the catalogue name. Like `backend`, a label: it is recorded,
            and a run is not resumed under another one (cells of equal shapes have interchangeable weights).
        backend: what runs the layer.
        batch_size: rows of text side by side.
        bptt: steps through which a gradient is propagated back, and the length of a window.
        hidden_size, embedding_size: of the state and of a word.
        learning_rate: Adam's (its other constants are the usual 0.9, 0.999, 1e-8).
        epochs: the most that are run.
        patience: stop after this many epochs without a new lowest validation loss.
        clip: largest norm of the gradient of all weights together; None for no clipping.
        initialization: a name in `INITIALIZATIONS`.
        biases: initial values of named vectors of the layer, such as `{"b_f": 1.0}`; the others start at 0.
        seed: decides the initial weights and whatever the layer draws at random.
        log_every: steps from one step line in the log to the next.
        checkpoint_every: steps from one checkpoint to the next; there is one after each epoch besides.

    Raises:
        ConfigError: a value is outside its range.
    """

    cell: str
    backend: str = "eager"
    batch_size: int = 30
    bptt: int = 30
    hidden_size: int = 250
    embedding_size: int = 250
    learning_rate: float = 1e-3
    epochs: int = 20
    patience: int = 2
    clip: float | None = None
    initialization: str = "article"
    biases: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    log_every: int = 20
    checkpoint_every: int = 200

    def __post_init__(self) -> None:
        for name in _COUNTS:
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ConfigError(f"{name} is {value!r}; expected a whole number from 1 up")
        if not isinstance(self.seed, int) or not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed is {self.seed!r}; expected a whole number from 0 to 2⁶³ − 1")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ConfigError(f"learning_rate is {self.learning_rate!r}; expected a positive number")
        if self.clip is not None and not self.clip > 0:
            raise ConfigError(f"clip is {self.clip!r}; expected a positive number, or None for no clipping")
        if not all(math.isfinite(value) for value in self.biases.values()):
            raise ConfigError(f"biases is {dict(self.biases)!r}; expected finite numbers")
        find_initialization(self.initialization)
        object.__setattr__(self, "biases", dict(self.biases))  # not the caller's, who may go on changing it

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain values that JSON can hold."""
        return asdict(self)
