"""A step cut into matrix products and the longest runs of elementwise statements between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy

from codegen.loop import Loop, Mean, Transposed
from codegen.plan import Assignment, Product
from derive.symbols import Quantity, Vector


@dataclass(frozen=True)
class Multiply:
    """A batched product of the host: ``symbols``, side by side, from ``operands``, side by side."""

    symbols: tuple[Vector, ...]
    operands: tuple[Quantity, ...]
    product: Product

    @property
    def reads(self) -> set[Quantity]:
        return set(self.operands)


@dataclass(frozen=True)
class Sum:
    """What a step adds to the gradient of a constant, for each row."""

    constant: Quantity
    expr: sympy.Expr
    symbols: tuple[Vector, ...] = ()

    @property
    def reads(self) -> set[Quantity]:
        found: set[Quantity] = self.expr.atoms(Quantity)
        return found


Elementwise = Assignment | Mean | Sum


@dataclass(frozen=True)
class Level:
    """Products, then what can be computed once they are there."""

    products: tuple[Multiply, ...]
    run: tuple[Elementwise, ...]


def forward_levels(loop: Loop) -> list[Level]:
    """A forward step; what is added to a product is added by the run after it."""
    statements: list[Multiply | Elementwise] = []
    for statement in loop.forward:
        if isinstance(statement, Product):
            raws = tuple(Vector(f"{part.symbol.label}*", *part.symbol.axes) for part in statement.parts)
            statements.append(Multiply(raws, (statement.operand,), statement))
            for raw, part in zip(raws, statement.parts, strict=True):
                added = [*([] if part.addend is None else [part.addend]), *part.biases]
                statements.append(Assignment(part.symbol, sympy.Add(raw, *added)))
        elif isinstance(statement, Assignment | Mean):
            statements.append(statement)
    return _levels(statements)


def backward_levels(loop: Loop) -> list[Level]:
    """A reverse step, with what it adds to the constants' gradients."""
    statements: list[Multiply | Elementwise] = []
    for statement in (*loop.backward.recomputed, *loop.backward.statements):
        if isinstance(statement, Transposed):
            statements.append(Multiply((statement.symbol,), statement.gradients, statement.product))
        elif isinstance(statement, Assignment | Mean):
            statements.append(statement)
    statements += [Sum(constant, expr) for constant, expr in loop.backward.sums.items() if expr != 0]
    return _levels(statements)


def _levels(statements: Sequence[Multiply | Elementwise]) -> list[Level]:
    bound = {symbol for s in statements for symbol in s.symbols}
    pending = list(statements)
    done: set[Quantity] = set()
    levels: list[Level] = []
    while pending:
        products = [s for s in pending if isinstance(s, Multiply) and s.reads & bound <= done]
        done |= {symbol for s in products for symbol in s.symbols}
        run: list[Elementwise] = []
        for s in pending:  # in their order, each after what it reads
            if not isinstance(s, Multiply) and s.reads & bound <= done:
                run.append(s)
                done |= set(s.symbols)
        levels.append(Level(tuple(products), tuple(run)))
        pending = [s for s in pending if s not in products and s not in run]
    return levels
