"""One training of a stack: it keeps its own accounts and files, and leaves its steps to the stack."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from codegen.errors import ConfigError, Diverged
from codegen.training.evaluation import Loss
from codegen.training.gradients.blocks import Blocks
from codegen.training.log import RunLog
from codegen.training.model import LanguageModel, State
from codegen.training.rng import seeded
from codegen.training.run import Run


class Member(Run):
    """A run whose steps and validation losses come from outside.

    Its files are those of a single run, so that it can be resumed alone, and a single run here. Of the time
    that members spend side by side each counts its share: the seconds of all add up to those on the clock.

    Attributes:
        beside: how many members share the time, this one included.
        diverged: why it stopped, if its loss, state or weights are no longer finite.
    """

    model: LanguageModel
    beside = 1
    diverged: Diverged | None = None

    @property
    def active(self) -> bool:
        """Whether there are steps left to take."""
        return self.diverged is None and not self.progress.finished

    @property
    def position(self) -> tuple[int, int]:
        """The epoch under way and the steps done in it."""
        return self.progress.epoch, self.progress.step

    def open_log(self, *, resume: bool) -> RunLog:
        """As of a single run.

        Raises:
            ConfigError: it wants other gradients than by backpropagation through blocks, one an update.
        """
        if self.gradient != Blocks(self.config.window):
            config = self.config
            raise ConfigError(
                f"gradient is {config.gradient!r}, update_every {config.update_every}, constant_error "
                f"{config.constant_error:g}; in lockstep they can only be 'blocks', None (or bptt) and 0: "
                "train these one at a time"
            )
        with seeded(self.config.seed, self.model.device):  # a checkpoint sets the generators
            return super().open_log(resume=resume)

    def join(self, beside: int) -> None:
        """Begin to share the time with so many."""
        self.beside, self.clock = beside, time.perf_counter()

    def leave(self) -> None:
        """Have its weights to itself again, so that the stack's memory can be freed."""
        self.carry = None
        for weight in self.model.parameters():
            weight.data, weight.grad = weight.data.clone(), None

    def take(self, values: Tensor, carry: State) -> None:
        """Account for a step: its loss and largest |state|, shape (2,), and the state after it."""
        self.carry = carry
        self.pending.append(values)
        self.progress.step += 1
        if self.progress.step % self.drain_every == 0:
            self._drain()

    def drain(self) -> None:
        """Account for the steps that are still pending."""
        self._drain()

    def save(self) -> None:
        """Leave a checkpoint."""
        self._save()

    def close(self, valid: Loss) -> None:
        """End the epoch with that validation loss."""
        self._close(valid)

    def lap(self) -> None:
        """Count the time up to now, but not as one of training steps."""
        self._lap()

    @contextmanager
    def noting_divergence(self) -> Iterator[None]:
        """Within the block, to diverge is to be noted and not to raise."""
        try:
            yield
        except Diverged as error:
            self.diverged = error

    def _save(self) -> None:
        # A layer that draws nothing at random leaves the generators as the seed has set them.
        with seeded(self.config.seed, self.model.device):
            super()._save()

    def _lap(self) -> float:
        since = self.clock
        self.clock = time.perf_counter()
        share = (self.clock - since) / self.beside
        self.progress.seconds += share
        return share
