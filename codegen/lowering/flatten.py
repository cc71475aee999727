"""Makes statements flat: every activation, mean and root a statement of its own, every operand a symbol."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import sympy

from codegen.loop import LoopStatement, Mean
from codegen.lowering.names import Names, describe
from codegen.plan import Assignment, Part, Product, Statement
from derive.symbols import Activated, Linear, Quantity, Vector
from derive.wellformed import axes_of


def flatten(statements: Iterable[Statement], names: Names) -> tuple[LoopStatement, ...]:
    """The same computation, in which a formula with an activation or a root is that and nothing more.

    The values of what can be named are so at hand for derivatives, which are known by their output:
    σ' = y(1 - y).
    """
    flat = _Flattening(names)
    for statement in statements:
        flat.add(statement)
    return tuple(flat.statements)


def is_root(expr: sympy.Expr) -> bool:
    """Whether an expression is a power that is better computed once: a root, a quotient."""
    return bool(expr.is_Pow and not (expr.exp.is_Integer and expr.exp > 0) and axes_of(expr.base))


class _Flattening:
    def __init__(self, names: Names) -> None:
        self.names = names
        self.statements: list[LoopStatement] = []
        self._known: dict[sympy.Expr, Vector] = {}

    def add(self, statement: Statement) -> None:
        if isinstance(statement, Product):
            operand = self._inside(statement.operand)
            if not isinstance(operand, Quantity):
                operand = self._named(operand)
            self._product(Product(operand, statement.parts))
            return
        whole = statement.expr
        if isinstance(whole, Activated) and whole.activation.torch:
            expr: sympy.Expr = Activated(whole.activation, self._inside(whole.argument))
        elif is_root(whole):
            expr = sympy.Pow(self._inside(whole.base), whole.exp)
        else:
            expr = self._inside(whole)
        self.statements.append(Assignment(statement.symbol, expr, statement.shared))
        if not isinstance(expr, Quantity):
            self._known.setdefault(expr, statement.symbol)

    def _product(self, product: Product) -> None:
        """The product alone; biases become terms of a sum of their own."""
        bare: list[Part] = []
        sums: list[Assignment] = []
        for part in product.parts:
            if part.biases:
                raw = Vector(
                    self.names.fresh(f"{part.matrix.label}_{product.operand.label}"), *part.symbol.axes
                )
                sums.append(Assignment(part.symbol, sympy.Add(raw, *part.biases)))
                part = dataclasses.replace(part, symbol=raw, biases=())
            bare.append(part)
        self.statements += [Product(product.operand, tuple(bare)), *sums]

    def _inside(self, expr: sympy.Expr) -> sympy.Expr:
        """The expression with everything that must stand alone replaced by a name."""
        if isinstance(expr, Quantity) or not axes_of(expr):
            return expr
        if isinstance(expr, Linear):
            return self._mean(self._inside(expr.vector), expr)
        if isinstance(expr, Activated):
            argument = self._inside(expr.argument)
            return self._named(Activated(expr.activation, argument)) if expr.activation.torch else argument
        if is_root(expr):
            return self._named(sympy.Pow(self._inside(expr.base), expr.exp))
        return expr.func(*(self._inside(arg) for arg in expr.args))

    def _named(self, expr: sympy.Expr) -> Vector:
        if expr not in self._known:
            self._known[expr] = Vector(self.names.fresh(describe(expr)), *axes_of(expr))
            self.statements.append(Assignment(self._known[expr], expr, shared=True))
        return self._known[expr]

    def _mean(self, vector: sympy.Expr, original: Linear) -> Vector:
        key = sympy.Tuple(vector)  # a mean of v is not v
        if key not in self._known:
            self._known[key] = Vector(self.names.fresh(describe(original)), *axes_of(vector))
            self.statements.append(Mean(self._known[key], vector))
        return self._known[key]
