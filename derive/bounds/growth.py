"""How fast a state can grow: invariant, at most linearly, or geometrically (B8 of the published results).

Every vector is majorized, in the max-norm over units, by the states' norms with constant coefficients and a
constant: |v| ≤ Σ Aₖ |sₖ| + β.  A carry of at most 1 and nothing else that grows is linear growth with slope
β; anything else is geometric.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import sympy
from sympy import oo

from derive.activations import a
from derive.bounds.invariant import StateBox, invariant_boxes
from derive.bounds.ranges import Range, Ranges, symmetric
from derive.bounds.symbols import input_symbol, norm_symbol
from derive.cell import Cell
from derive.symbols import Activated, Input, Linear, MeanMap, Previous, Quantity, State, Vector

Kind = Literal["invariant", "linear", "geometric", "unknown"]


@dataclass(frozen=True)
class Growth:
    """The class of one state.

    ``slope`` is what a step adds at most to |s| (linear growth); ``ratios`` the coefficients Aₖ by state name
    (geometric growth); both may contain norms of parameters and the bound of the input.
    """

    box: StateBox
    kind: Kind
    slope: sympy.Expr = sympy.S.Zero
    ratios: Mapping[str, sympy.Expr] | None = None

    @property
    def state(self) -> State:
        return self.box.state


@dataclass(frozen=True)
class _Majorant:
    """|v| ≤ Σ coefficients[s] |s| + constant."""

    coefficients: Mapping[str, sympy.Expr]
    constant: sympy.Expr

    def scaled(self, factor: sympy.Expr) -> _Majorant:
        return _Majorant({k: factor * c for k, c in self.coefficients.items()}, factor * self.constant)

    def plus(self, other: _Majorant) -> _Majorant:
        names = {**self.coefficients, **other.coefficients}
        zero = sympy.S.Zero
        both = {k: self.coefficients.get(k, zero) + other.coefficients.get(k, zero) for k in names}
        return _Majorant(both, self.constant + other.constant)


@lru_cache(maxsize=1024)
def growth(cell: Cell) -> tuple[Growth, ...]:
    """The class of every state, in ``cell.states`` order."""
    boxes = invariant_boxes(cell)
    magnitudes = _Magnitudes(cell, {b.state.prev: b.range for b in boxes})
    return tuple(_one(cell, box, magnitudes) for box in boxes)


class _Magnitudes:
    """The supremum of a vector's absolute value: a number where activations bound it, whatever the weights;
    else an expression in the parameters' norms and the input's bound; else infinite."""

    def __init__(self, cell: Cell, box: Mapping[Quantity, Range]) -> None:
        inputs = {q: symmetric(input_symbol(q.name)) for q in cell.symbols.values() if isinstance(q, Input)}
        self._free = Ranges(cell, box, norm=None)
        self._normed = Ranges(cell, {**box, **inputs})

    def __call__(self, expr: sympy.Expr) -> sympy.Expr:
        free = self._free(expr)
        return free.magnitude if free.is_finite else self._put_in(self._normed(expr).magnitude)

    def _put_in(self, value: sympy.Expr) -> sympy.Expr:
        """Gate bounds put in, to the last."""
        while value.free_symbols & self._normed.gate_bounds.keys():
            value = value.xreplace(self._normed.gate_bounds)
        return value


def _one(cell: Cell, box: StateBox, magnitude: _Magnitudes) -> Growth:
    if box.is_bounded:
        return Growth(box, "invariant")
    found = _majorant(cell, box.state, magnitude)
    if found is None:
        return Growth(box, "unknown")
    own = found.coefficients.get(box.state.name, sympy.S.Zero)
    if set(found.coefficients) <= {box.state.name} and own.is_number and own <= 1:
        return Growth(box, "linear", slope=found.constant)
    return Growth(box, "geometric", slope=found.constant, ratios=dict(found.coefficients))


def _majorant(cell: Cell, expr: sympy.Expr, magnitude: _Magnitudes) -> _Majorant | None:
    """None where something grows faster than its arguments (products of two states)."""
    bound = magnitude(expr)
    if not bound.has(oo):
        return _Majorant({}, bound)
    if isinstance(expr, Previous):
        return _Majorant({expr.label: sympy.S.One}, sympy.S.Zero)
    if isinstance(expr, Vector):
        return _majorant(cell, cell.equations[expr], magnitude)
    if isinstance(expr, Activated):
        return _through_activation(cell, expr, magnitude)
    if isinstance(expr, Linear):
        inner = _majorant(cell, expr.vector, magnitude)
        norm = sympy.S.One if isinstance(expr.map, MeanMap) else norm_symbol(expr.map.name)
        return None if inner is None else inner.scaled(norm)
    if expr.is_Add:
        total = _Majorant({}, sympy.S.Zero)
        for arg in expr.args:
            part = _majorant(cell, arg, magnitude)
            if part is None:
                return None
            total = total.plus(part)
        return total
    if expr.is_Mul:
        return _product(cell, expr, magnitude)
    return None


def _product(cell: Cell, expr: sympy.Expr, magnitude: _Magnitudes) -> _Majorant | None:
    """One factor may grow; the others are bounded."""
    bounds = {arg: magnitude(arg) for arg in expr.args}
    grows = [arg for arg, bound in bounds.items() if bound.has(oo)]
    inner = _majorant(cell, grows[0], magnitude) if len(grows) == 1 else None
    if inner is None:
        return None
    return inner.scaled(sympy.Mul(*(bound for arg, bound in bounds.items() if arg not in grows)))


def _through_activation(cell: Cell, expr: Activated, magnitude: _Magnitudes) -> _Majorant | None:
    """|φ(a)| ≤ |φ(0)| + L |a|."""
    phi = expr.activation
    inner = _majorant(cell, expr.argument, magnitude)
    if inner is None or not phi.lipschitz.is_finite:
        return None
    return inner.scaled(phi.lipschitz).plus(_Majorant({}, abs(phi.formula.subs(a, 0))))
