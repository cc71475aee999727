"""How the state is written: incrementally, selectively, with forgetting, by overwriting."""

from __future__ import annotations

import sympy

from derive.anatomy import Write, closing, gate_factors, is_fraction, is_shadow, states, write
from derive.cell import Cell
from derive.claims.bounded import maps_into_itself
from derive.claims.carry import carries_at
from derive.errors import RuleDoesNotApply
from derive.rewriting import drop_unread, fresh, named_state, new_gate, on_memory, with_gate
from derive.rule import Rewrite, Rule, agree, already, refuse
from derive.show.text import spell
from derive.symbols import State, Vector


def write_incrementally(cell: Cell, state: str | None = None) -> Rewrite:
    """The state does not carry its past:  s = e  ⟶  s̃ = e;  s = s' + s̃."""
    target = _overwritten(cell, state)
    expr = cell.equations[target]
    candidate = Vector(fresh(cell, f"{target.name}_tilde"), *target.axes)
    equations = {}
    for symbol, old in cell.equations.items():
        if symbol == target:
            equations[candidate] = expr
        equations[symbol] = target.prev + candidate if symbol == target else old
    after = cell.replace(equations=equations)
    return Rewrite(
        after,
        agree(after={target.prev + candidate: candidate}),
        lambda done: [carries_at(done, target, {candidate: 0})],
    )


def _overwritten(cell: Cell, state: str | None) -> State:
    done: RuleDoesNotApply | None = None
    shadow: RuleDoesNotApply | None = None
    for s in states(cell) if state is None else (named_state(cell, state),):
        found = write(cell, s)
        if found.is_incremental:
            done = done or already(cell, f"{s} is already written incrementally", found.site)
        elif is_shadow(cell, s):
            shadow = shadow or refuse(cell, f"{s} is a shadow of another state, not a memory", s)
        else:
            return s
    refusal = done or shadow
    assert refusal is not None, "a cell has a state"
    raise refusal


def gate_write(cell: Cell, state: str | None = None, gate: str = "i") -> Rewrite:
    """The increment is not gated yet:  s = c ⊙ s' + Δ  ⟶  i = σ(…);  s = c ⊙ s' + i ⊙ Δ."""

    def work(cell: Cell, target: Write) -> Rewrite:
        if target.increment == 0:
            raise refuse(cell, f"nothing is written to {target.state}", target.site)
        if _is_gated(cell, target.increment):
            raise already(cell, f"what is written to {target.state} is already gated", target.site)
        i, expr = new_gate(cell, target, gate)
        changed = {target.site: target.carry * target.state.prev + i * target.increment}
        after = cell.replace(equations=with_gate(cell, i, expr, changed))

        def claims(done: Cell) -> list[object]:
            new = write(done, target.state)
            direct = new.carry == 1 and new.site == target.state
            return [carries_at(done, target.state, {i: 0})] if direct else []

        return Rewrite(after, agree(after={i: 1}), claims)  # type: ignore[arg-type]

    return on_memory(cell, state, work)


def _is_gated(cell: Cell, increment: sympy.Expr) -> bool:
    """Whether a gate multiplies something in every term; a candidate that is a fraction gates nothing."""
    terms = [term.as_coeff_Mul()[1] for term in sympy.Add.make_args(increment)]
    return all(term.is_Mul and gate_factors(cell, term) for term in terms)


def gate_forget(cell: Cell, state: str | None = None, gate: str = "f") -> Rewrite:
    """The state is carried whole:  s = s' + Δ  ⟶  f = σ(…);  s = f ⊙ s' + Δ."""

    def work(cell: Cell, target: Write) -> Rewrite:
        if gate_factors(cell, target.scale):
            raise already(
                cell, f"{target.state} already forgets: {spell(target.scale)} scales it", target.state
            )
        if target.carry != 1:
            raise already(
                cell,
                f"the carry of {target.state} is {spell(target.carry)}, not 1: it is already selective",
                target.site,
            )
        f, expr = new_gate(cell, target, gate)
        changed = {target.site: f * target.state.prev + target.increment}
        after = cell.replace(equations=with_gate(cell, f, expr, changed))

        def claims(done: Cell) -> list[object]:
            new = write(done, target.state)
            closed = closing(done, new.increment)
            direct = closed and new.site == target.state
            return [carries_at(done, target.state, {f: 1} | closed)] if direct else []

        return Rewrite(after, agree(after={f: 1}), claims)  # type: ignore[arg-type]

    return on_memory(cell, state, work)


def couple_forget_to_write(cell: Cell, state: str | None = None) -> Rewrite:
    """Forget gate f and write gate i are two gates:  s = f ⊙ s' + i ⊙ s̃  ⟶  s = f ⊙ s' + (1 - f) ⊙ s̃."""

    def work(cell: Cell, target: Write) -> Rewrite:
        forget = target.carry
        if is_fraction(cell, 1 - forget) and (1 - forget) in gate_factors(cell, target.increment):
            raise already(
                cell, f"{1 - forget} gates both what {target.state} forgets and what is written", target.site
            )
        if not is_fraction(cell, forget):
            raise refuse(
                cell, f"the carry of {target.state} is {spell(forget)}, not a forget gate", target.site
            )
        factors = sympy.Mul.make_args(target.increment)
        writers = [v for v in factors if is_fraction(cell, v) and v != forget]
        if not writers and forget in gate_factors(cell, target.increment):
            raise already(
                cell, f"{forget} gates both what {target.state} forgets and what is written", target.site
            )
        if not writers or target.increment.as_coeff_Mul()[1] in writers:
            raise refuse(cell, f"what is written to {target.state} has no write gate of its own", target.site)
        i = writers[0]
        others = [s for s, e in cell.equations.items() if s != target.site and i in e.atoms(Vector)]
        rest = sympy.Mul(*(v for v in factors if v != i))
        if others or i in rest.atoms(Vector) or i in cell.equations[forget].atoms(Vector):
            raise refuse(
                cell, f"the write gate {i} is also read elsewhere", others[0] if others else target.site
            )
        equations = dict(cell.equations) | {target.site: forget * target.state.prev + (1 - forget) * rest}
        after = cell.replace(equations=drop_unread(equations, cell.output))

        def claims(done: Cell) -> list[object]:
            s = target.state
            if write(done, s).site != s:
                return []
            return [carries_at(done, s, {forget: 1}), maps_into_itself(done, s, -1, 1)]

        return Rewrite(after, agree(before={i: 1 - forget}), claims)  # type: ignore[arg-type]

    return on_memory(cell, state, work)


RULES = (
    Rule(
        name="write-incrementally",
        law="sₜ = e  ⟶  s̃ₜ = e;  sₜ = sₜ₋₁ + s̃ₜ",
        condition="the state does not carry its past, and is no shadow of another state",
        reason="Write it down: an incremental change leaves the rest of the state as it was, so information "
        "does not morph and the gradient through the state is constant.",
        buys="with nothing to write, the step returns the state unchanged",
        rewrite=write_incrementally,
        options={"state": ()},
    ),
    Rule(
        name="gate-write",
        law="sₜ = c ⊙ sₜ₋₁ + Δₜ  ⟶  sₜ = c ⊙ sₜ₋₁ + iₜ ⊙ Δₜ",
        condition="the state is written incrementally, and its increment is not gated yet",
        reason="Write selectively: a cell that writes to every unit at every step must learn to cancel its "
        "own writes (input weight conflict).",
        buys="at i = 0 nothing is written",
        rewrite=gate_write,
        options={"state": (), "gate": ()},
    ),
    Rule(
        name="gate-forget",
        law="sₜ = sₜ₋₁ + Δₜ  ⟶  sₜ = fₜ ⊙ sₜ₋₁ + Δₜ",
        condition="the state is carried with coefficient 1",
        reason="Forget selectively: obsolete information is a distraction, and without forgetting the state "
        "can grow without end (Gers et al., 2000).",
        buys="at f = 1 and i = 0 the step returns the state unchanged",
        rewrite=gate_forget,
        options={"state": (), "gate": ()},
    ),
    Rule(
        name="couple-forget-to-write",
        law="sₜ = fₜ ⊙ sₜ₋₁ + iₜ ⊙ s̃ₜ  ⟶  sₜ = fₜ ⊙ sₜ₋₁ + (1 - fₜ) ⊙ s̃ₜ",
        condition="forget and write gate are two gates, and nothing else reads the write gate",
        reason="Overwrite: linking writes to forgets makes the state a weighted mean of what it was and what "
        "is written, a hard bound.",
        buys="the state stays in [-1, 1] if the candidate does; at f = 1 it is returned unchanged",
        rewrite=couple_forget_to_write,
        options={"state": ()},
        lowers={"matrices": 3, "biases": 1, "diagonals": 1},  # a write gate: W, U, b, and P or p
    ),
)
