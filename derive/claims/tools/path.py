"""How a state is computed from its own past, when every gate is a constant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sympy

from derive.anatomy import gates
from derive.cell import Cell
from derive.claims.tools.pieces import is_analytic
from derive.symbols import Activated, Linear, MeanMap, Previous, Vector, atoms


@dataclass
class Path:
    """How expressions depend on the past of one state when every gate is a constant."""

    cell: Cell
    past: Previous

    def __post_init__(self) -> None:
        self._cut = frozenset(gates(self.cell))

    def depends(self, expr: sympy.Expr) -> bool:
        """Whether the past is read, other than by gates."""
        return any(
            q == self.past or (q not in self._cut and q in self.cell.equations and self._inner(q))
            for q in atoms(expr)
        )

    def _inner(self, vector: Any) -> bool:
        return self.depends(self.cell.equations[vector])

    def degree(self, expr: sympy.Expr) -> int:
        """0: not read; 1: read affinely, through maps and constant factors; 2: otherwise."""
        if not self.depends(expr):
            return 0
        if expr == self.past:
            return 1
        if isinstance(expr, Vector):
            return self.degree(self.cell.equations[expr])
        if isinstance(expr, Linear):
            return self.degree(expr.vector)
        if expr.is_Add:
            return max(self.degree(arg) for arg in expr.args)
        if expr.is_Mul:
            return min(2, sum(self.degree(arg) for arg in expr.args))
        return 2

    def nodes(self, expr: sympy.Expr) -> Iterator[sympy.Expr]:
        """Every node on the way from the past to an expression."""
        if not self.depends(expr) or expr == self.past:
            return
        yield expr
        for arg in (self.cell.equations[expr],) if isinstance(expr, Vector) else expr.args:
            yield from self.nodes(arg)

    def share(self, expr: sympy.Expr) -> sympy.Expr | None:
        """k where the expression is k times the past plus what stays bounded however large the past is."""
        if not self.depends(expr):
            return sympy.S.Zero
        if expr == self.past:
            return sympy.S.One
        if isinstance(expr, Vector):
            return self.share(self.cell.equations[expr])
        if isinstance(expr, Activated) and expr.activation.is_bounded:
            return sympy.S.Zero
        if expr.is_Add:
            shares = [self.share(arg) for arg in expr.args]
            return None if None in shares else sympy.expand(sympy.Add(*shares))
        if expr.is_Mul:
            return self._product_share(expr)
        if isinstance(expr, Linear):
            return sympy.S.Zero if self.share(expr.vector) == 0 else None
        if expr.is_Pow and not (expr.exp.is_Integer and expr.exp > 0):
            return sympy.S.Zero if expr.exp < 0 and is_positive(expr.base) else None
        return sympy.S.Zero if expr.is_Pow and self.share(expr.base) == 0 else None

    def _product_share(self, expr: sympy.Expr) -> sympy.Expr | None:
        reading = [arg for arg in expr.args if self.depends(arg)]
        shares = [self.share(arg) for arg in reading]
        if all(share == 0 for share in shares):
            return sympy.S.Zero
        if len(reading) != 1 or shares[0] is None:
            return None
        return sympy.expand(shares[0] * sympy.Mul(*(arg for arg in expr.args if arg not in reading)))

    def is_analytic(self, expr: sympy.Expr) -> bool:
        """Whether every node on the way is analytic: no kinks, and roots of what is positive."""
        for node in self.nodes(expr):
            if isinstance(node, Activated) and not is_analytic(node.activation):
                return False
            if node.is_Pow and not (node.exp.is_Integer and node.exp > 0) and not is_positive(node.base):
                return False
        return True


def is_positive(base: sympy.Expr) -> bool:
    """A positive number plus means of squares."""
    constant, rest = base.as_coeff_Add()
    terms = sympy.Add.make_args(rest)
    return bool(constant > 0) and all(is_mean_square(term) for term in terms)


def is_mean_square(expr: sympy.Expr) -> bool:
    number, rest = expr.as_coeff_Mul()
    if not (number > 0 and isinstance(rest, Linear) and isinstance(rest.map, MeanMap)):
        return False
    return bool(rest.vector.is_Pow and rest.vector.exp == 2)
