"""How large the vectors of a step get, by a walk over their equations.

Two facts are enough: a monotone φ takes its ends at the ends of its argument (one without a bound has its
Lipschitz constant), and |(W v)ᵢ| ≤ ‖W‖ sup|v| in the ∞-norm.  A gate z with |argument| ≤ A has z̄ = σ(A) and
lies in [1 - z̄, z̄]; z̄ stays a symbol, and A is its definition.  Nothing of :mod:`derive.bounds` but the
symbols takes part, so that the two check each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce

import sympy
from sympy import oo

from derive.activations import Activation, Slope, a
from derive.bounds.symbols import norm_symbol
from derive.cell import Cell
from derive.symbols import Activated, Input, Linear, MeanMap, Parameter, Previous, Quantity, State, Vector


@dataclass(frozen=True)
class Interval:
    """[low, high]; ``positive`` where it lies in [0, oo) though the ends do not show it, as in [1 - z̄, z̄]."""

    low: sympy.Expr
    high: sympy.Expr
    positive: bool = False

    @property
    def is_number(self) -> bool:
        return bool(self.low.is_number and self.high.is_number)

    @property
    def is_finite(self) -> bool:
        return not (self.low.has(oo) or self.high.has(oo))

    @property
    def is_positive(self) -> bool:
        return self.positive or bool(self.low.is_nonnegative)

    @property
    def magnitude(self) -> sympy.Expr:
        """A bound of the absolute value."""
        if self.low == -self.high or self.is_positive:
            return self.high
        return sympy.Max(abs(self.low), abs(self.high)) if self.is_number else abs(self.low) + abs(self.high)


def around(magnitude: sympy.Expr) -> Interval:
    """[-m, m]."""
    return Interval(-magnitude, magnitude)


@dataclass(frozen=True)
class End:
    """z̄ = φ(argument), the upper end of an activation's values; the lower one is φ(0) + φ(0) - z̄."""

    activation: Activation
    argument: sympy.Expr

    @property
    def value(self) -> sympy.Expr:
        return self.activation.formula.subs(a, self.argument)

    @property
    def lowest(self) -> sympy.Expr:
        """The least that it can be: φ(0), for an argument of 0; it is at most 1."""
        return self.activation.formula.subs(a, 0)

    @property
    def below_one(self) -> bool:
        """σ stays below 1, hard σ reaches it."""
        return bool(self.activation.range.right_open)


class NoEnds(ValueError):
    """Two nodes of one name with different ends."""


@dataclass
class Ends:
    """Intervals of a step's expressions for given boxes of past states and of inputs.

    ``named`` collects the ends in the order in which they are met; those that it has already are kept.  With
    ``stays`` the box of a state holds for its next value too.
    """

    cell: Cell
    box: Mapping[Quantity, Interval]
    stays: bool = False
    named: dict[sympy.Symbol, End] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._settled = frozenset(self.named)
        self._known: dict[sympy.Expr, Interval] = {}

    def __call__(self, expr: sympy.Expr) -> Interval:
        if expr not in self._known:
            self._known[expr] = self._visit(expr)
        return self._known[expr]

    def next(self, state: State) -> Interval:
        """Of what the step writes to a state, whether or not that stays in its box."""
        equation = self.cell.equations[state]
        return self._activated(equation, state.name) if isinstance(equation, Activated) else self(equation)

    def _visit(self, expr: sympy.Expr) -> Interval:
        if isinstance(expr, Previous | Input):
            return self.box.get(expr, around(oo))
        if isinstance(expr, Parameter):
            return around(norm_symbol(expr.name))
        if isinstance(expr, State):
            past = self.box.get(expr.prev)
            return past if self.stays and past is not None else self.next(expr)
        if isinstance(expr, Vector):
            equation = self.cell.equations[expr]
            return self._activated(equation, expr.name) if isinstance(equation, Activated) else self(equation)
        if isinstance(expr, Linear):
            inner = self(expr.vector)
            mean = isinstance(expr.map, MeanMap)
            return inner if mean else around(_times(norm_symbol(expr.map.name), inner.magnitude))
        if isinstance(expr, Activated):
            return self._activated(expr, str(expr))
        if expr.is_Add:
            total = reduce(_sum, map(self, expr.args))
            shown = total.is_positive or (1 - total.low) in self.named  # 1 - z̄ is not negative
            return Interval(total.low, total.high, positive=shown)
        if expr.is_Mul or (expr.is_Pow and expr.exp.is_Integer and expr.exp > 0):
            factors = expr.args if expr.is_Mul else (expr.base,) * int(expr.exp)
            return reduce(_product, map(self, factors))
        return Interval(expr, expr) if expr.is_number else around(oo)

    def _activated(self, expr: Activated, name: str) -> Interval:
        phi = expr.activation
        declared = Interval(phi.range.inf, phi.range.sup)
        if isinstance(phi, Slope):
            return declared
        inner = self(expr.argument)
        if not inner.is_finite or not phi.monotone:
            return declared
        if inner.is_number:
            return Interval(phi.formula.subs(a, inner.low), phi.formula.subs(a, inner.high))
        if phi.formula == a:
            return inner
        within = declared.low >= -1 and declared.high <= 1
        if not declared.is_finite and phi.lipschitz.is_finite:  # |φ(x)| ≤ |φ(0)| + L |x|
            reach = abs(phi.formula.subs(a, 0)) + phi.lipschitz * inner.magnitude
            return Interval(sympy.S.Zero, reach) if declared.low == 0 else around(reach)
        if phi.reflection is None or inner.low != -inner.high or not within:
            return declared
        symbol = sympy.Symbol(f"{name}_bar", positive=True)
        end = End(phi, inner.high)
        if symbol not in self._settled and self.named.setdefault(symbol, end) != end:
            raise NoEnds(f"{self.cell.name}: two nodes are called {name}")
        return Interval(phi.reflection - symbol, symbol, positive=bool(declared.low >= 0))


def _times(x: sympy.Expr, y: sympy.Expr) -> sympy.Expr:
    if x == 0 or y == 0:
        return sympy.S.Zero
    return oo if x.has(oo) or y.has(oo) else x * y


def _sum(x: Interval, y: Interval) -> Interval:
    return Interval(x.low + y.low, x.high + y.high, x.is_positive and y.is_positive)


def _product(x: Interval, y: Interval) -> Interval:
    for number, other in ((x, y), (y, x)):
        if number.low == number.high == -1:
            return Interval(-other.high, -other.low)
    if x.is_number and y.is_number and x.is_finite and y.is_finite:
        corners = [p * q for p in (x.low, x.high) for q in (y.low, y.high)]
        return Interval(sympy.Min(*corners), sympy.Max(*corners))
    if x.is_positive and y.is_positive:
        return Interval(_times(x.low, y.low), _times(x.high, y.high), positive=True)
    return around(_times(x.magnitude, y.magnitude))
