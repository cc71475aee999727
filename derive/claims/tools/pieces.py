"""Where an activation is affine, found from its formula: relu is a on (0, ∞) and 0 on (-∞, 0)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import sympy
from sympy import oo

from derive.activations import Activation, a

_BRANCHING = (sympy.Abs, sympy.Max, sympy.Min)


@dataclass(frozen=True)
class Piece:
    """On the open interval (low, high) the activation is ``formula``, without branches."""

    low: sympy.Expr
    high: sympy.Expr
    formula: sympy.Expr

    @property
    def is_affine(self) -> bool:
        """Whether the second derivative vanishes."""
        return _is_affine(self.formula, _between(self.low, self.high))

    @property
    def slope(self) -> sympy.Expr:
        return sympy.simplify(sympy.diff(self.formula, a))

    @property
    def intercept(self) -> sympy.Expr:
        return sympy.simplify(self.formula.subs(a, 0))

    def contains(self, low: sympy.Expr, high: sympy.Expr) -> bool:
        """Whether the open interval (low, high) lies in this one."""
        return bool(self.low <= low and high <= self.high)


@cache
def pieces(activation: Activation) -> tuple[Piece, ...]:
    """The activation, piece by piece between the points at which its formula changes branch."""
    edges = sorted(_edges(activation))
    ends = [-oo, *edges, oo]
    formula = activation.formula
    return tuple(Piece(low, high, _resolved(formula, _between(low, high))) for low, high in pairwise(ends))


@cache
def affine_pieces(activation: Activation) -> tuple[Piece, ...]:
    """The pieces on which the activation is affine, constant ones too."""
    return tuple(piece for piece in pieces(activation) if piece.is_affine)


def is_analytic(activation: Activation) -> bool:
    """Whether it is real-analytic: its formula has no branches."""
    return not activation.kinks and not activation.formula.has(*_BRANCHING, sympy.Piecewise, sympy.sign)


def saturates(activation: Activation, value: sympy.Expr) -> bool:
    """Whether ``value`` is an end of the range, approached with slope 0: a gate can be put there."""
    end = {activation.range.inf: -oo, activation.range.sup: oo}.get(value)
    if end is None or not activation.monotone or not value.is_finite:
        return False
    if activation.derivative is not None:
        from derive.activations import y

        return bool(activation.derivative.subs(y, value) == 0)
    last = pieces(activation)[0 if end == -oo else -1]
    return bool(sympy.limit(sympy.diff(last.formula, a), a, end) == 0)


def _edges(activation: Activation) -> set[sympy.Expr]:
    """The declared kinks, and where the arguments of |·|, max and min change order."""
    found = set(activation.kinks)
    for node in activation.formula.atoms(*_BRANCHING):
        args = [*node.args, sympy.S.Zero] if isinstance(node, sympy.Abs) else node.args
        for first in args:
            for second in args:
                difference = first - second
                if difference != 0 and not difference.has(*_BRANCHING):
                    found |= {root for root in sympy.solve(difference, a) if root.is_real}
    return found


def _between(low: sympy.Expr, high: sympy.Expr) -> sympy.Expr:
    """A point inside."""
    if low.is_finite and high.is_finite:
        return (low + high) / 2
    return low + 1 if low.is_finite else high - 1 if high.is_finite else sympy.S.Zero


@cache
def _is_affine(formula: sympy.Expr, inside: sympy.Expr) -> bool:
    curvature = sympy.diff(formula, a, 2)
    nearby = curvature.subs(a, inside + sympy.Rational(1, 3))
    if nearby.is_number and abs(nearby.evalf()) > 1e-9:  # spares the simplification
        return False
    return bool(sympy.simplify(curvature) == 0)


def _resolved(expr: sympy.Expr, at: sympy.Expr) -> sympy.Expr:
    """The branches that hold at one argument."""
    if not expr.args:
        return expr
    args = [_resolved(arg, at) for arg in expr.args]
    values = [arg.subs(a, at) for arg in args]
    if isinstance(expr, sympy.Abs):
        return args[0] if values[0] >= 0 else -args[0]
    if isinstance(expr, sympy.Max | sympy.Min):
        best = sympy.Max(*values) if isinstance(expr, sympy.Max) else sympy.Min(*values)
        return args[values.index(best)]
    return expr.func(*args)
