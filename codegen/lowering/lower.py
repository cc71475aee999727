"""``lower``: a cell's equations as a :class:`~codegen.plan.Plan`."""

from __future__ import annotations

import dataclasses

import sympy

from codegen.errors import Unsupported
from codegen.lowering.levels import Hoisting, Level, Levels, named_again, spread_means
from codegen.lowering.names import Names, previous_name
from codegen.lowering.products import Grouped, group_products
from codegen.lowering.schedule import schedule
from codegen.plan import Phase, Plan, Product
from derive.cell import Cell
from derive.show.text import TextNotation
from derive.symbols import Input, Linear, LinearMap, MeanMap, Previous, Vector

Root = tuple[Vector, sympy.Expr]


def lower(cell: Cell) -> Plan:
    """Decide what is computed before, in and after the loop, which products are fused, and in which order.

    Raises :class:`~codegen.errors.Unsupported` for cells whose vectors have several axes.
    """
    _refuse_unsupported(cell)
    equations = {symbol: spread_means(expr) for symbol, expr in named_again(cell.equations).items()}
    names = Names(_taken(cell))
    levels = Levels(equations)
    hoisting = Hoisting(equations, levels, names)
    notation = TextNotation(equations)

    def at(level: Level) -> list[Root]:
        return [(symbol, expr) for symbol, expr in equations.items() if levels.equations[symbol] == level]

    step_roots = [(symbol, hoisting.step(symbol, expr)) for symbol, expr in at(Level.STEP)]
    moved = {level: [(s, e) for s, e in hoisting.moved.items() if levels(e) == level] for level in Level}
    before_roots = [(s, hoisting.before(e)) for s, e in (*at(Level.BEFORE), *moved[Level.BEFORE])]

    before = group_products(before_roots, notation, names)
    step = group_products(step_roots, notation, names, _addends(before, {s for s, _ in moved[Level.BEFORE]}))
    late = group_products(at(Level.LATE), notation, names)
    once = Grouped((), (*at(Level.ONCE), *moved[Level.ONCE]))
    if any(expr.has(Linear) for _, expr in once.roots):
        once = group_products(once.roots, notation, names)

    recurrence = schedule(step, names)
    handed = _handed(recurrence, cell, levels, {s for s, _ in before_roots})
    return Plan(
        cell,
        once=schedule(once, names),
        before=_blocks_together(schedule(before, names), handed),
        step=recurrence,
        after=schedule(late, names),
        handed=handed,
    )


def _refuse_unsupported(cell: Cell) -> None:
    for symbol, expr in cell.equations.items():
        for quantity in sorted(expr.atoms(Vector, Previous, Input) | {symbol}, key=lambda q: q.name):
            if len(quantity.axes) != 1:
                raise Unsupported(
                    f"{cell.name}: {quantity} has axes {quantity.axes}; "
                    "code is generated for vectors with one axis"
                )
        for node in expr.atoms(Linear):
            if isinstance(node.map, MeanMap) and len(set(node.map.axes)) != 1:
                raise Unsupported(
                    f"{cell.name}: a mean from axis {node.map.axes[1]} to another axis, {node.map.axes[0]}"
                )


def _taken(cell: Cell) -> set[str]:
    labels = {
        q.label for q in cell.symbols.values() if not isinstance(q, LinearMap) or q.name in cell.parameters
    }
    return labels | {previous_name(q) for q in cell.symbols.values() if isinstance(q, Previous)}


def _addends(before: Grouped, moved: set[Vector]) -> dict[Vector, int]:
    """The moved pieces that are just rows of a product, which the step's products can add as they lie."""
    return {s: index for index, product in enumerate(before.products) for s in product.symbols if s in moved}


def _handed(step: Phase, cell: Cell, levels: Levels, before: set[Vector]) -> tuple[tuple[Vector, ...], ...]:
    """What the step takes from before the loop: the blocks that its products add, then single vectors."""
    blocks = [product.addends for product in step.products if product.addends]
    grouped = {symbol for block in blocks for symbol in block}
    recorded = {symbol for symbol in cell.equations if levels.equations[symbol] == Level.BEFORE}
    wanted = {q for q in step.free if q in before or isinstance(q, Input)} | recorded
    return (*blocks, *((symbol,) for symbol in sorted(wanted - grouped, key=lambda q: q.name)))


def _blocks_together(before: Phase, handed: tuple[tuple[Vector, ...], ...]) -> Phase:
    """The phase with the parts of its products in the order in which they are handed over."""
    place = {symbol: index for index, symbol in enumerate(symbol for block in handed for symbol in block)}

    def ordered(product: Product) -> Product:
        parts = sorted(product.parts, key=lambda part: place.get(part.symbol, len(place)))
        return dataclasses.replace(product, parts=tuple(parts))

    return Phase(tuple(ordered(s) if isinstance(s, Product) else s for s in before))
