"""The range of every vector of a step, over a box of states and inputs, whatever the weights.

A range is exact: numbers, infinities, or expressions in the symbols of norms and of state bounds.  Where
the argument of an activation is bounded by such an expression A, its range is narrower than the one that it
declares, and the end is kept as one symbol (z̄ for σ(A)), so that conditions read as they do in papers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sympy
from sympy import oo

from derive.activations import Activation, a
from derive.bounds.extremes import Greatest, Least
from derive.bounds.symbols import norm_symbol
from derive.cell import Cell
from derive.symbols import (
    Activated,
    Input,
    Linear,
    MeanMap,
    Parameter,
    Previous,
    Quantity,
    State,
    Vector,
)


@dataclass(frozen=True)
class Range:
    """A closed interval; its ends are numbers, ±oo, or expressions in the symbols of norms and bounds.

    ``positive`` says that the interval lies in [0, oo) where ``low`` does not show it: [1 - z̄, z̄].
    """

    low: sympy.Expr
    high: sympy.Expr
    positive: bool = False

    @property
    def is_positive(self) -> bool:
        return self.positive or bool(self.low.is_nonnegative)

    @property
    def magnitude(self) -> sympy.Expr:
        """The supremum of the absolute value."""
        if self.low == -self.high or self.is_positive:
            return self.high
        ends = (abs(self.low), abs(self.high))
        return sympy.Max(*ends) if self.is_number else Greatest(*ends)

    @property
    def is_number(self) -> bool:
        return bool(self.low.is_number and self.high.is_number)

    @property
    def is_finite(self) -> bool:
        return not (self.low.has(oo, -oo) or self.high.has(oo, -oo))

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.high + other.high, self.is_positive and other.is_positive)

    def __mul__(self, other: Range) -> Range:
        if self.is_number and other.is_number:
            ends = [_product(x, y) for x in (self.low, self.high) for y in (other.low, other.high)]
            return Range(sympy.Min(*ends), sympy.Max(*ends))
        if self.is_positive and other.is_positive:
            return Range(_product(self.low, other.low), _product(self.high, other.high), positive=True)
        return symmetric(_product(self.magnitude, other.magnitude))


def _product(x: sympy.Expr, y: sympy.Expr) -> sympy.Expr:
    return sympy.S.Zero if x == 0 or y == 0 else x * y  # 0 · ∞ is 0: the factor is exactly 0


def symmetric(magnitude: Any) -> Range:
    """[-m, m]."""
    bound = sympy.sympify(magnitude)
    return Range(-bound, bound)


EVERYTHING = Range(-oo, oo)


@dataclass
class Ranges:
    """The ranges of one step's vectors and opaque nodes, computed when asked for.

    ``box`` holds the ranges of past states and of the input.  ``gate_bounds`` collects the symbols that were
    made for ends of activations' ranges: symbol → what it stands for.  ``norm`` says in which norm the
    symbols of matrices are meant: |(W v)_i| is at most ‖W‖ sup|v| for the ∞-norm, and √n times that for the
    2-norm; with None nothing is known of weights.  ``inductive`` names the states whose box a step does not
    leave.
    """

    cell: Cell
    box: Mapping[Quantity, Range]
    norm: Any = oo
    inductive: frozenset[str] = frozenset()
    gate_bounds: dict[sympy.Symbol, sympy.Expr] = field(default_factory=dict)
    settled: frozenset[sympy.Symbol] = frozenset()
    """Ends that were named before the box was known; they hold in it, and the box is written in them."""
    tops: dict[sympy.Symbol, sympy.Expr] = field(default_factory=dict)
    """Ends of ranges within [-1, 1] → the least value that they can have: φ(0), the centre; at most 1."""
    attained: set[sympy.Symbol] = field(default_factory=set)
    """Those of ``tops`` that can be 1: hard σ reaches its end, σ does not."""
    _known: dict[sympy.Expr, Range] = field(default_factory=dict)

    def __call__(self, expr: sympy.Expr) -> Range:
        if expr not in self._known:
            self._known[expr] = self._range(expr)
        return self._known[expr]

    def _range(self, expr: sympy.Expr) -> Range:
        if isinstance(expr, Previous | Input):
            return self.box.get(expr, EVERYTHING)
        if isinstance(expr, Parameter):
            return EVERYTHING if self.norm is None else symmetric(norm_symbol(expr.name))
        if isinstance(expr, State) and expr.name in self.inductive:
            return self.box[expr.prev]
        if isinstance(expr, Vector):
            equation = self.cell.equations[expr]
            return self._activated(equation, expr.name) if isinstance(equation, Activated) else self(equation)
        if isinstance(expr, Activated):
            return self._activated(expr, str(expr))
        if isinstance(expr, Linear):
            return self._linear(expr)
        if expr.is_Add:
            return _sum([self(arg) for arg in expr.args])
        if expr.is_Mul:
            result = Range(sympy.S.One, sympy.S.One)
            for arg in expr.args:
                result = result * self(arg)
            return result
        if expr.is_Pow:
            return self._power(expr)
        return Range(expr, expr)

    def _linear(self, expr: Linear) -> Range:
        inner = self(expr.vector)
        if isinstance(expr.map, MeanMap):
            return inner
        if inner.magnitude == 0:
            return symmetric(0)
        if self.norm is None:
            return EVERYTHING
        spread = sympy.sqrt(sympy.Symbol(expr.map.axes[1], positive=True)) if self.norm == 2 else 1
        return symmetric(_product(norm_symbol(expr.map.name) * spread, inner.magnitude))

    def _activated(self, expr: Activated, name: str) -> Range:
        phi, inner = expr.activation, self(expr.argument)
        declared = Range(phi.range.inf, phi.range.sup)
        if not inner.is_finite:
            return self._half_line(phi, inner, declared)
        if inner.is_number and _is_monotone(phi):
            return Range(_value(phi, inner.low), _value(phi, inner.high))
        reflection = getattr(phi, "reflection", None)
        if not _is_monotone(phi) or reflection is None or inner.low != -inner.high:
            return _lipschitz(phi, inner, declared)
        if not declared.is_finite and _value(phi, a) == a:
            return inner
        top = self._gate_bound(name, _value(phi, inner.high))
        if declared.low >= -1 and declared.high <= 1:
            self.tops[top] = reflection / 2
            if not phi.range.right_open:
                self.attained.add(top)
        return Range(reflection - top, top, positive=bool(declared.low.is_nonnegative))

    def _half_line(self, phi: Activation, inner: Range, declared: Range) -> Range:
        """One end of the argument may still be finite: tanh of what is not negative is not negative."""
        if not (_is_monotone(phi) and inner.is_number):
            return declared
        low = declared.low if inner.low == -oo else _value(phi, inner.low)
        return Range(low, declared.high if inner.high == oo else _value(phi, inner.high))

    def _gate_bound(self, name: str, value: sympy.Expr) -> sympy.Symbol:
        symbol = sympy.Symbol(f"{name}_bar", positive=True)
        if symbol in self.settled:
            return symbol
        known = self.gate_bounds.setdefault(symbol, value)
        if known != value:  # two nodes of one name: told apart by their values
            return next((s for s, v in self.gate_bounds.items() if v == value), self._another(symbol, value))
        return symbol

    def _another(self, symbol: sympy.Symbol, value: sympy.Expr) -> sympy.Symbol:
        other = sympy.Symbol(f"{symbol.name}{len(self.gate_bounds)}", positive=True)
        self.gate_bounds[other] = value
        return other

    def _power(self, expr: sympy.Expr) -> Range:
        inner, exponent = self(expr.base), expr.exp
        if exponent.is_Integer and exponent > 0:
            if exponent % 2 == 0:
                return Range(sympy.S.Zero, inner.magnitude**exponent)
            return (
                Range(inner.low**exponent, inner.high**exponent)
                if inner.is_number
                else symmetric(inner.magnitude**exponent)
            )
        base = _positive_part(expr.base, inner)
        if base.low.is_positive and exponent < 0:
            return Range(sympy.S.Zero if base.high == oo else base.high**exponent, base.low**exponent)
        if base.low.is_nonnegative and exponent > 0:
            return Range(base.low**exponent, base.high**exponent)
        return EVERYTHING


def _positive_part(base: sympy.Expr, inner: Range) -> Range:
    """A mean of squares plus a constant is at least the constant, whatever is squared."""
    terms = sympy.Add.make_args(base)
    constant = sympy.Add(*(t for t in terms if t.is_number))
    squares = [t for t in terms if not t.is_number]
    if all(isinstance(t, Linear) and isinstance(t.map, MeanMap) and _is_square(t.vector) for t in squares):
        return Range(constant, inner.high)
    return inner


def _is_square(expr: sympy.Expr) -> bool:
    return bool(expr.is_Pow and expr.exp.is_Integer and expr.exp % 2 == 0)


def _sum(parts: list[Range]) -> Range:
    result = parts[0]
    for part in parts[1:]:
        result = result + part
    return result


def _is_monotone(phi: Activation) -> bool:
    return bool(getattr(phi, "monotone", False))


def _value(phi: Activation, argument: sympy.Expr) -> sympy.Expr:
    return phi.formula.subs(a, argument)


def _lipschitz(phi: Activation, inner: Range, declared: Range) -> Range:
    """|φ(x)| ≤ |φ(0)| + L |x|, within the declared range."""
    constant = getattr(phi, "lipschitz", oo)
    if not sympy.sympify(constant).is_finite or (declared.is_finite and not inner.is_number):
        return declared
    reach = abs(_value(phi, sympy.S.Zero)) + constant * inner.magnitude
    if declared.low.is_nonnegative:
        return Range(declared.low, reach if declared.high == oo else Least(declared.high, reach))
    return symmetric(reach) if not declared.is_finite else declared
