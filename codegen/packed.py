"""Runs of one generated layer over padded and over packed sequences, in either direction.

A packed batch holds, for each step, the rows of those sequences that are still running.  Between two
lengths the batch is constant, so each such stretch is an ordinary run without any padding.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any, Protocol

import torch
from torch import Tensor

State = tuple[Tensor, ...]
Module = Callable[[Tensor, Any], tuple[Tensor, Any]]


class Runner(Protocol):
    """Applies a single-direction layer to data in some layout."""

    def __call__(self, module: Module, data: Tensor, state: State, reverse: bool) -> tuple[Tensor, State]: ...


def call(module: Module, x: Tensor, state: State) -> tuple[Tensor, State]:
    """A generated layer takes and gives one tensor where there is one state."""
    output, last = module(x, state[0] if len(state) == 1 else state)
    return output, (last,) if isinstance(last, Tensor) else tuple(last)


def run_padded(module: Module, data: Tensor, state: State, reverse: bool) -> tuple[Tensor, State]:
    """data (T, B, m) → outputs (T, B, n), last state (B, n) each."""
    output, last = call(module, data.flip(0) if reverse else data, state)
    return output.flip(0) if reverse else output, last


class PackedRunner:
    """Runs over the data of a ``PackedSequence``: (rows, m) → (rows, n)."""

    def __init__(self, batch_sizes: Tensor) -> None:
        self.batch_sizes = batch_sizes.tolist()
        self.stretches = [(len(list(group)), batch) for batch, group in groupby(self.batch_sizes)]

    def __call__(self, module: Module, data: Tensor, state: State, reverse: bool) -> tuple[Tensor, State]:
        order = self._reversal().to(data.device) if reverse else None
        rows = data if order is None else data[order]
        outputs: list[Tensor] = []
        finished: list[State] = []
        offset = 0
        for steps, batch in self.stretches:
            finished.append(tuple(s[batch:] for s in state))
            chunk = rows[offset : offset + steps * batch].unflatten(0, (steps, batch))
            output, state = call(module, chunk, tuple(s[:batch] for s in state))
            outputs.append(output.flatten(0, 1))
            offset += steps * batch
        finished.append(state)
        output = torch.cat(outputs)
        last = tuple(torch.cat(pieces) for pieces in zip(*reversed(finished), strict=True))
        return output if order is None else output[order], last

    def _reversal(self) -> Tensor:
        """Where each row goes when every sequence is turned around within its length; its own inverse."""
        starts = [0]
        for batch in self.batch_sizes:
            starts.append(starts[-1] + batch)
        lengths = [sum(size > row for size in self.batch_sizes) for row in range(self.batch_sizes[0])]
        return torch.tensor(
            [
                starts[lengths[row] - 1 - t] + row
                for t, batch in enumerate(self.batch_sizes)
                for row in range(batch)
            ]
        )
