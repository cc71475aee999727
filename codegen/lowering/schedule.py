"""Orders a phase: common subexpressions get a name, and every statement comes after what it reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import sympy

from codegen.lowering.names import Names, describe
from codegen.lowering.products import Grouped
from codegen.plan import Assignment, Phase, Product, SpreadMean, Statement
from derive.symbols import Linear, Vector
from derive.wellformed import axes_of


def schedule(grouped: Grouped, names: Names) -> Phase:
    """The statements of a phase in the order of computation."""
    sharing = _Sharing(grouped, names)
    products = [Product(sharing(p.operand), p.parts) for p in grouped.products]
    equations = [Assignment(symbol, sharing.right_side(expr)) for symbol, expr in grouped.roots]
    return _in_order(equations, [*sharing.assignments, *products])


class _Sharing:
    """Names every subexpression that two or more others use."""

    def __init__(self, grouped: Grouped, names: Names) -> None:
        self.names = names
        self.assignments: list[Assignment] = []
        self.name_of: dict[sympy.Expr, Vector] = {}
        for symbol, expr in grouped.roots:
            if _is_work(expr):
                self.name_of.setdefault(expr, symbol)
        uses: Counter[sympy.Expr] = Counter()
        seen: set[sympy.Expr] = set()
        for expr in [p.operand for p in grouped.products] + [expr for _, expr in grouped.roots]:
            uses[expr] += 1
            _count(expr, uses, seen)
        self.shared = {expr for expr, count in uses.items() if count > 1 and _is_work(expr)} - set(
            self.name_of
        )

    def right_side(self, expr: sympy.Expr) -> sympy.Expr:
        """An equation's right side: it keeps its outermost operation."""
        return self(expr) if expr in self.shared else self._inside(expr)

    def __call__(self, expr: sympy.Expr) -> sympy.Expr:
        if expr in self.name_of:
            return self.name_of[expr]
        if expr not in self.shared:
            return self._inside(expr)
        inside = self._inside(expr)
        symbol = Vector(self.names.fresh(describe(expr)), *axes_of(expr))
        self.name_of[expr] = symbol
        self.assignments.append(Assignment(symbol, inside, shared=True))
        return symbol

    def _inside(self, expr: sympy.Expr) -> sympy.Expr:
        return expr.func(*(self(arg) for arg in expr.args)) if expr.args else expr


def _count(expr: sympy.Expr, uses: Counter[sympy.Expr], seen: set[sympy.Expr]) -> None:
    """Count for each distinct subexpression the distinct subexpressions around it."""
    if expr in seen:
        return
    seen.add(expr)
    # a mean that is written out at full width mentions its vector twice
    times = 2 if isinstance(expr, Linear) and isinstance(expr.map, SpreadMean) else 1
    for arg in expr.args:
        uses[arg] += times
        _count(arg, uses, seen)


def _is_work(expr: sympy.Basic) -> bool:
    """Whether computing the expression twice is worth a name: it is more than an atom or a signed atom."""
    if not isinstance(expr, sympy.Expr) or not expr.args or not axes_of(expr):
        return False
    coefficient, rest = expr.as_coeff_Mul()
    return coefficient == 1 or bool(rest.args)


def _in_order(equations: Sequence[Assignment], helpers: Sequence[Statement]) -> Phase:
    """Depth first on demand: what an equation needs stands right before it."""
    definition = {symbol: s for s in (*equations, *helpers) for symbol in s.symbols}
    rank = {symbol: index for index, symbol in enumerate(definition)}
    done: list[Statement] = []
    placed: set[Vector] = set()

    def place(statement: Statement) -> None:
        if statement.symbols[0] in placed:
            return
        placed.update(statement.symbols)
        for symbol in sorted((q for q in statement.reads if q in definition), key=lambda q: rank[q]):
            place(definition[symbol])
        done.append(statement)

    for statement in (*equations, *helpers):
        place(statement)
    return Phase(tuple(done))
