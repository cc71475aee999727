"""The range of every unit of every vector of a step, for given weights: interval arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy

from derive.activations import Activation
from derive.bounds.arithmetic import Arithmetic, Array, Floats
from derive.cell import Cell
from derive.symbols import Activated, Input, Linear, MeanMap, Parameter, Previous, Quantity, State, Vector

TOLERANCE = 1e-4
"""How far above a supremum a bound may lie, relative to the larger of it and 1."""


@dataclass(frozen=True)
class Interval:
    """[low, high] for every unit; the ends may be infinite."""

    low: Array
    high: Array


@dataclass
class Intervals:
    """The ranges of one step's vectors and opaque nodes, unit by unit.

    ``box`` gives those of past states and of the input; what it lacks may be anything.  ``inductive`` names
    the states that a step does not lead out of their box.
    """

    cell: Cell
    numbers: Arithmetic
    params: Mapping[str, Any]
    box: Mapping[Quantity, Interval]
    sizes: Mapping[str, int]
    inductive: frozenset[str] = frozenset()
    tolerance: float = TOLERANCE

    def __post_init__(self) -> None:
        self._known: dict[sympy.Expr, Interval] = {}

    def __call__(self, expr: sympy.Expr) -> Interval:
        if expr not in self._known:
            found = self._interval(expr)
            self._known[expr] = Interval(_or(found.low, -np.inf), _or(found.high, np.inf))
        return self._known[expr]

    def in_floats(self) -> Intervals:
        """The same ranges in float64, for a search whose result is checked afterwards."""
        if isinstance(self.numbers, Floats):
            return self
        above = self.numbers.above
        box = {q: Interval(-above(-i.low), above(i.high)) for q, i in self.box.items()}
        return Intervals(self.cell, Floats(), self.params, box, self.sizes, self.inductive)

    def magnitude(self, expr: sympy.Expr) -> Array:
        """sup |expr|, unit by unit."""
        found = self(expr)
        return self.numbers.greatest(abs(found.low), abs(found.high))

    def _interval(self, expr: sympy.Expr) -> Interval:
        if isinstance(expr, Previous | Input):
            return self.box.get(expr) or self._constant(expr.axes, -np.inf, np.inf)
        if isinstance(expr, Parameter):
            value = self.numbers.array(self.params[expr.name])
            return Interval(value, value)
        if isinstance(expr, State) and expr.name in self.inductive:
            return self._within(self(self.cell.equations[expr]), self.box[expr.prev])
        if isinstance(expr, Vector):
            return self(self.cell.equations[expr])
        if isinstance(expr, Activated):
            return self._activated(expr)
        if isinstance(expr, Linear):
            return self._linear(expr)
        if expr.is_Number:
            value = self.numbers.array(self.numbers.number(expr))
            return Interval(value, value)
        if expr.is_Add:
            parts = [self(arg) for arg in expr.args]
            low, high = parts[0].low, parts[0].high
            for part in parts[1:]:
                low, high = low + part.low, high + part.high
            return Interval(low, high)
        if expr.is_Mul:
            result = self(expr.args[0])
            for arg in expr.args[1:]:
                result = self.times(result, self(arg))
            return result
        return self._power(expr)

    def _constant(self, axes: tuple[str, ...], low: float, high: float) -> Interval:
        shape = tuple(self.sizes[a] for a in axes)
        return Interval(self.numbers.array(np.full(shape, low)), self.numbers.array(np.full(shape, high)))

    def times(self, first: Interval, second: Interval) -> Interval:
        """The product; 0 · ∞ is 0, since the factor is exactly 0."""
        with np.errstate(invalid="ignore"):
            ends = [self._times(x, y) for x in (first.low, first.high) for y in (second.low, second.high)]
        return Interval(self.numbers.least(*ends), self.numbers.greatest(*ends))

    def _times(self, x: Array, y: Array) -> Array:
        product = np.asarray(x * y)
        zero = np.asarray((x == 0) | (y == 0), dtype=bool)
        return np.where(zero, self.numbers.array(0.0), product) if zero.any() else product

    def _linear(self, expr: Linear) -> Interval:
        inner = self(expr.vector)
        if isinstance(expr.map, MeanMap):
            shape, size = inner.low.shape, max(len(inner.low), 1)
            means = (np.broadcast_to(end.sum() / size, shape) for end in (inner.low, inner.high))
            return Interval(*means)
        matrix = np.asarray(self.params[expr.map.name], dtype=np.float64)
        up, down = self.numbers.array(np.maximum(matrix, 0)), self.numbers.array(np.minimum(matrix, 0))
        low, high = inner.low, inner.high
        bottom = self._product(up, low) + self._product(down, high)
        top = self._product(up, high) + self._product(down, low)
        return Interval(bottom, top)

    def _product(self, matrix: Array, vector: Array) -> Array:
        """matrix @ vector, where an infinite element counts only if its weight is not 0."""
        infinite = _is_infinite(vector)
        if not infinite.any():
            return self.numbers.product(matrix, vector)
        finite = self.numbers.array(np.where(infinite, 0.0, vector))
        total = self.numbers.product(matrix, finite)
        nonzero = np.asarray(matrix != 0, dtype=bool)
        signs = np.sign(np.where(infinite, vector, 0.0).astype(np.float64))
        for sign in (1.0, -1.0):
            matters = (nonzero & (signs == sign)).any(axis=1)
            direction = sign * (1.0 if (matrix >= 0).all() else -1.0)
            total = np.where(matters, self.numbers.array(direction * np.inf), total)
        return total

    def _activated(self, expr: Activated) -> Interval:
        inner, phi = self(expr.argument), expr.activation
        declared = self._declared(phi, inner)
        if not getattr(phi, "monotone", False):
            return declared
        finite = ~(_is_infinite(inner.low) | _is_infinite(inner.high))
        if not finite.all():
            return self._partly(phi, inner, declared)
        return self._within(
            Interval(self.numbers.apply(phi, inner.low), self.numbers.apply(phi, inner.high)), declared
        )

    def _partly(self, phi: Activation, inner: Interval, declared: Interval) -> Interval:
        ends = []
        for end, limit in ((inner.low, declared.low), (inner.high, declared.high)):
            infinite = _is_infinite(end)
            finite = self.numbers.array(np.where(infinite, 0.0, end))
            ends.append(np.where(infinite, limit, self.numbers.apply(phi, finite)))
        return Interval(*ends)

    def _declared(self, phi: Activation, like: Interval) -> Interval:
        low, high = (
            np.full(like.low.shape, self.numbers.number(end)) for end in (phi.range.inf, phi.range.sup)
        )
        return Interval(low, high)

    def _within(self, interval: Interval, limits: Interval) -> Interval:
        return Interval(
            self.numbers.greatest(interval.low, limits.low), self.numbers.least(interval.high, limits.high)
        )

    def _power(self, expr: sympy.Expr) -> Interval:
        base, exponent = self(expr.base), expr.exp
        if exponent.is_Integer and exponent > 0:
            result = base
            for _ in range(int(exponent) - 1):
                result = self.times(result, base)
            if exponent % 2 == 0:
                floor = self.numbers.array(np.zeros(result.low.shape))
                size = self.numbers.greatest(abs(base.low), abs(base.high))
                return Interval(floor, _whole_power(size, int(exponent)))
            return result
        if not (base.low > 0).all():
            everything = self.numbers.array(np.full(base.low.shape, np.inf))
            return Interval(-everything, everything)
        ends = [self._root(end, exponent) for end in (base.low, base.high)]
        return Interval(*(ends if exponent > 0 else reversed(ends)))

    def _root(self, end: Array, exponent: sympy.Rational) -> Array:
        root = end ** self.numbers.number(sympy.Rational(1, exponent.q))
        result = _whole_power(root, abs(int(exponent.p)))
        return result if exponent > 0 else np.asarray(1 / result)


def _whole_power(value: Array, power: int) -> Array:
    result = value
    for _ in range(power - 1):
        result = result * value
    return result


def _is_infinite(values: Array) -> Array:
    if values.dtype != object:
        return np.isinf(values)
    return np.array([not v.is_finite() for v in values.flat], dtype=bool).reshape(values.shape)


def _or(values: Array, otherwise: float) -> Array:
    """The values, and ``otherwise`` for balls that say nothing: 0 · ∞ with 0 not exactly 0."""
    if values.dtype != object or not (infinite := _is_infinite(values)).any():
        return values
    certain = np.array([bool(abs(v) == np.inf) for v in values.flat]).reshape(values.shape)  # nan is not
    return np.where(infinite & ~certain, type(values.flat[0])(otherwise), values)
