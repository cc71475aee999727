"""Two ways to compute the same bounds: in float64, fast, and in ball arithmetic, with the rounding inside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import sympy

from derive import balls
from derive.activations import Activation

Array = np.ndarray[Any, Any]


class Arithmetic(ABC):
    """What the bounds need of numbers; arrays are NumPy's, whatever they hold."""

    name: str

    @abstractmethod
    def array(self, values: Any) -> Array:
        """Numbers as this arithmetic holds them; floats count as exact."""

    @abstractmethod
    def number(self, value: sympy.Expr) -> Any:
        """An exact number of SymPy."""

    @abstractmethod
    def least(self, *arrays: Array) -> Array:
        """The elementwise minimum."""

    @abstractmethod
    def greatest(self, *arrays: Array) -> Array:
        """The elementwise maximum."""

    @abstractmethod
    def apply(self, activation: Activation, argument: Array) -> Array:
        """φ of every element."""

    @abstractmethod
    def root(self, values: Array) -> Array:
        """The square root of every element."""

    @abstractmethod
    def product(self, matrix: Array, vector: Array) -> Array:
        """matrix @ vector: (k, l) and (l,)."""

    @abstractmethod
    def above(self, values: Array) -> Array:
        """float64 numbers that are not below the values."""

    def magnitude(self, matrix: Any) -> Array:
        """|·| of every element of what was given in float64: exact."""
        return self.array(np.abs(np.asarray(matrix, dtype=np.float64)))


class Floats(Arithmetic):
    """float64, rounded to nearest: a few units in the last place may be missing."""

    name = "float64"

    def array(self, values: Any) -> Array:
        return np.asarray(values, dtype=np.float64)

    def number(self, value: sympy.Expr) -> Any:
        return float(value)

    def least(self, *arrays: Array) -> Array:
        return np.asarray(np.minimum.reduce(arrays))

    def greatest(self, *arrays: Array) -> Array:
        return np.asarray(np.maximum.reduce(arrays))

    def apply(self, activation: Activation, argument: Array) -> Array:
        return np.asarray(activation.numpy(argument))

    def root(self, values: Array) -> Array:
        return np.asarray(np.sqrt(values))

    def product(self, matrix: Array, vector: Array) -> Array:
        return np.asarray(matrix @ vector)

    def above(self, values: Array) -> Array:
        return np.asarray(values, dtype=np.float64)


class Balls(Arithmetic):
    """Balls of python-flint: every result encloses the true one."""

    name = "ball arithmetic"

    def __init__(self) -> None:
        self._arb = balls.flint().arb
        self._arb_mat = balls.flint().arb_mat

    def array(self, values: Any) -> Array:
        return balls.balls(values)

    def number(self, value: sympy.Expr) -> Any:
        if value.is_Rational:
            return self._arb(balls.flint().fmpq(int(value.p), int(value.q)))
        if value.is_infinite:
            return self._arb(float(value))
        digits = value.evalf(40)
        return self._arb(str(digits)) + self._arb(0, 1e-30) * (1 + abs(float(digits)))

    def least(self, *arrays: Array) -> Array:
        return self._fold(lambda x, y: x.min(y), arrays)

    def greatest(self, *arrays: Array) -> Array:
        return self._fold(lambda x, y: x.max(y), arrays)

    def _fold(self, function: Callable[[Any, Any], Any], arrays: tuple[Array, ...]) -> Array:
        made: Callable[..., Any] = np.frompyfunc(function, 2, 1)
        result = arrays[0]
        for array in arrays[1:]:
            result = np.asarray(made(result, array), dtype=object)
        return result

    def apply(self, activation: Activation, argument: Array) -> Array:
        return balls.ball_activation(activation, argument)

    def root(self, values: Array) -> Array:
        made: Callable[..., Any] = np.frompyfunc(lambda ball: ball.sqrt(), 1, 1)
        return np.asarray(made(values), dtype=object)

    def product(self, matrix: Array, vector: Array) -> Array:
        if not matrix.size:
            return self.array(np.zeros(len(matrix)))
        column = self._arb_mat([[v] for v in vector.tolist()])
        return np.array((self._arb_mat(matrix.tolist()) * column).entries(), dtype=object)

    def above(self, values: Array) -> Array:
        return balls.ends(values)[1]
