"""Forward differentiation of a cell's step: the chain rule makes a word of every linear map it crosses.

Within the Hadamard ring a derivative is SymPy's own business: sums and products are elementwise.  Across an
activation it is the slope, a polynomial in the activation's own output y where the activation declares one,
and the opaque :func:`slope_of` node where it does not.  Across a linear map the derivative of ``W @ v`` is W
times the derivative of v, plus, by W itself, δ v.
"""

from __future__ import annotations

from collections.abc import Mapping

import sympy

from derive.activations import slope_of, y
from derive.calculus.words import Tail, added
from derive.symbols import Activated, Linear, Quantity, Vector

Terms = dict[Tail, sympy.Expr]
"""A sum of words by their tails: tail → the sum of the leading coefficients."""

_UNIT: Terms = {Tail(): sympy.S.One}


class Differentiator:
    """The derivatives of every vector of a cell with respect to one quantity (a past state, an input, …)."""

    def __init__(self, equations: Mapping[Vector, sympy.Expr], wrt: Quantity) -> None:
        self.equations = equations
        self.wrt = wrt
        self._known: dict[Vector, Terms] = {}

    def __call__(self, expr: sympy.Expr) -> Terms:
        if expr == self.wrt:
            return dict(_UNIT)
        if isinstance(expr, Vector):
            return self._vector(expr)
        if isinstance(expr, Linear):
            return self._linear(expr)
        if isinstance(expr, Activated):
            return self._activated(expr, output=expr)
        if not expr.args:
            return {}
        if expr.is_Add:
            return added(self(arg) for arg in expr.args)
        if expr.is_Pow:
            return _scaled(expr.exp * expr.base ** (expr.exp - 1), self(expr.base))
        others = ((sympy.Mul(*expr.args[:k], *expr.args[k + 1 :]), arg) for k, arg in enumerate(expr.args))
        return added(_scaled(rest, self(arg)) for rest, arg in others)

    def _vector(self, symbol: Vector) -> Terms:
        if symbol not in self._known:
            expr = self.equations[symbol]
            activated = isinstance(expr, Activated)
            self._known[symbol] = self._activated(expr, output=symbol) if activated else self(expr)
        return self._known[symbol]

    def _activated(self, expr: Activated, output: sympy.Expr) -> Terms:
        """The slope in terms of ``output``, the value that the activation has."""
        inner = self(expr.argument)
        if not inner:
            return {}
        declared = expr.activation.derivative
        slope = slope_of(expr) if declared is None else declared.xreplace({y: output})
        return _scaled(slope, inner)

    def _linear(self, expr: Linear) -> Terms:
        through: Terms = {
            Tail((expr.map, *tail.maps), (leading, *tail.coefficients), tail.operand): sympy.S.One
            for tail, leading in self(expr.vector).items()
        }
        if expr.map != self.wrt:
            return through
        return added([through, {Tail(operand=expr.vector): sympy.S.One}])


def _scaled(factor: sympy.Expr, terms: Terms) -> Terms:
    return {tail: factor * leading for tail, leading in terms.items()} if factor != 0 else {}
