"""``lower_loop``: a plan's recurrence as a :class:`~codegen.loop.Loop`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

import sympy

from codegen.loop import Block, Loop, LoopStatement, reads
from codegen.lowering.adjoint import adjoint, gradient_reads
from codegen.lowering.flatten import flatten, is_root
from codegen.lowering.names import Names, previous_name
from codegen.lowering.sums import sums_where_read
from codegen.plan import Assignment, Phase, Plan, Product, Statement
from derive.symbols import Activated, Input, Parameter, Previous, Quantity, State, Vector

CHEAP = 2
"""Up to so many elementwise operations a value is computed again rather than written and read."""


def lower_loop(plan: Plan, *, sink: bool, inputs: bool = False) -> Loop:
    """The recurrence of a plan, flat, with its adjoint and with what the forward pass keeps for it.

    With ``sink`` the loop also takes over the elementwise formulas before and after it, for kernels that
    work in registers; without, they stay outside, where they are one operation for all steps.  With
    ``inputs`` besides, it takes the input itself: the input's products are made step by step, for kernels
    whose products of a batch are as fast as those of all steps, and whose caches hold one step.  Raises
    :class:`~codegen.errors.Unsupported` where an activation declares no slope.
    """
    before, early = _split_before(plan, products=inputs) if sink else (plan.before.statements, ())
    late, after = _split_after(plan) if sink else ((), plan.after.statements)
    names = Names(_taken(plan))
    inside = (*early, *plan.step, *late)
    if sink:
        outside = _read_outside(plan, before, after)
        before, inside = sums_where_read(
            before, inside, outside=outside, whole=plan.cell.equations.keys(), names=names
        )
    steps = [piece for s in inside for piece in _with_addends_in_order(s, (*before, *inside), names)]
    forward = flatten(steps, names)
    forward = _apart(forward, {*plan.states, *_exports(plan, after, forward)}, names)
    entering = _entering(plan, forward, names)
    forward = (*(Assignment(state, inside) for inside, state in entering.items()), *forward)
    blocks = _blocks(plan, before, forward, entering)
    constants = _constants(plan, forward, entering)
    exports = _exports(plan, after, forward)
    backward = adjoint(
        forward,
        states=plan.states,
        exports=exports,
        taken=[symbol for block in blocks for symbol in block.symbols],
        constants=tuple(constants),
        names=names,
        share=inputs,
    )
    kept, recomputed = _keep(forward, exports, gradient_reads(backward))
    backward = dataclasses.replace(backward, recomputed=recomputed)
    return Loop(plan, Phase(before), Phase(after), blocks, constants, forward, exports, kept, backward)


def _read_outside(plan: Plan, before: Sequence[Statement], after: Sequence[Statement]) -> set[Quantity]:
    """What is read by something outside the loop, the cell's output included."""
    found = {q for statement in (*before, *after) for q in statement.reads}
    return {*found, plan.cell.symbols[plan.cell.output]} if plan.cell.output else found


def _taken(plan: Plan) -> set[str]:
    phases = (plan.once, plan.before, plan.step, plan.after)
    symbols = {*plan.cell.symbols.values(), *(symbol for phase in phases for symbol in phase.symbols)}
    return {q.label for q in symbols} | {previous_name(s.prev) for s in plan.states}


def _split_before(plan: Plan, *, products: bool) -> tuple[tuple[Statement, ...], tuple[Statement, ...]]:
    """What stays before the loop, and what goes into it: elementwise formulas that no product before it
    needs, or with ``products`` everything (unless something there depends on parameters alone)."""
    without_input = _without_input(plan)
    needed: set[Quantity] = set()
    outside: list[Statement] = []
    inside: list[Statement] = []
    for statement in reversed(plan.before.statements):
        if products and not without_input:
            inside.append(statement)
        elif (
            isinstance(statement, Product)
            or needed & set(statement.symbols)
            or without_input & statement.reads
        ):
            outside.append(statement)
            needed |= statement.reads
        else:
            inside.append(statement)
    # what is needed on both sides stays outside, and the loop takes its value
    return tuple(reversed(outside)), tuple(reversed(inside))


def _without_input(plan: Plan) -> set[Quantity]:
    """What the phase before the loop computes of parameters alone: (n,), no block (T, B, n) to take."""
    with_input: set[Quantity] = {q for q in plan.cell.symbols.values() if isinstance(q, Input)}
    found: set[Quantity] = set()
    for statement in plan.before:
        (with_input if with_input & statement.reads else found).update(statement.symbols)
    return found


def _split_after(plan: Plan) -> tuple[tuple[Statement, ...], tuple[Statement, ...]]:
    """The statements that no product after the loop stands before, and the rest."""
    beyond: set[Quantity] = set()
    inside: list[Statement] = []
    outside: list[Statement] = []
    for statement in plan.after:
        if isinstance(statement, Product) or beyond & statement.reads:
            beyond |= set(statement.symbols)
            outside.append(statement)
        else:
            inside.append(statement)
    return tuple(inside), tuple(outside)


def _with_addends_in_order(
    statement: Statement, before: Sequence[Statement], names: Names
) -> Iterator[Statement]:
    """A product whose addends do not lie in one block as its rows do has them added afterwards."""
    addends = statement.addends if isinstance(statement, Product) else ()
    rows = [s.symbols for s in before if isinstance(s, Product) or len(addends) == 1]
    if not addends or any(r[k : k + len(addends)] == addends for r in rows for k in range(len(r))):
        yield statement
        return
    assert isinstance(statement, Product)
    raw = [Vector(names.fresh(f"{p.symbol.label}_read"), *p.symbol.axes) for p in statement.parts]
    bare = (
        dataclasses.replace(p, symbol=symbol, addend=None)
        for p, symbol in zip(statement.parts, raw, strict=True)
    )
    yield Product(statement.operand, tuple(bare))
    for part, symbol in zip(statement.parts, raw, strict=True):
        yield Assignment(part.symbol, symbol + part.addend)


def _apart(
    forward: Sequence[LoopStatement], results: Set[Quantity], names: Names
) -> tuple[LoopStatement, ...]:
    """Results that are bare parts of a product get a statement of their own: such parts lie together."""
    found: list[LoopStatement] = []
    for statement in forward:
        found.append(statement)
        if isinstance(statement, Product) and results & set(statement.symbols):
            raw = {
                s: Vector(names.fresh(f"{s.label}_read"), *s.axes) for s in statement.symbols if s in results
            }
            parts = (dataclasses.replace(p, symbol=raw.get(p.symbol, p.symbol)) for p in statement.parts)
            found[-1] = Product(statement.operand, tuple(parts))
            found += [Assignment(symbol, inner) for symbol, inner in raw.items()]
    return tuple(found)


def _entering(plan: Plan, forward: Sequence[LoopStatement], names: Names) -> dict[Quantity, State]:
    """States that no past state enters have their values from outside; the loop copies what it takes."""
    bound = {symbol for s in forward for symbol in s.symbols}
    return {Vector(names.fresh(f"{s.label}_new"), *s.axes): s for s in plan.states if s not in bound}


def _blocks(
    plan: Plan,
    before: Sequence[Statement],
    forward: Sequence[LoopStatement],
    entering: Mapping[Quantity, State],
) -> tuple[Block, ...]:
    """What the loop takes at every step: each product before it whole, and single vectors."""
    inside_of = {state: symbol for symbol, state in entering.items()}
    wanted = {entering.get(q, q) for q in reads(forward)}
    found = [
        Block(tuple(inside_of.get(s, s) for s in statement.symbols), statement.symbols)
        for statement in before
        if wanted & set(statement.symbols)
    ]
    inputs = [q for q in plan.cell.symbols.values() if isinstance(q, Input) and q in wanted]
    return (*found, *(Block((q,), (q,)) for q in inputs))


def _constants(
    plan: Plan, forward: Sequence[LoopStatement], entering: Mapping[Quantity, State]
) -> dict[Quantity, Quantity]:
    """What all steps share, by its name inside: parameters that are vectors, and what is computed once."""
    once = set(plan.once.symbols)
    found = {q: entering.get(q, q) for q in reads(forward)}
    vectors = {
        q: source
        for q, source in found.items()
        if source in once or (isinstance(q, Parameter) and len(q.axes) == 1)
    }
    return {q: vectors[q] for q in sorted(vectors, key=lambda q: q.name)}


def _exports(plan: Plan, after: Sequence[Statement], forward: Sequence[LoopStatement]) -> tuple[Vector, ...]:
    """The output, and what the phase after the loop reads of the steps."""
    bound = {symbol for s in forward for symbol in s.symbols}
    outside = Phase(tuple(after)).free
    wanted = [plan.cell.symbols[plan.cell.output]] if plan.cell.output else []
    wanted += sorted((q.state if isinstance(q, Previous) else q for q in outside), key=lambda q: q.name)
    return tuple(dict.fromkeys(q for q in wanted if q in bound))


def _keep(
    forward: Sequence[LoopStatement], exports: Sequence[Vector], read: Iterable[Quantity]
) -> tuple[tuple[Vector, ...], tuple[Assignment, ...]]:
    """Which values the forward pass stores, and which the reverse step computes again from those.

    An operand is stored, for a matrix has its gradient from all steps at once; so is an old state.
    """
    operands = {s.operand for s in forward if isinstance(s, Product)}
    needed = {*read, *operands}
    kept: list[Vector] = []
    recomputed: list[Assignment] = []
    for statement in reversed(forward):
        for symbol in statement.symbols:
            if symbol not in needed or symbol in exports:
                continue
            if isinstance(statement, Assignment) and symbol not in operands and _is_cheap(statement.expr):
                recomputed.append(statement)
                needed |= statement.reads
            else:
                kept.append(symbol)
    pasts = {q.state for q in needed if isinstance(q, Previous)} - {*exports, *kept}
    states = [symbol for s in forward for symbol in s.symbols if symbol in pasts]
    recomputed = [s for s in recomputed if s.symbol not in pasts]
    return (*states, *reversed(kept)), tuple(reversed(recomputed))


def _is_cheap(expr: sympy.Expr) -> bool:
    if isinstance(expr, Activated) or is_root(expr):
        return False
    return sum(max(1, len(node.args) - 1) for node in sympy.preorder_traversal(expr) if node.args) <= CHEAP
