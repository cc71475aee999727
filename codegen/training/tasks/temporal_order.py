"""Temporal order: say in which order two symbols came, far apart, among distractors.

Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8), 1997, experiment 6a (section
5.6). A sequence starts with E, ends with B, and between them has symbols drawn from a, b, c, d, but for two
that are drawn from X, Y, at steps t₁ and t₂. At the last step the class of the sequence is asked: XX, XY, YX
or YY. The original has 100 to 110 steps, t₁ in [10, 20] and t₂ in [50, 60]; here there are T steps, and the
places are the same shares of T.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from codegen.training.evaluation import Loss
from codegen.training.tasks.generated import Array, Problem, is_largest, one_hot
from codegen.training.tasks.readout import IGNORED

DISTRACTORS = 4  # a, b, c, d are 0 to 3
X, Y, START, END, SYMBOLS = 4, 5, 6, 7, 8
PLACES = ((10, 20), (50, 60))
"""Where the symbols stand, in hundredths of the sequence."""
SOLVED = 0.99
"""The share of right answers from which on training ends."""

Places = tuple[tuple[int, int], ...]


def draw(rng: np.random.Generator, length: int, rows: int, places: Places = PLACES) -> tuple[Array, Array]:
    """One-hot vectors, (length, rows, 8), and classes, int64, (length, rows), `IGNORED` but for the last.

    The class is the binary number of the symbols, X = 0 and Y = 1, the first the highest digit.
    """
    symbols = rng.integers(0, DISTRACTORS, (length, rows))
    symbols[0], symbols[-1] = START, END
    classes = np.zeros(rows, dtype=np.int64)
    for low, high in places:
        place = rng.integers(length * low // 100, length * high // 100 + 1, rows)
        digit = rng.integers(0, 2, rows)
        symbols[place, np.arange(rows)] = np.where(digit == 1, Y, X)
        classes = 2 * classes + digit
    targets = np.full((length, rows), IGNORED)
    targets[-1] = classes
    return one_hot(symbols, SYMBOLS), targets


def baseline(length: int, places: Places = PLACES) -> float:
    """The entropy of the classes."""
    return len(places) * math.log(2)


def distance(length: int, places: Places = PLACES) -> int:
    """From the last place of the first symbol to the end of the sequence."""
    return length - 1 - length * places[0][1] // 100


def is_solved(valid: Loss) -> bool:
    """Whether the share of right answers has reached `SOLVED`."""
    return valid.correct is not None and valid.correct >= SOLVED


def order_of(name: str, summary: str, places: Places) -> Problem:
    """The problem with one symbol at each of the places; they must lie apart, and leave both ends free."""
    return Problem(
        name=name,
        summary=f"{summary} (Hochreiter and Schmidhuber, 1997)",
        input_size=SYMBOLS,
        classes=2 ** len(places),
        shortest=10,
        steps=lambda length: length,
        draw=partial(draw, places=places),
        baseline=partial(baseline, places=places),
        distance=partial(distance, places=places),
        right=is_largest,
        solved=is_solved,
    )


PROBLEM = order_of("temporal-order", "the order of two symbols among distractors", PLACES)
TASK = PROBLEM.kind()
