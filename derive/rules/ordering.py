"""In which order the state is read and written."""

from __future__ import annotations

import sympy

from derive.anatomy import Write, find_reads, readers, reads_shadow, without_carry
from derive.cell import Cell
from derive.rewriting import drop_unread, fresh, on_memory, schedule
from derive.rule import Rewrite, Rule, agree, already, refuse
from derive.structure import mirrors
from derive.symbols import State, Vector, at_present


def read_after_write(cell: Cell, state: str | None = None, shadow: str = "h") -> Rewrite:
    """The candidate reads g ⊙ ρ(s') with a gate of this step  ⟶  h = g ⊙ ρ(s), and its readers read h'."""

    def work(cell: Cell, target: Write) -> Rewrite:
        past = target.state.prev
        for candidate in readers(cell, target):
            for read, around in find_reads(cell, without_carry(cell, target, candidate), past):
                if len(around) == 1 and around[0] * read in _products(without_carry(cell, target, candidate)):
                    return _pass_shadow(cell, target, around[0] * read, shadow)
        if reads_shadow(cell, target):
            raise already(cell, f"the candidate of {target.state} already reads a shadow of it", target.site)
        raise refuse(
            cell, f"the candidate of {target.state} does not read it through a gate of this step", target.site
        )

    return on_memory(cell, state, work)


def _products(expr: sympy.Expr) -> set[sympy.Expr]:
    return {node for node in sympy.preorder_traversal(expr) if isinstance(node, sympy.Mul)}


def _pass_shadow(cell: Cell, target: Write, read: sympy.Expr, name: str) -> Rewrite:
    h = State(fresh(cell, name), *target.state.axes)
    equations: dict[Vector, sympy.Expr] = {}
    for symbol, expr in cell.equations.items():
        equations[symbol] = expr.xreplace({read: h.prev})
        if symbol == target.site:  # the carry may look like the read: f ⊙ s'
            carry, increment = (e.xreplace({read: h.prev}) for e in (target.carry, target.increment))
            equations[symbol] = carry * target.state.prev + increment
        if symbol == target.state:
            equations[h] = at_present(read)
    # an output that was this very read is now the shadow itself
    same = [s for s, e in equations.items() if s.name == cell.output and s != h and e == equations[h]]
    output = h if same else cell.output
    equations = drop_unread(schedule(equations), h.name if same else cell.output)
    after = cell.replace(equations=equations, output=output, states=(h.name, *cell.states))
    return Rewrite(after, agree(after={h.prev: read}), lambda done: [mirrors(done, h, read)])


RULES = (
    Rule(
        name="read-after-write",
        law="s̃ₜ = φ(W (oₜ ⊙ ρ(sₜ₋₁)) + …)  ⟶  hₜ = oₜ ⊙ ρ(sₜ);  s̃ₜ = φ(W hₜ₋₁ + …)",
        condition="the candidate reads the state through a gate of this step",
        reason="LSTM diff 1, the hiccup: with the read after the write, the gated read must be passed on as "
        "a shadow state, and what the candidate reads was gated one step too early.",
        buys="all recurrent products read values of the last step; the read gate is out of date by one step",
        rewrite=read_after_write,
        options={"state": (), "shadow": ()},
    ),
)
