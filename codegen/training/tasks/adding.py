"""The adding problem: remember two numbers among many, for up to the whole length of the sequence.

Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8), 1997, experiment 4 (section
5.4), in the form that has since become customary (Arjovsky, Shah and Bengio, "Unitary Evolution Recurrent
Neural Networks", ICML 2016, section 4.1). Each of the T steps reads a pair (value, marker): values are
uniform on [0, 1); the marker is 1 at one step drawn from the first ⌊T/2⌋, at one drawn from the others, and 0
elsewhere. The target, at the last step alone, is the sum of the two marked values.

The original has values on [-1, 1], the first mark among the first 10 steps and the second among the first
T/2 - 1, markers of -1 at both ends, T to 1.1 T steps, and a target scaled to [0, 1].
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from codegen.training.evaluation import Loss
from codegen.training.tasks.generated import Array, Problem

CLOSE = 0.04
"""An answer is right if its error is below this (Hochreiter and Schmidhuber, section 5.4)."""
SOLVED = 0.01
"""The mean squared error below which training ends; who sees one of the two numbers alone is left with 1/12.

The original waits for an average error as low and for 2000 sequences in a row that are right.
"""


def draw(rng: np.random.Generator, length: int, rows: int) -> tuple[Array, Array]:
    """Pairs (value, marker), (length, rows, 2), and sums, (length, rows), NaN but for the last step."""
    values = rng.random((length, rows), dtype=np.float32)
    marks = rng.integers(0, length // 2, rows), rng.integers(length // 2, length, rows)
    markers, columns = np.zeros_like(values), np.arange(rows)
    for mark in marks:
        markers[mark, columns] = 1
    targets = np.full_like(values, np.nan)
    targets[-1] = values[marks[0], columns] + values[marks[1], columns]
    return np.stack((values, markers), axis=-1), targets


def baseline(length: int) -> float:
    """The variance of the sum: what the guess 1 costs at any length."""
    return 1 / 6


def distance(length: int) -> int:
    """From the last place of the first mark to the end of the sequence."""
    return length - length // 2


def is_close(found: Tensor, expected: Tensor) -> Tensor:
    """Whether the error is below `CLOSE`."""
    return (found.squeeze(-1) - expected).abs() < CLOSE


def is_solved(valid: Loss) -> bool:
    """Whether the mean squared error is below `SOLVED`."""
    return valid.nats < SOLVED


PROBLEM = Problem(
    name="adding",
    summary="the sum of two marked numbers among many (Hochreiter and Schmidhuber, 1997)",
    input_size=2,
    classes=None,
    shortest=2,
    steps=lambda length: length,
    draw=draw,
    baseline=baseline,
    distance=distance,
    right=is_close,
    solved=is_solved,
)
TASK = PROBLEM.kind()
