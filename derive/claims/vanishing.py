"""``vanishes``: when a finite change of the state shrinks from step to step (A1, B1, B2, B5, B7).

The condition comes from :func:`derive.bounds.bound`, in closed form: a row of the step's Jacobian stays below
1 in the ∞-norm on a box that no step leaves; for several states the matrix N of the blocks' norms has a
spectral radius below 1.  A box is convex, so by the mean value inequality along the segment between two
states a change obeys the same bound, however large it is.

The second method puts the condition against the words of the Jacobian themselves, with the ends of gates from
a walk over their equations (:mod:`derive.claims.tools.ends`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy

from derive.bounds import Bound, bound
from derive.bounds.condition import block_matrix
from derive.bounds.symbolic import SymbolicBounds
from derive.bounds.symbols import norm_symbol, typeset_bound
from derive.calculus import Jacobian, step_jacobian
from derive.cell import Cell
from derive.claim import Claim
from derive.claims.tools.apart import growing, grows
from derive.claims.tools.box import Box, spoken_ends
from derive.claims.tools.drives import Numbers
from derive.claims.tools.ends import NoEnds
from derive.claims.tools.kind import Evidence, Kind, Tries, made
from derive.claims.tools.plain import NotPlain, from_plain, to_plain
from derive.claims.tools.shrinking import NotShown, Relation, Rows, minors, nodes, parts
from derive.decide import Decision, NotPolynomial, Problem, decide, recheck
from derive.show.text import typeset

SECONDS = 2.0
"""How long one problem may take."""


@dataclass(frozen=True)
class Posed:
    """A condition on a box: relations for one state, a matrix of bounds of the blocks for several."""

    box: Box
    relations: tuple[Relation, ...] = ()
    blocks: sympy.Matrix | None = None

    def to_plain(self) -> dict[str, Any]:
        """The box and the condition; expressions as in :mod:`derive.claims.tools.plain`."""
        if self.blocks is None:
            condition = {"condition": [[to_plain(l), op, to_plain(r)] for l, op, r in self.relations]}
        else:
            condition = {"blocks": [[to_plain(entry) for entry in row] for row in self.blocks.tolist()]}
        return {**self.box.to_plain(), **condition}

    @classmethod
    def from_plain(cls, cell: Cell, data: Mapping[str, Any]) -> Posed:
        box = Box.from_plain(cell, data)
        names = {s.name: s for s in box.symbols}
        if "blocks" in data:
            rows = [[from_plain(entry, names) for entry in row] for row in data["blocks"]]
            return cls(box, blocks=sympy.Matrix(rows))
        relations = [(from_plain(l, names), str(op), from_plain(r, names)) for l, op, r in data["condition"]]
        return cls(box, tuple(relations))

    @property
    def all_relations(self) -> tuple[Relation, ...]:
        """With those that keep the states in their box."""
        return (*self.relations, *self.box.keeping)


def vanishes(cell: Cell, condition: Any = None) -> Claim | None:
    """A sufficient condition for every finite change to vanish; None where there is none.

    ``condition`` poses another one, in the symbols of :func:`derive.bounds.bound`: for one state a SymPy
    relation or a conjunction of them, for several a matrix of bounds of the blocks' norms.  One that does not
    suffice is refuted by weights that meet it and a change that grows in one step, where a search finds them.
    """
    posing = _posing(cell, condition)
    if posing is None:
        return None
    posed, sizes = posing
    tries = Tries()
    spoken, plain = _spoken(posed), posed.to_plain()
    decided: list[Decision] = []
    for shared in _ways(cell):
        try:
            problems = _problems(posed, sizes, shared)
        except (NotShown, NotPolynomial) as error:
            tries.note("the condition against the words of the Jacobian", str(error))
            continue
        decided = _decided(problems)
        tries.attempts += [attempt for d in decided for attempt in d.attempts]
        if all(d.certificate is not None for d in decided):
            certificate = {
                **plain,
                "sizes": [[str(part), to_plain(size)] for part, size in sizes.items()],
                "kept": sorted(str(v) for v in shared),
                "decided": [dict(d.certificate or {}) for d in decided],
            }
            method = "bound of the Jacobian; the mean value inequality along the segment between two states"
            return made(cell, "vanishing", status="proved", method=method, certificate=certificate, **spoken)
        tries.note("the condition against the words of the Jacobian", decided[-1].status)
    pair = None if condition is None or posed.blocks is not None else growing(posed.box, posed.all_relations)
    if pair is not None:
        shown = {**plain, "runs": [numbers.to_plain() for numbers in pair]}
        return made(cell, "vanishing", status="refuted", method="two runs", counterexample=shown, **spoken)
    attempts = tuple(tries.attempts)
    return made(cell, "vanishing", status="unknown", method=tries.told, attempts=attempts, **spoken)


Posing = tuple[Posed, dict[sympy.Expr, sympy.Expr]]


def _posing(cell: Cell, condition: Any) -> Posing | None:
    """The condition, for any input or for |x| ≤ 1, and bounds of parts; None where there is no closed form.

    A condition that zero weights do not meet, none meet: it says nothing, as little as one that always holds.
    """
    for inputs in (None, 1):
        found = bound(cell, "inf", inputs=inputs)
        own = found.condition_in_gates
        rest = dict.fromkeys(found.norms.values(), 0) | dict.fromkeys(found.states.values(), 1)
        if (
            own in (sympy.true, sympy.false)
            or own.xreplace({**found.setting.ranges.tops, **rest}) != sympy.true
        ):
            continue
        try:
            posed = _posed(found, condition)
            sizes = _sizes(found, cell)
            if posed.box.kept and posed.to_plain() and all(to_plain(size) for size in sizes.values()):
                return posed, sizes
        except (NotShown, NotPlain, NoEnds):
            continue  # a root in it
    return None


def _posed(found: Bound, condition: Any) -> Posed:
    box = Box.of(found)
    if len(found.cell.states) > 1:
        symbolic = SymbolicBounds(found.cell, found.setting.ranges, closed=True)
        return Posed(
            box, blocks=block_matrix(found.cell, sympy.oo, symbolic) if condition is None else condition
        )
    asked = found.condition_in_gates if condition is None else condition
    conjuncts = asked.args if isinstance(asked, sympy.And) else (asked,)
    if not all(isinstance(c, sympy.core.relational.Relational) for c in conjuncts):
        raise NotShown(f"{asked} is no conjunction of relations")
    return Posed(box, tuple((c.lhs, str(c.rel_op), c.rhs) for c in sorted(conjuncts, key=str)))


def _blocks(cell: Cell) -> list[list[Jacobian]]:
    return [list(row) for row in step_jacobian(cell).blocks]


def _parts(cell: Cell) -> list[sympy.Expr]:
    """All parts of all coefficients of the Jacobian."""
    words = [word for row in _blocks(cell) for block in row for word in block.words]
    return list(dict.fromkeys(p for word in words for c in word.coefficients for p in parts(c)[1]))


def _sizes(found: Bound, cell: Cell) -> dict[sympy.Expr, sympy.Expr]:
    symbolic = SymbolicBounds(cell, found.setting.ranges, closed=True)
    return {part: symbolic.top(part) for part in _parts(cell)}


def _ways(cell: Cell) -> Iterator[frozenset[sympy.Expr]]:
    """Every word by itself; then with the vectors that carry the state taken jointly: z and 1 - z."""
    yield frozenset()
    if len(cell.states) == 1:
        words = _blocks(cell)[0][0].words
        carrying = [nodes(p) for w in words if not w.maps for p in parts(w.leading)[1]]
        if carrying:
            yield frozenset().union(*carrying)


def _problems(
    posed: Posed, sizes: Mapping[sympy.Expr, sympy.Expr], shared: frozenset[sympy.Expr]
) -> list[Problem]:
    """All that has to hold, from the words of the Jacobian and the walk over the equations."""
    cell = posed.box.cell
    rows = Rows(posed.box.ends, sizes)
    blocks = _blocks(cell)
    goals: list[Problem] = []
    if posed.blocks is None:
        total, norms = rows.total(blocks[0][0], shared), {norm_symbol(p) for p in cell.parameters}
        for factor in _positive_factors(rows.cleared(1 - total), norms) if shared else (1 - total,):
            if any(op == "<" and sympy.expand(factor - (r - l)) == 0 for l, op, r in posed.relations):
                continue  # the condition itself
            given = posed.relations if any(s in norms for s in factor.free_symbols) else ()
            goals.append(rows.problem((factor, ">", sympy.S.Zero), given, shared))
    else:
        if posed.blocks.shape != (len(cell.states),) * 2:
            raise NotShown(f"the matrix has shape {posed.blocks.shape}, expected one row a state")
        goals += minors(len(cell.states))
        for i, row in enumerate(blocks):
            for j, block in enumerate(row):
                slack = sympy.expand(rows.cleared(posed.blocks[i, j] - rows.total(block)))
                if slack != 0:
                    goals.append(rows.problem((slack, ">=", sympy.S.Zero), ()))
    return list(dict.fromkeys([*goals, *rows.lemmas(shared), *posed.box.problems(rows)]))


def _positive_factors(expr: sympy.Expr, norms: Collection[sympy.Basic]) -> list[sympy.Expr]:
    """Factors whose product is the expression, up to a positive number; each positive for zero weights."""
    try:
        number, factors = sympy.factor_list(expr)
    except sympy.PolynomialError:  # an opaque node without a bound is left
        raise NotShown(f"{expr} is no polynomial in what is bounded") from None
    found = []
    for factor, power in factors:
        rest = factor.xreplace({s: 0 if s in norms else sympy.Rational(1, 2) for s in factor.free_symbols})
        number *= (-1) ** power if rest.is_negative else 1
        found.append(-factor if rest.is_negative else factor)
    if not number > 0:
        raise NotShown(f"{expr} is not positive")
    return found


def _decided(problems: Sequence[Problem]) -> list[Decision]:
    """Decisions up to the first that is no proof."""
    found: list[Decision] = []
    for problem in problems:
        found.append(decide(problem, seconds=SECONDS))
        if found[-1].certificate is None:
            break
    return found


def _spoken(posed: Posed) -> dict[str, Any]:
    cell = posed.box.cell
    names = [typeset(s) for s in cell.states]
    symbols = [sympy.latex(sympy.Symbol(s)) for s in cell.states]
    keeping = [_told(r) for r in posed.box.keeping]
    assumptions = ["‖·‖ the ∞-norm; two runs with the same inputs"]
    if posed.blocks is None:
        now, constant, change, symbol = f"Δ{names[0]}ₜ₊ₖ", "", f"Δ{names[0]}ₜ", symbols[0]
        condition = " and ".join([*map(_told, posed.relations), *keeping])
        gist = condition.replace(" ", "")
    else:
        joined = f"({', '.join(names)})"
        now, constant, change, symbol = f"Δ{joined}ₜ₊ₖ", "C ", f"Δ{joined}ₜ", f"({', '.join(symbols)})"
        rows = ", ".join(f"[{', '.join(map(typeset_bound, row))}]" for row in posed.blocks.tolist())
        condition = " and ".join([f"the spectral radius of N = [{rows}] is below 1", *keeping])
        gist = "ρ(N)<1"
        assumptions.append(
            "that is, all leading principal minors of I - N are positive; C depends on N alone"
        )
    latex_constant = r"C\, " if constant else ""
    latex_change = (
        rf"\|\Delta {symbol}_{{t+k}}\|_\infty \le {latex_constant}\rho^k \|\Delta {symbol}_t\|_\infty"
    )
    return {
        "name": "vanishes",
        "statement": f"‖{now}‖ ≤ {constant}ρᵏ ‖{change}‖ with a ρ < 1, for finite changes, "
        f"whenever {condition}",
        "gist": gist,
        "latex": latex_change + r",\ \rho < 1",
        "assumptions": (*assumptions, *posed.box.assumptions, *spoken_ends(posed.box, _mentioned(posed))),
    }


def _mentioned(posed: Posed) -> set[sympy.Symbol]:
    found = posed.blocks.free_symbols if posed.blocks is not None else set()
    return found.union(
        *(sympy.sympify(side).free_symbols for l, _, r in posed.all_relations for side in (l, r))
    )


def _told(relation: Relation) -> str:
    left, op, right = relation
    return f"{typeset_bound(left)} {op.replace('<=', '≤').replace('>=', '≥')} {typeset_bound(right)}"


def check(cell: Cell, claim: Evidence) -> bool:
    """The problems set up anew from the Jacobian's words and decided by other engines; or runs replayed."""
    evidence = claim["certificate" if claim["status"] == "proved" else "counterexample"]
    posed = Posed.from_plain(cell, evidence)
    spoken = _spoken(posed)
    if any(claim[key] != spoken[key] for key in ("name", "statement")):
        return False
    if list(claim["assumptions"]) != list(spoken["assumptions"]):
        return False
    if claim["status"] == "refuted":
        one, other = (Numbers.from_plain(cell, run) for run in evidence["runs"])
        return posed.blocks is None and grows(posed.box, posed.all_relations, one, other)
    names = {s.name: s for s in posed.box.symbols}
    entries = zip(_parts(cell), evidence["sizes"], strict=True)
    sizes = {part: from_plain(size, names) for part, (_, size) in entries}
    shared = next((way for way in _ways(cell) if sorted(map(str, way)) == evidence["kept"]), None)
    if shared is None:
        return False
    problems = _problems(posed, sizes, shared)
    given = [Problem.from_json(decided["problem"]) for decided in evidence["decided"]]
    return given == problems and all(recheck(decided) for decided in evidence["decided"])


def _prove(cell: Cell) -> Iterator[Claim]:
    found = vanishes(cell)
    if found is not None:
        yield found


KINDS = (Kind("vanishing", "finite changes vanish", _prove, check, rank=8),)
