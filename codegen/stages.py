"""A plan as a table of stages: what is computed, where, at which cost in operations and in bytes.

A stage is what one kernel can do without the help of another: a matrix product, a mean over the units, or a
run of elementwise formulas between those.  What a run binds and only the run itself reads never leaves the
registers; everything else is read and written once.  Counts are polynomials in the axes' sizes and in
:data:`T` and :data:`B`, for a whole call: T steps of B sequences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import sympy

from codegen.loop import Loop, LoopStatement, Mean, Transposed, matrices
from codegen.plan import Assignment, Counts, Phase, Plan, Product, elementwise_counts
from codegen.stage_notation import StageNotation
from derive.cell import Cell
from derive.counts import size
from derive.symbols import Input, MeanMap, Parameter, Quantity, State, Vector

T, B = sympy.symbols("T B", positive=True, integer=True)
ONCE, TOGETHER, STEP = "once", "together", "step"
"""How often a stage runs: once a call, once for all steps together, or at every step."""


@dataclass(frozen=True)
class Stage:
    """``kind``: product, mean, elementwise, recomputed, gradient (of matrices) or sum (over steps and rows).

    ``formulas`` are lines of text.  ``counts`` are operations, ``read`` and ``written`` numbers (not bytes)
    of a whole call.  An ``optional`` stage runs only where its result is asked for; totals leave it out.
    """

    kind: str
    runs: str
    formulas: tuple[str, ...]
    counts: Counts
    read: sympy.Expr
    written: sympy.Expr
    optional: bool = False


@dataclass(frozen=True)
class Group:
    """Stages that follow each other; ``way_back`` tells the backward pass from the forward one."""

    title: str
    stages: tuple[Stage, ...]
    way_back: bool = False


@dataclass(frozen=True)
class Stored:
    """A value of every step that outlives it: ``why`` is "given" or "kept for the way back"."""

    name: str
    why: str
    numbers: sympy.Expr


@dataclass(frozen=True)
class Stages:
    """The whole table of a cell; ``form`` says what it shows."""

    cell: Cell
    form: str
    groups: tuple[Group, ...]
    stored: tuple[Stored, ...] = ()
    uncounted: tuple[str, ...] = ()

    def total(self, *, way_back: bool | None = None) -> Stage:
        """All stages, or those of one direction, as one."""
        stages = [
            s
            for group in self.groups
            for s in group.stages
            if not s.optional and way_back in (None, group.way_back)
        ]
        return Stage(
            "total",
            "",
            (),
            sum((s.counts for s in stages), Counts()),
            sympy.expand(sum((s.read for s in stages), sympy.S.Zero)),
            sympy.expand(sum((s.written for s in stages), sympy.S.Zero)),
        )


def plan_stages(plan: Plan) -> Stages:
    """The four phases of a plan, whose way back is left to autograd."""
    sizes = _Sizes(plan)
    phases: dict[str, tuple[Phase | Sequence[LoopStatement], str]] = {
        "once a call": (plan.once, ONCE),
        "before the loop: all steps at once": (plan.before, TOGETHER),
        "each step": (plan.step, STEP),
        "after the loop: all steps at once": (plan.after, TOGETHER),
    }
    given = {*plan.cell.equations, *plan.recorded}
    groups = _groups(sizes, phases, {symbol: symbol for symbol in given})
    return Stages(plan.cell, "phases", groups, uncounted=("the way back, which autograd records",))


def loop_stages(loop: Loop) -> Stages:
    """A loop with its derived adjoint, and what lies around it."""
    sizes = _Sizes(loop.plan, loop.means, loop.constants)
    phases: dict[str, tuple[Phase | Sequence[LoopStatement], str]] = {
        "once a call": (loop.plan.once, ONCE),
        "before the loop: all steps at once": (loop.before, TOGETHER),
        "each step": (loop.forward, STEP),
        "after the loop: all steps at once": (loop.after, TOGETHER),
    }
    wanted = {*loop.stored, *loop.states, *loop.constants.values()}
    wanted |= {q for block in loop.blocks for q in block.sources}
    if loop.cell.output is not None:
        wanted.add(loop.cell.symbols[loop.cell.output])
    forward = _groups(sizes, phases, dict.fromkeys(wanted))
    names = [
        Stored(sizes.notation(q), "given" if q in loop.exports else "kept for the way back", sizes.of(q))
        for q in loop.stored
    ]
    outer = [s for phase in (loop.before, loop.after) for s in phase if isinstance(s, Assignment)]
    uncounted = ("what autograd does on the way back through formulas outside the loop",) if outer else ()
    return Stages(loop.cell, "loop", (*forward, *_way_back(loop, sizes)), tuple(names), uncounted)


class _Sizes:
    """How many numbers a quantity is in a whole call, at every step or once."""

    def __init__(
        self, plan: Plan, means: Iterable[Quantity] = (), constants: Iterable[Quantity] = ()
    ) -> None:
        self.plan = plan
        self.means = frozenset(means)
        self.notation = StageNotation(plan.cell.equations)
        shared: set[Quantity] = {*plan.once.symbols, *constants}
        for statement in plan.before:
            if not any(self._varies(q, shared) for q in statement.reads):
                shared.update(statement.symbols)
        self.shared = frozenset(shared)

    def _varies(self, q: Quantity, shared: Iterable[Quantity]) -> bool:
        return not isinstance(q, Parameter | MeanMap) and q not in shared

    def varies(self, q: Quantity) -> bool:
        """Whether a quantity has a value for every step and sequence."""
        return self._varies(q, self.shared)

    def of(self, q: Quantity, runs: str = STEP) -> sympy.Expr:
        """Parameters and what they alone give are read again at every step that reads them."""
        if isinstance(q, MeanMap):
            return sympy.S.Zero
        if self.varies(q):
            return T * B * (1 if q in self.means else size(q.axes))
        return size(q.axes) * (T if runs == STEP else 1)

    def sum(self, quantities: Iterable[Quantity], runs: str) -> sympy.Expr:
        return sympy.expand(sum((self.of(q, runs) for q in set(quantities)), sympy.S.Zero))


def _groups(
    sizes: _Sizes,
    phases: Mapping[str, tuple[Phase | Sequence[LoopStatement], str]],
    wanted: Mapping[Quantity, object],
) -> tuple[Group, ...]:
    """The stages of phases one after the other; ``wanted`` are the values that outlive them."""
    runs_of = [(title, runs, list(_cut(statements))) for title, (statements, runs) in phases.items()]
    everything = [run for _, _, cut in runs_of for run in cut]
    groups = []
    for title, runs, cut in runs_of:
        stages = []
        for run in cut:
            others = {q for other in everything if other is not run for q in _reads(other)}
            left = {s for s in _bound(run) if s in wanted or s in others or _as_past(s) in others}
            stages.append(_stage(sizes, run, runs, left))
        if stages:
            groups.append(Group(title, tuple(stages)))
    return tuple(groups)


def _cut(statements: Iterable[LoopStatement]) -> Iterator[list[LoopStatement]]:
    """Products and means each alone, and the runs of elementwise formulas between them."""
    for elementwise, run in groupby(statements, lambda s: isinstance(s, Assignment)):
        found = list(run)
        yield from [found] if elementwise else ([statement] for statement in found)


def _bound(run: Sequence[LoopStatement]) -> list[Vector]:
    return [symbol for statement in run for symbol in statement.symbols]


def _reads(run: Sequence[LoopStatement]) -> set[Quantity]:
    """What a run reads and does not bind, matrices included."""
    found: set[Quantity] = {q for statement in run for q in statement.reads}
    found |= {m for s in run if isinstance(s, Transposed) for m in matrices(s.product)}
    return found - set(_bound(run))


def _as_past(symbol: Vector) -> Quantity | None:
    return symbol.prev if isinstance(symbol, State) else None


def _stage(sizes: _Sizes, run: Sequence[LoopStatement], runs: str, left: Iterable[Quantity]) -> Stage:
    kind = {Mean: "mean", Assignment: "elementwise"}.get(type(run[0]), "product")
    often = [T * B if any(sizes.varies(q) for q in s.symbols) else sympy.S.One for s in run]
    counts = sum((_times(_counts(s), factor) for s, factor in zip(run, often, strict=True)), Counts())
    formulas = tuple(line for s in run for line in sizes.notation.statement(s))
    return Stage(kind, runs, formulas, counts, sizes.sum(_reads(run), runs), sizes.sum(left, runs))


def _counts(statement: LoopStatement) -> Counts:
    """Operations of one step of one sequence."""
    if isinstance(statement, Mean):
        counts = elementwise_counts(statement.expr)
        return counts + Counts(elementwise=size(statement.symbol.axes))
    if isinstance(statement, Transposed):
        return Counts(_elements(statement.product))
    return statement.counts


def _elements(product: Product) -> sympy.Expr:
    """The numbers in a product's matrices."""
    return sum((size(m.axes) for m in matrices(product)), sympy.S.Zero)


def _times(counts: Counts, factor: sympy.Expr) -> Counts:
    scaled = (factor * c for c in (counts.multiply_adds, counts.elementwise, counts.activations))
    return Counts(*map(sympy.expand, scaled))


def _way_back(loop: Loop, sizes: _Sizes) -> Iterator[Group]:
    yield from _around(loop.after, sizes, "back through what comes after the loop")
    yield Group("each step back", tuple(_reverse_step(loop, sizes)), way_back=True)
    inner = [_gradient(p, loop.backward.of_parts[p], sizes) for p in loop.products]
    inner += [_sum(q, expr, sizes, _expanded(loop)) for q, expr in loop.backward.sums.items() if expr != 0]
    if inner:
        yield Group("after the way back: all steps at once", tuple(inner), way_back=True)
    yield from _around(loop.before, sizes, "back through what comes before the loop")
    yield from _around(loop.plan.once, sizes, "back through what is computed once")


def _expanded(loop: Loop) -> Callable[[Iterable[Quantity]], set[Quantity]]:
    """What must be read from memory for the values named, where cheap ones are computed again in place."""
    again = {s.symbol: s for s in loop.backward.recomputed}

    def expand(quantities: Iterable[Quantity]) -> set[Quantity]:
        found: set[Quantity] = set()
        for q in quantities:
            found |= expand(again[q].reads) if isinstance(q, Vector) and q in again else {q}
        return found

    return expand


def _reverse_step(loop: Loop, sizes: _Sizes) -> Iterator[Stage]:
    back, expand = loop.backward, _expanded(loop)
    if back.recomputed:
        formulas = tuple(line for s in back.recomputed for line in sizes.notation.statement(s))
        counts = _times(sum((s.counts for s in back.recomputed), Counts()), T * B)
        yield Stage("recomputed", STEP, formulas, counts, sympy.S.Zero, sympy.S.Zero)
    cut = list(_cut(back.statements))
    results = {*back.of_previous.values(), *back.of_blocks.values()}
    results |= {q for parts in back.of_parts.values() for q in parts}
    results |= {q for expr in back.sums.values() for q in expr.atoms(Quantity)}
    for run in cut:
        others = {q for other in cut if other is not run for q in _reads(other)}
        stage = _stage(sizes, run, STEP, {q for q in _bound(run) if q in results or q in others})
        read = sizes.sum(expand(_reads(run)), STEP)
        yield Stage(stage.kind, STEP, stage.formulas, stage.counts, read, stage.written)


def _around(phase: Phase, sizes: _Sizes, title: str) -> Iterator[Group]:
    """The products of a phase outside the loop on the way back; autograd runs them."""
    stages = [s for product in reversed(phase.products) for s in _outer_product(product, sizes)]
    if stages:
        yield Group(title, tuple(stages), way_back=True)


def _outer_product(product: Product, sizes: _Sizes) -> Iterator[Stage]:
    deltas = tuple(Vector(f"d_{s.label}", *s.axes) for s in product.symbols)
    varies = any(sizes.varies(q) for q in product.operand.atoms(Quantity))
    factor, runs = (T * B, TOGETHER) if varies else (sympy.S.One, ONCE)
    arriving = factor * sum((size(d.axes) for d in deltas), sympy.S.Zero)
    yield _gradient(product, deltas, sizes, factor, runs)
    pairs = [(b, d) for part, d in zip(product.parts, deltas, strict=True) for b in part.biases]
    if pairs and varies:
        adds = sympy.expand(factor * sum((size(d.axes) for _, d in pairs), sympy.S.Zero))
        formulas = tuple(sizes.notation.total(b, d) for b, d in pairs)
        written = sizes.sum([b for b, _ in pairs], ONCE)
        yield Stage("sum", runs, formulas, Counts(elementwise=adds), adds, written)
    atoms = {q for q in product.operand.atoms(Quantity) if not isinstance(q, Parameter | MeanMap)}
    if atoms:
        axes = next(m.axes[1:] for m in matrices(product))
        yield Stage(
            "product",
            runs,
            (sizes.notation.transposed(product, deltas),),
            Counts(sympy.expand(factor * _elements(product))),
            sympy.expand(arriving + _elements(product)),
            factor * size(axes),
            optional=all(isinstance(q, Input) for q in atoms),
        )


def _gradient(
    product: Product,
    deltas: Sequence[Vector],
    sizes: _Sizes,
    factor: sympy.Expr = T * B,
    runs: str = TOGETHER,
) -> Stage:
    """Of a product's matrices: one product over all steps and rows."""
    operand = sizes.sum(product.operand.atoms(Quantity), runs)
    arriving = factor * sum((size(d.axes) for d in deltas), sympy.S.Zero)
    formula = sizes.notation.gradient(product, deltas)
    elements = _elements(product)
    counts = Counts(sympy.expand(factor * elements))
    return Stage("gradient", runs, (formula,), counts, sympy.expand(arriving + operand), elements)


def _sum(
    constant: Quantity,
    expr: sympy.Expr,
    sizes: _Sizes,
    expand: Callable[[Iterable[Quantity]], set[Quantity]],
) -> Stage:
    """A constant's gradient: what its formula is, and an addition for each value."""
    counts = elementwise_counts(expr) + Counts(elementwise=size(constant.axes))
    read = sizes.sum(expand(expr.atoms(Quantity)), TOGETHER)
    formula = sizes.notation.total(constant, expr)
    return Stage("sum", TOGETHER, (formula,), _times(counts, T * B), read, size(constant.axes))
