"""How the state is bounded: softly by normalization, or hard by squashing whatever is read from it."""

from __future__ import annotations

import sympy

from derive.activations import ACTIVATIONS, Activation
from derive.anatomy import Write, find_reads, gates, linear_part, map_reads, without_carry
from derive.cell import Cell
from derive.claims.reads import copies, reads_bounded
from derive.rewriting import fresh, on_memory
from derive.rule import Rewrite, Rule, agree, already, refuse
from derive.symbols import Activated, MeanMap, State, Vector, mean, variance


def normalize_state(cell: Cell, state: str | None = None, center: bool = False) -> Rewrite:
    """The state carries its past and is not normalized:  s = e  ⟶  a = e;  s = a / √(Var(a) + 1)."""

    def work(cell: Cell, target: Write) -> Rewrite:
        s = target.state
        if _way(cell, target).atoms(MeanMap):
            raise already(cell, f"{s} is already normalized", s)
        raw = Vector(fresh(cell, "a"), *s.axes)
        (axis,) = s.axes
        shown = raw - mean(raw, axis) if center else raw
        spread = variance(raw, axis)
        equations: dict[Vector, sympy.Expr] = {}
        for symbol, expr in cell.equations.items():
            if symbol == s:
                equations[raw] = expr
            equations[symbol] = shown / sympy.sqrt(spread + 1) if symbol == s else expr
        # the law holds where the deviations from the mean vanish, and with centring where the mean does
        flat = {spread: 0} | ({mean(raw, axis): 0} if center else {})
        return Rewrite(cell.replace(equations=equations), agree(after=flat), lambda _: [])

    return on_memory(cell, state, work)


def _way(cell: Cell, target: Write) -> sympy.Expr:
    """What multiplies the state's past on the way to its next value: a mean, where it is normalized."""
    steps = zip(target.via, target.via[1:], strict=False)
    return sympy.Mul(target.carry, *(linear_part(cell.equations[v], below)[0] for v, below in steps))


def squash_reads(cell: Cell, state: str | None = None, activation: str = "tanh") -> Rewrite:
    """More than gates reads the carried state unsquashed:  every read of s or s' but the carry  ⟶  φ of it.

    So with the output.  What is squashed already stays as it is.
    """

    def work(cell: Cell, target: Write) -> Rewrite:
        for reader, copy in copies(cell, target):
            problem = f"{copy} holds {target.state} unsquashed under another name, and {reader} reads it"
            raise refuse(cell, f"{problem}; read {target.state} itself there", reader)
        phi = Activation(activation)
        s = target.state
        equations: dict[Vector, sympy.Expr] = {}

        def squash(read: sympy.Expr, _: tuple[Vector, ...]) -> sympy.Expr:
            if not isinstance(read, Activated):
                return phi(read)
            if read.activation.is_bounded or not phi.is_bounded:
                return read
            return read.activation(phi(read.argument))

        for symbol, expr in cell.equations.items():
            present = (
                symbol in target.via
            )  # on the way from its past to itself, the state is not read but written
            if symbol == target.site:
                carry, increment = (
                    map_reads(cell, e, s.prev, squash) for e in (target.carry, target.increment)
                )
                equations[symbol] = carry * s.prev + increment
            else:
                new = map_reads(cell, expr, s.prev, squash)
                equations[symbol] = new if present else map_reads(cell, new, s, squash)
        shown = output = cell.output
        if shown == s.name:
            y = Vector(fresh(cell, "y"), *s.axes)
            equations[y], output = phi(s), y.name
        if (
            not any(equations.get(v) != e for v, e in cell.equations.items() if v not in gates(cell))
            and shown == output
        ):
            raise already(
                cell,
                f"{s} is already squashed wherever it is not a gate that reads it",
                _reader(cell, target),
            )
        after = cell.replace(equations=equations, output=output)

        def claims(done: Cell) -> list[object]:
            return [reads_bounded(done, s)] if phi.is_bounded else []

        unsquashed = {
            phi(s): s,
            phi(s.prev): s.prev,
        }  # in the old cell too: some reads may be squashed already
        return Rewrite(after, agree(before=unsquashed, after=unsquashed), claims)  # type: ignore[arg-type]

    return on_memory(cell, state, work)


def _reader(cell: Cell, target: Write) -> State | Vector:
    reads = (v for v in cell.equations if find_reads(cell, without_carry(cell, target, v), target.state.prev))
    return next(reads, target.site)


RULES = (
    Rule(
        name="normalize-state",
        law="sₜ = e  ⟶  aₜ = e;  sₜ = aₜ / √(Var(aₜ) + 1)",
        condition="the state carries its past and is not normalized yet",
        reason="A soft bound: the state is scaled down as its variance grows; adding 1 keeps the zero state "
        "in place.",
        buys="the variance of the state stays below 1; the carry is lost",
        rewrite=normalize_state,
        options={"state": (), "center": (False, True)},
        search=({}, {"center": True}),
    ),
    Rule(
        name="squash-reads",
        law="ρ(sₜ₋₁), ρ(sₜ)  ⟶  φ(sₜ₋₁), φ(sₜ)  wherever the state is read, the carry left alone",
        condition="the state carries its past, and the candidate, a shadow state or the output reads it "
        "unsquashed",
        reason="A hard bound on what is read: squashing the state itself would morph it, so it is squashed "
        "whenever it is used for anything but writing to it.",
        buys="every quantity that is read stays in the range of φ, though the state may not",
        rewrite=squash_reads,
        options={"state": (), "activation": ("tanh", *(name for name in ACTIVATIONS if name != "tanh"))},
    ),
)
