"""Letting gates see the state that a read gate hides from them."""

from __future__ import annotations

import sympy

from derive.anatomy import Write, depends_on, find_reads, gates, mirrors_of
from derive.cell import Cell
from derive.claim import Claim
from derive.rewriting import fresh, on_memory, schedule
from derive.rule import Rewrite, Rule, agree, already, refuse
from derive.rules.reading import read_gates
from derive.show.text import spell, typeset
from derive.structure import opens
from derive.symbols import Activated, Linear, Parameter, Vector, atoms


def add_peepholes(cell: Cell, state: str | None = None, form: str = "full") -> Rewrite:
    """A gate sees the state only through a read gate:  g = σ(a)  ⟶  g = σ(a + P_g s'), diagonal p_g ⊙ s'.

    A gate that the write does not need sees the new state s instead of s'.
    """

    def work(cell: Cell, target: Write) -> Rewrite:
        hidden = read_gates(cell, target)
        if not hidden:
            raise refuse(cell, f"no read gate hides {target.state}", target.site)
        blind = [
            g for g in gates(cell) if isinstance(cell.equations[g], Activated) and not _sees(cell, target, g)
        ]
        if not blind and any(_peeps(cell, target, g) for g in gates(cell)):
            raise already(cell, f"the gates already have peepholes to {target.state}", gates(cell)[0])
        if not blind:
            raise refuse(cell, f"every gate already reads {target.state} ungated", gates(cell)[0])
        changed: dict[Vector, sympy.Expr] = {}
        new: dict[Parameter, int] = {}
        for g in blind:
            late = not depends_on(cell, target.state, g)
            seen = target.state if late else target.state.prev
            (axis,) = g.axes
            if form == "full":
                p = Parameter(fresh(cell, f"P_{g.name}"), axis, *target.state.axes)
                term: sympy.Expr = Linear(p, seen)
            else:
                p = Parameter(fresh(cell, f"p_{g.name}"), axis)
                term = p * seen
            new[p] = 0
            expr = cell.equations[g]
            changed[g] = expr.activation(expr.argument + term)
        equations = dict(cell.equations) | changed
        after = cell.replace(equations=schedule(_late_last(equations, target)))

        def claims(done: Cell) -> list[Claim]:
            o = hidden[0][0]
            found = []
            for g in blind:
                source = target.state if depends_on(done, g, target.state) else target.state.prev
                if g != o:
                    found.append(
                        opens(
                            done,
                            o,
                            g,
                            source,
                            f"{typeset(g.name)} sees {spell(source)} even at {typeset(o.name)} = 0",
                        )
                    )
            return found

        zero = dict.fromkeys(_terms(after, set(new)), 0)
        return Rewrite(after, agree(after=zero), claims)

    return on_memory(cell, state, work)


def _sees(cell: Cell, target: Write, gate: Vector) -> bool:
    expr = cell.equations[gate]
    past = [around for _, around in find_reads(cell, expr, target.state.prev)]
    now = [around for _, around in find_reads(cell, expr, target.state)]
    return any(not around for around in (*past, *now))


def _peeps(cell: Cell, target: Write, gate: Vector) -> bool:
    """Whether a gate reads the state bare beside a gated read of it."""
    expr = cell.equations[gate]
    past = target.state.prev
    bare = any(
        read in (past, target.state) for s in (past, target.state) for read, _ in find_reads(cell, expr, s)
    )
    gated = any(m.prev in atoms(expr) for m in mirrors_of(cell, target))
    return bare and (gated or any(around for _, around in find_reads(cell, expr, past)))


def _late_last(equations: dict[Vector, sympy.Expr], target: Write) -> dict[Vector, sympy.Expr]:
    """Gates that read the new state stand right behind it."""
    late = [s for s, e in equations.items() if target.state in e.atoms(Vector) and s in equations]
    early = {s: e for s, e in equations.items() if s not in late}
    order: list[Vector] = []
    for symbol in early:
        order.append(symbol)
        if symbol == target.state:
            order += late
    return {s: equations[s] for s in order}


def _terms(cell: Cell, parameters: set[Parameter]) -> list[sympy.Expr]:
    nodes = [node for expr in cell.equations.values() for node in expr.atoms(Linear, sympy.Mul)]
    return [node for node in nodes if parameters & set(node.args)]


RULES = (
    Rule(
        name="add-peepholes",
        law="gₜ = σ(a)  ⟶  gₜ = σ(a + P_g sₜ₋₁)   "
        "(sₜ for a gate that the write does not need; p_g ⊙ s if diagonal)",
        condition="a read gate hides the state from at least one gate",
        reason="Gers and Schmidhuber (2000): what the read gate hides may matter to the gates; the read gate "
        "itself can see the state just written, which repairs part of diff 1.",
        buys="every gate depends on the state even where the read gate is closed",
        rewrite=add_peepholes,
        options={"state": (), "form": ("full", "diagonal")},
        search=({}, {"form": "diagonal"}),
    ),
)
