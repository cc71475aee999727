"""The copying problem: repeat ten symbols after T blank steps.

After Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8), 1997, in the form of
Arjovsky, Shah and Bengio, "Unitary Evolution Recurrent Neural Networks", ICML 2016, section 4.1. Ten symbols,
each drawn from eight, are followed by T - 1 blanks, a signal to begin, and ten blanks: T + 20 steps, one-hot
vectors of ten categories. At each of the first T + 10 steps the target is the blank, at the last ten it is
the symbols in their order.
"""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from codegen.training.evaluation import Loss
from codegen.training.tasks.generated import Array, Problem, is_largest, one_hot

SYMBOLS, COPIED = 8, 10
BLANK, SIGNAL, CATEGORIES = 8, 9, 10
SOLVED = 0.99
"""The share of right symbols from which on training ends."""


def draw(rng: np.random.Generator, length: int, rows: int) -> tuple[Array, Array]:
    """One-hot vectors, (length + 20, rows, 10), and categories, int64, (length + 20, rows)."""
    symbols = rng.integers(0, SYMBOLS, (COPIED, rows))
    inputs = np.full((length + 2 * COPIED, rows), BLANK)
    inputs[:COPIED] = symbols
    inputs[COPIED + length - 1] = SIGNAL
    targets = np.full_like(inputs, BLANK)
    targets[-COPIED:] = symbols
    return one_hot(inputs, CATEGORIES), targets


def baseline(length: int) -> float:
    """The cross-entropy of who knows when to be silent, but guesses the symbols."""
    return COPIED * math.log(SYMBOLS) / (length + 2 * COPIED)


def distance(length: int) -> int:
    """From a symbol to its copy."""
    return length + COPIED


def is_copied(found: Tensor, expected: Tensor) -> Tensor:
    """Which of the symbols are right; the blanks are not judged."""
    symbol = expected != BLANK
    return is_largest(found[symbol], expected[symbol])


def is_solved(valid: Loss) -> bool:
    """Whether the share of right symbols has reached `SOLVED`."""
    return valid.correct is not None and valid.correct >= SOLVED


PROBLEM = Problem(
    name="copying",
    summary="ten symbols, repeated after `length` blank steps (Arjovsky, Shah and Bengio, 2016)",
    input_size=CATEGORIES,
    classes=CATEGORIES,
    shortest=1,
    steps=lambda length: length + 2 * COPIED,
    draw=draw,
    baseline=baseline,
    distance=distance,
    right=is_copied,
    solved=is_solved,
)
TASK = PROBLEM.kind()
