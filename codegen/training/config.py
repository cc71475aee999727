"""The hyperparameters of a training, with the article's values as defaults."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from codegen.errors import ConfigError
from codegen.training.gradients import find_method, methods
from codegen.training.initialization import find_initialization
from codegen.training.tasks import LANGUAGE, find_task

_COUNTS = (
    *("batch_size", "bptt", "hidden_size", "embedding_size", "length", "epoch_steps", "groups"),
    *("epochs", "patience", "log_every", "checkpoint_every"),
)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """All that decides the numbers of a training, besides the data and the machine.

    Attributes:
        cell: what the layer computes, such as the catalogue name. A label: it is recorded, and a run is not
            resumed under another one (cells of equal shapes have interchangeable weights).
        backend: what runs the layer. A label as well; a run may be resumed under another one, at the price
            of other roundings.
        task: `language`, or a task that generates its data, by its name in `tasks`.
        length: steps of a sequence of a generated task.
        epoch_steps: batches between two validations of a generated task, which has no other epochs.
        batch_size: rows of text, or sequences, side by side.
        bptt: steps through which an error is propagated back.
        update_every: steps of text from one update of the weights to the next; `bptt` if None.
        gradient: how a step comes by its gradients: a name in `gradients.methods`.
        groups: subgroups of units in real-time recurrent learning; 1 is exact.
        constant_error: weight of the regularizer that keeps errors from vanishing (Pascanu et al., 2013).
        hidden_size, embedding_size: of the state and of a word.
        learning_rate: Adam's (its other constants are the usual 0.9, 0.999, 1e-8).
        epochs: the most that are run.
        patience: stop after this many epochs without a new lowest validation loss.
        clip: largest norm of the gradient of all weights together; None, or 0, for no clipping.
        initialization: a name in `INITIALIZATIONS`.
        scale: a factor on the layer's initial matrices.
        biases: initial values of named vectors of the layer, such as `{"b_f": 1.0}`; the others start at 0.
        seed: decides the initial weights and whatever the layer draws at random.
        log_every: steps from one step line in the log to the next.
        checkpoint_every: steps from one checkpoint to the next; there is one after each epoch besides.

    Raises:
        ConfigError: a value is outside its range.
    """

    cell: str
    backend: str = "eager"
    task: str = LANGUAGE
    length: int = 100
    epoch_steps: int = 100
    batch_size: int = 30
    bptt: int = 30
    update_every: int | None = None
    gradient: str = "blocks"
    groups: int = 1
    constant_error: float = 0.0
    hidden_size: int = 250
    embedding_size: int = 250
    learning_rate: float = 1e-3
    epochs: int = 20
    patience: int = 2
    clip: float | None = None
    initialization: str = "article"
    scale: float = 1.0
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
        if not (math.isfinite(self.scale) and self.scale >= 0):
            raise ConfigError(f"scale is {self.scale!r}; expected 0 or a positive number")
        if self.clip is not None and not (math.isfinite(self.clip) and self.clip >= 0):
            raise ConfigError(f"clip is {self.clip!r}; expected a positive number, or 0 for no clipping")
        if not all(math.isfinite(value) for value in self.biases.values()):
            raise ConfigError(f"biases is {dict(self.biases)!r}; expected finite numbers")
        every = self.update_every
        if every is not None and (not isinstance(every, int) or every < 1):
            raise ConfigError(
                f"update_every is {every!r}; expected a whole number from 1 up, or None for bptt"
            )
        if not (math.isfinite(self.constant_error) and self.constant_error >= 0):
            raise ConfigError(f"constant_error is {self.constant_error!r}; expected 0 or a positive number")
        find_initialization(self.initialization)
        self._check_method()
        if self.task != LANGUAGE:
            find_task(self.task)
        object.__setattr__(self, "clip", self.clip or None)  # one value for one meaning
        object.__setattr__(self, "biases", dict(self.biases))  # not the caller's, who may go on changing it

    def _check_method(self) -> None:
        found = find_method(self.gradient)
        found.make(self)  # for its complaints
        for other in methods().values():
            for name in set(other.reads) - set(found.reads):
                default = self.__dataclass_fields__[name].default
                if getattr(self, name) != default:
                    raise ConfigError(
                        f"{name} is {getattr(self, name)!r}, which the gradient {self.gradient!r} does not "
                        f"look at; expected {default!r}, or the gradient {other.name!r}"
                    )

    @property
    def window(self) -> int:
        """The steps of text in a batch."""
        return self.bptt if self.update_every is None else self.update_every

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain values that JSON can hold."""
        return asdict(self)
