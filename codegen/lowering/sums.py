"""Moves what is added to products to where their results are read, for kernels that work in registers.

A product that takes its addend along reads it tile by tile, against the order of memory, and a bias that is
added outside is a pass of its own over all steps.  A kernel that reads a product's result has registers to
add both in.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence, Set
from types import MappingProxyType

import sympy

from codegen.lowering.names import Names
from codegen.plan import Assignment, Product, Statement
from derive.symbols import Quantity, Vector


def sums_where_read(
    before: Sequence[Statement],
    inside: Sequence[Statement],
    *,
    outside: Set[Quantity],
    whole: Set[Quantity],
    names: Names,
) -> tuple[tuple[Statement, ...], tuple[Statement, ...]]:
    """The statements before the loop and in it, with bare products.

    ``outside`` is what something outside the loop reads: such a product keeps its biases.  A
    product's part among ``whole``, the equations, gets a statement of its own: its name is that of the sum.
    """
    extra: dict[Quantity, sympy.Expr] = {}
    early: list[Statement] = []
    for statement in before:
        if isinstance(statement, Product) and not outside & set(statement.symbols):
            early.append(_bare(statement, extra))
        else:
            early.append(statement)
    onto = _taken_along(inside)
    added = {q: q + terms for q, terms in extra.items()}
    extra.clear()
    steps: list[Statement] = []
    for statement in inside:
        keep = onto if isinstance(statement, Product) and statement.operand in onto.values() else {}
        steps.append(_bare(statement, extra, keep) if isinstance(statement, Product) else statement)
    for addend, part in _pairs(inside, onto):  # what was added to the addend is added to the sum
        if addend in extra:
            extra[part] = extra.get(part, sympy.S.Zero) + extra.pop(addend)
    added |= {q: q + terms.xreplace(added) for q, terms in extra.items()}
    named = {q for q in extra if q in whole or sum(q in s.reads for s in inside) > 1}
    return tuple(early), tuple(_read_with(steps, added, named, names))


def _taken_along(inside: Sequence[Statement]) -> dict[Quantity, sympy.Expr]:
    """Parts of one product in the loop to which another can add itself, with the other's operand.

    A later product starts from the sums that the earlier one left, side by side, and nothing else reads them.
    """
    found: dict[Quantity, sympy.Expr] = {}
    own = {symbol: s for s in inside if isinstance(s, Product) for symbol in s.symbols}
    for statement in inside:
        addends = statement.addends if isinstance(statement, Product) else ()
        sources = {id(own.get(a)) for a in addends}
        alone = all(a in own and sum(a in s.reads for s in inside) == 1 for a in addends)
        if addends and alone and len(sources) == 1 and isinstance(statement, Product):
            symbols = own[addends[0]].symbols
            first = symbols.index(addends[0])
            if symbols[first : first + len(addends)] == addends:
                found.update(dict.fromkeys(addends, statement.operand))
    return found


def _pairs(
    inside: Sequence[Statement], onto: Mapping[Quantity, sympy.Expr]
) -> list[tuple[Quantity, Quantity]]:
    products = [s for s in inside if isinstance(s, Product)]
    return [
        (p.addend, p.symbol) for s in products for p in s.parts if p.addend is not None and p.addend in onto
    ]


def _bare(
    product: Product,
    extra: dict[Quantity, sympy.Expr],
    keep: Mapping[Quantity, sympy.Expr] = MappingProxyType({}),
) -> Product:
    """The product alone; what was added to its parts goes to ``extra``, but for addends in ``keep``."""
    parts = []
    for part in product.parts:
        addend = part.addend if part.addend in keep else None
        terms = [*part.biases, *([] if part.addend is None or addend is not None else [part.addend])]
        if terms:
            extra[part.symbol] = sympy.Add(*terms)
        parts.append(dataclasses.replace(part, biases=(), addend=addend))
    return Product(product.operand, tuple(parts))


def _read_with(
    statements: Sequence[Statement], added: Mapping[Quantity, sympy.Expr], named: Set[Quantity], names: Names
) -> list[Statement]:
    """The statements with sums where bare parts were read; a part in ``named`` becomes its whole sum once."""
    inline = {q: expr for q, expr in added.items() if q not in named}
    found: list[Statement] = []
    for statement in statements:
        if isinstance(statement, Assignment):
            found.append(dataclasses.replace(statement, expr=statement.expr.xreplace(inline)))
            continue
        raw = {s: Vector(names.fresh(f"{s.label}_read"), *s.axes) for s in statement.symbols if s in named}
        parts = (dataclasses.replace(p, symbol=raw.get(p.symbol, p.symbol)) for p in statement.parts)
        found.append(Product(statement.operand.xreplace(inline), tuple(parts)))
        found += [Assignment(s, added[s].xreplace({s: inner})) for s, inner in raw.items()]
    return found
