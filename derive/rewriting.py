"""What rules share: choosing the state to work on, fresh names, new gates, and keeping equations in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import TypeVar

import sympy

from derive.activations import sigmoid
from derive.anatomy import Write, gates, memories, past_reads, states, write
from derive.cell import Cell
from derive.errors import DeriveError, RuleDoesNotApply, nearest
from derive.rule import refuse
from derive.symbols import Activated, Input, Linear, Parameter, Previous, State, Vector, atoms

Equations = Mapping[Vector, sympy.Expr]
Result = TypeVar("Result")


def named_state(cell: Cell, name: str) -> State:
    """The state of that name, as an option of a rule names it."""
    found = next((s for s in states(cell) if s.name == name), None)
    if found is None:
        near = nearest(name, cell.states)
        raise DeriveError(f"{cell.name} has no state {name!r}{near} States: {', '.join(cell.states)}")
    return found


def on_memory(cell: Cell, state: str | None, work: Callable[[Cell, Write], Result]) -> Result:
    """Run a rule's work on the memory state of that name, or on the first memory that it accepts."""
    if state is not None:
        target = write(cell, named_state(cell, state))
        if not target.is_incremental:
            raise refuse(cell, f"{state} does not carry its past; the rule needs one that does", target.site)
        return work(cell, target)
    found = memories(cell)
    if not found:
        raise refuse(cell, "no state carries its past; the rule needs one that does", states(cell)[0])
    refusals = []
    for candidate in found:
        try:
            return work(cell, candidate)
        except RuleDoesNotApply as refusal:
            refusals.append(refusal)
    raise refusals[0]


def fresh(cell: Cell, name: str, also: Set[str] = frozenset()) -> str:
    """The name, or the name with the first free number behind it; the names in ``also`` are taken."""
    taken = {q.label for q in cell.symbols.values()} | also
    return next(n for n in (name, *(f"{name}{k}" for k in range(2, 1000))) if n not in taken)


def fresh_gate(cell: Cell, name: str) -> str:
    """A name for a gate such that its parameters' names are free as well."""
    taken = {q.label for q in cell.symbols.values()}
    free = (n for n in (name, *(f"{name}{k}" for k in range(2, 1000))))
    return next(n for n in free if not {n, f"W_{n}", f"U_{n}", f"b_{n}"} & taken)


def new_gate(cell: Cell, target: Write, name: str) -> tuple[Vector, sympy.Expr]:
    """A gate of the state's size that reads what the cell's other gates read, with parameters of its own."""
    gate = Vector(fresh_gate(cell, name), *target.state.axes)
    for other in gates(cell):
        expr = cell.equations[other]
        if other.axes == gate.axes and not expr.atoms(Vector):
            return gate, expr.xreplace(_fresh_parameters(cell, expr, other.name, gate.name))
    (axis,) = gate.axes
    total = Linear(Parameter(f"W_{gate.name}", axis, axis), common_read(cell, target)) + Parameter(
        f"b_{gate.name}", axis
    )
    for name_ in cell.inputs:
        x = Input(name_, *cell.axes(name_))
        total += Linear(Parameter(f"U_{gate.name}", axis, *x.axes), x)
    return gate, sigmoid(total)


def _fresh_parameters(cell: Cell, expr: sympy.Expr, old: str, new: str) -> dict[Parameter, Parameter]:
    found: dict[Parameter, Parameter] = {}
    for p in sorted(expr.atoms(Parameter), key=lambda p: p.name):
        name = f"{p.name.removesuffix(f'_{old}')}_{new}"
        taken = {q.name for q in found.values()}
        found[p] = Parameter(fresh(cell, name, taken), *p.axes)
    return found


def common_read(cell: Cell, target: Write) -> sympy.Expr:
    """The form in which the cell reads the state's past: squashed if every read is so alike, else bare."""
    forms = {read for _, read, _ in past_reads(cell, target)}
    only = forms.pop() if len(forms) == 1 else target.state.prev
    return only if isinstance(only, Activated) else target.state.prev


def with_gate(cell: Cell, gate: Vector, expr: sympy.Expr, changed: Equations) -> dict[Vector, sympy.Expr]:
    """The equations with some changed and a new gate written after the gates that lead."""
    equations = dict(cell.equations) | dict(changed)
    leading = 0
    known = set(gates(cell))
    for index, symbol in enumerate(equations):
        if symbol in known:
            leading = index + 1
        elif symbol not in known:
            break
    pairs = list(equations.items())
    return schedule(dict([*pairs[:leading], (gate, expr), *pairs[leading:]]))


def schedule(equations: Equations) -> dict[Vector, sympy.Expr]:
    """The equations, each written before it is read; the given order is kept where it can be."""
    waiting = dict(equations)
    done: dict[Vector, sympy.Expr] = {}
    while waiting:
        ready = next((s for s, e in waiting.items() if not (e.atoms(Vector) & waiting.keys())), None)
        if ready is None:
            raise DeriveError(
                f"the equations of {', '.join(s.name for s in waiting)} read each other within a step"
            )
        done[ready] = waiting.pop(ready)
    return done


def drop_unread(equations: Equations, output: str | None) -> dict[Vector, sympy.Expr]:
    """Leave out vectors that nothing reads any more."""
    kept = dict(equations)
    while True:
        read = set().union(*(atoms(e) for e in kept.values()))
        past = {q.state for q in read if isinstance(q, Previous)}
        unread = [
            s
            for s in kept
            if s not in read and s not in past and s.name != output and not isinstance(s, State)
        ]
        if not unread:
            return kept
        for symbol in unread:
            del kept[symbol]
