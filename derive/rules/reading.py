"""How the state is read: selectively, by the candidate, gates and the outside; on which side of a product."""

from __future__ import annotations

import sympy

from derive.anatomy import (
    Write,
    depends_on,
    find_reads,
    gate_factors,
    gates,
    map_reads,
    mirrors_of,
    readers,
    reads_shadow,
    states,
    without_carry,
)
from derive.cell import Cell
from derive.claim import Claim
from derive.rewriting import fresh, new_gate, on_memory, schedule, with_gate
from derive.rule import Rewrite, Rule, agree, already, refuse
from derive.show.text import spell, typeset
from derive.structure import closes
from derive.symbols import Linear, Parameter, State, Vector, at_present
from derive.wellformed import axes_of


def gate_read(cell: Cell, state: str | None = None, gate: str = "o") -> Rewrite:
    """The candidate reads the state ungated:  s̃ = φ(W s' + …)  ⟶  o = σ(…);  s̃ = φ(W (o ⊙ s') + …)."""

    def work(cell: Cell, target: Write) -> Rewrite:
        past = target.state.prev
        candidates = readers(cell, target)
        reads = [
            (c, around)
            for c in candidates
            for _, around in find_reads(cell, without_carry(cell, target, c), past)
        ]
        if not any(not around for _, around in reads):
            if reads or reads_shadow(cell, target):
                raise already(
                    cell, f"the candidate of {target.state} already reads it through a gate", candidates[0]
                )
            raise refuse(cell, f"the candidate of {target.state} does not read it", candidates[0])
        o, expr = new_gate(cell, target, gate)
        changed = {c: _gated(cell, target, c, o) for c in candidates}
        after = cell.replace(equations=with_gate(cell, o, expr, changed))

        def claims(done: Cell) -> list[Claim]:
            others = [c for c in candidates if c != target.site]
            return [
                closes(done, o, 0, c, past, f"{typeset(c.name)} does not read {spell(past)}")
                for c in others
                if c in _pure(done, o, c, past)
            ]

        return Rewrite(after, agree(after={o: 1}), claims)

    return on_memory(cell, state, work)


def _gated(cell: Cell, target: Write, candidate: Vector, gate: Vector) -> sympy.Expr:
    def under_gate(read: sympy.Expr, around: tuple[Vector, ...]) -> sympy.Expr:
        return read if around else gate * read

    if candidate != target.site:
        return map_reads(cell, cell.equations[candidate], target.state.prev, under_gate)
    carry, increment = (
        map_reads(cell, e, target.state.prev, under_gate) for e in (target.carry, target.increment)
    )
    return carry * target.state.prev + increment


def _pure(cell: Cell, gate: Vector, candidate: Vector, past: sympy.Expr) -> list[Vector]:
    """The candidate, if it reads the state's past through the gate alone, and nothing else that reads it."""
    others = [v for v in cell.equations[candidate].atoms(Vector) if v != gate]
    bare = [around for _, around in find_reads(cell, cell.equations[candidate], past) if gate not in around]
    return [] if bare or any(depends_on(cell, v, past) for v in others) else [candidate]


def read_gates(cell: Cell, target: Write) -> list[tuple[Vector, sympy.Expr]]:
    """The gates through which the candidate or a shadow state reads the state, with what they gate."""
    found: list[tuple[Vector, sympy.Expr]] = []
    places = [(c, target.state.prev) for c in readers(cell, target)]
    places += [(s, target.state) for s in states(cell) if s != target.state]
    for place, source in places:
        for read, around in find_reads(cell, without_carry(cell, target, place), source):
            if len(around) == 1 and (around[0], read) not in found:
                found.append((around[0], read))
    return found


def gate_gate_reads(cell: Cell, state: str | None = None) -> Rewrite:
    """A gated read exists, and gates read ungated:  g = σ(W_g ρ(s') + …)  ⟶  g = σ(W_g (o ⊙ ρ(s')) + …).

    Where a shadow state h = o ⊙ ρ(s) exists, its past is the gated read.  The read gate cannot read through
    itself.
    """

    def work(cell: Cell, target: Write) -> Rewrite:
        past = target.state.prev
        found = read_gates(cell, target)
        if not found:
            raise refuse(cell, f"no read gate: nothing reads {target.state} through a gate", target.site)
        o, read = found[0]
        raw = read.xreplace({target.state: past})
        shadow = _shadow(cell, o * at_present(raw))
        gated = shadow.prev if shadow else o * raw
        changed: dict[Vector, sympy.Expr] = {}
        for g in gates(cell):
            if shadow is None and (g == o or depends_on(cell, o, g)):
                continue
            new = map_reads(cell, cell.equations[g], past, lambda r, a: gated if r == raw and not a else r)
            if new != cell.equations[g]:
                changed[g] = new
        if not changed:
            gated_already = next((g for g in gates(cell) if cell.equations[g].has(gated)), None)
            if gated_already is not None:
                raise already(cell, f"{gated_already} already reads {spell(raw)} through {o}", gated_already)
            raise refuse(cell, f"no gate besides {o} reads {spell(raw)}", o)
        after = cell.replace(equations=schedule(dict(cell.equations) | changed))
        hold = {shadow.prev: raw} if shadow else {o: 1}

        def claims(done: Cell) -> list[Claim]:
            hidden = [g for g in changed if g in _pure(done, o, g, past)]
            what = "{} does not read {}"
            return (
                []
                if shadow
                else [closes(done, o, 0, g, past, what.format(typeset(g.name), spell(past))) for g in hidden]
            )

        return Rewrite(after, agree(before=hold, after=hold), claims)

    return on_memory(cell, state, work)


def _shadow(cell: Cell, expr: sympy.Expr) -> State | None:
    return next((s for s in states(cell) if cell.equations[s] == expr), None)


def gate_output(cell: Cell, state: str | None = None) -> Rewrite:
    """The output is not gated, and the cell has a read gate:  y = ρ(s)  ⟶  y = o ⊙ ρ(s).

    Where a shadow state already holds o ⊙ ρ(s), it becomes the output.
    """

    def work(cell: Cell, target: Write) -> Rewrite:
        if cell.output is None:
            raise refuse(cell, "the cell has no output that a gate could close", target.state)
        found = read_gates(cell, target)
        if not found:
            raise refuse(cell, f"no read gate: nothing reads {target.state} through a gate", target.site)
        o = found[0][0]
        shown = next(s for s in cell.equations if s.name == cell.output)
        if isinstance(shown, State) and shown in mirrors_of(cell, target):
            raise already(cell, f"the output {shown} is already gated", shown)
        if isinstance(shown, State) and shown != target.state:
            raise refuse(cell, f"the output is the state {shown}, not a read of {target.state}", shown)
        expr = shown if isinstance(shown, State) else cell.equations[shown]
        if o in gate_factors(cell, expr):
            raise already(cell, f"the output is already gated by {o}", shown)
        if not isinstance(shown, State) and any(shown in e.atoms(Vector) for e in cell.equations.values()):
            raise refuse(cell, f"the output {shown} is also read inside the cell", shown)
        shadow = _shadow(cell, o * expr)
        equations = {s: e for s, e in cell.equations.items() if s != shown or isinstance(s, State)}
        y = shadow or (Vector(fresh(cell, "y"), *shown.axes) if isinstance(shown, State) else shown)
        equations |= {} if shadow else {y: o * expr}
        after = cell.replace(equations=schedule(equations), output=y)
        return Rewrite(
            after,
            agree(before={o: 1}, after={o: 1}),
            lambda done: [closes(done, o, 0, y, target.state, f"the output {y} is zero")],
        )

    return on_memory(cell, state, work)


def reset_after(cell: Cell, state: str | None = None, bias: bool = False) -> Rewrite:
    """The candidate multiplies before the product:  W (g ⊙ v)  ⟶  g ⊙ (W v), with ``bias`` g ⊙ (W v + b)."""

    def work(cell: Cell, target: Write) -> Rewrite:
        for candidate in readers(cell, target):
            for node in sorted(cell.equations[candidate].atoms(Linear), key=str):
                gate = next((g for g in gate_factors(cell, node.vector) if g in node.vector.args), None)
                if gate is None or not isinstance(node.map, Parameter) or gate.axes != (node.map.axes[0],):
                    continue
                if not axes_of(node.vector / gate):  # the gate is all that the product reads
                    continue
                inner: sympy.Expr = Linear(node.map, node.vector / gate)
                inner += Parameter(fresh(cell, f"b_{node.map.name}"), node.map.axes[0]) if bias else 0
                new = {s: e.xreplace({node: gate * inner}) for s, e in cell.equations.items()}
                after = cell.replace(equations=new)
                return Rewrite(after, agree(before={node: gate * inner}), lambda _: [])
            products = cell.equations[candidate].atoms(sympy.Mul)
            if any(gate_factors(cell, node) and _multiplies_map(node) for node in products):
                raise already(
                    cell, f"the gate already multiplies after the product in {candidate}", candidate
                )
        raise refuse(
            cell, f"the candidate of {target.state} has no matrix product of a gated read", target.site
        )

    return on_memory(cell, state, work)


def _multiplies_map(product: sympy.Expr) -> bool:
    """Whether a matrix product is a factor, or a term of one: g ⊙ (W v + b)."""
    terms = [t for factor in product.args for t in sympy.Add.make_args(factor)]
    maps = [f.map for t in terms for f in sympy.Mul.make_args(t) if isinstance(f, Linear)]
    return any(isinstance(m, Parameter) for m in maps)


RULES = (
    Rule(
        name="gate-read",
        law="s̃ₜ = φ(W sₜ₋₁ + …)  ⟶  s̃ₜ = φ(W (oₜ ⊙ sₜ₋₁) + …)",
        condition="the state is written incrementally, and its candidate reads it ungated",
        reason="Read selectively: irrelevant units, if they are read, disturb everything that is written "
        "(output weight conflict).",
        buys="at o = 0 the candidate does not depend on the state",
        rewrite=gate_read,
        options={"state": (), "gate": ()},
    ),
    Rule(
        name="gate-gate-reads",
        law="gₜ = σ(W_g ρ(sₜ₋₁) + …)  ⟶  gₜ = σ(W_g (oₜ ⊙ ρ(sₜ₋₁)) + …)",
        condition="the cell has a read gate (or a shadow state), and another gate reads the state ungated",
        reason="LSTM diff 2: what is irrelevant for the candidate is irrelevant for the gates as well.",
        buys="at o = 0 these gates do not depend on the state within the step",
        rewrite=gate_gate_reads,
        options={"state": ()},
    ),
    Rule(
        name="gate-output",
        law="yₜ = ρ(sₜ)  ⟶  yₜ = oₜ ⊙ ρ(sₜ)",
        condition="the cell has a read gate that does not gate its output yet",
        reason="LSTM diff 3: the output is the gated shadow of the state, a consequence of seeing the state "
        "as a memory cell apart from the rest.",
        buys="at o = 0 the output is zero",
        rewrite=gate_output,
        options={"state": ()},
    ),
    Rule(
        name="reset-after",
        law="W (gₜ ⊙ v)  ⟶  gₜ ⊙ (W v)",
        condition="the candidate has a matrix product of a gated vector, gate and product have the same axes",
        reason="All recurrent products then read the same vector and fuse into one: the form of cuDNN's and "
        "torch's GRU, which has a bias inside as well. It is another cell, no faster form of the same one.",
        buys="one product a step fewer to wait for; equal only where W is diagonal",
        rewrite=reset_after,
        options={"state": (), "bias": (False, True)},
        search=({}, {"bias": True}),
    ),
)
