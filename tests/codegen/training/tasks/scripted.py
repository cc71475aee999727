"""A generator of random numbers that says what it is told."""

from __future__ import annotations

from typing import Any

import numpy as np


class Scripted(np.random.Generator):
    """Answers each request with the next of the given arrays.

    Attributes:
        ranges: from which to below which whole numbers were asked for, one pair a request.
    """

    def __init__(self, *answers: Any) -> None:
        super().__init__(np.random.PCG64(0))
        self.answers = iter(answers)
        self.ranges: list[tuple[int, int]] = []

    def random(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        """The next answer."""
        return self._next(size, dtype)

    def integers(self, low: Any, high: Any = None, size: Any = None, *_: Any, **__: Any) -> Any:
        """The next answer; the range is noted."""
        self.ranges.append((low, high))
        return self._next(size, np.int64)

    def _next(self, size: Any, dtype: Any) -> Any:
        answer = np.array(next(self.answers), dtype=dtype)
        assert answer.shape == np.empty(size).shape
        return answer
