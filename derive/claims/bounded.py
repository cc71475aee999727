"""``bounded-s``: how a state grows: never out of a box, at most linearly, or geometrically (A4, A5, B8).

The class comes from :func:`derive.bounds.growth.growth`; it is shown by polynomial inequalities over a finite
box (:mod:`derive.claims.tools.scaled` for what is unbounded), which two methods decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import sympy

from derive.bounds.growth import Growth
from derive.bounds.invariant import StateBox, inlined_to_activations, invariant_boxes, rational_ends
from derive.bounds.ranges import Range, Ranges
from derive.bounds.symbols import input_symbol, norm_symbol, state_symbol, typeset_bound
from derive.calculus.polynomials import with_generators
from derive.cell import Cell
from derive.claim import Claim
from derive.claims.grows import leaves, leaving
from derive.claims.tools.classes import classes
from derive.claims.tools.drives import Numbers
from derive.claims.tools.kind import Evidence, Kind, Tries, made, state_of
from derive.claims.tools.plain import NotPlain, from_plain, to_plain
from derive.claims.tools.scaled import Scaled
from derive.decide import Problem, decide, recheck
from derive.decide.bernstein import Cover, nonnegative, tensor
from derive.errors import DeriveError
from derive.show.text import typeset
from derive.symbols import Input, Quantity, State

SECONDS = 3.0
"""How long one inequality may take."""


def stays_in(cell: Cell, state: Any, low: Any, high: Any) -> Claim:
    """[low, high] (rationals) is not left: proved by a step into itself, refuted by a run that leaves."""
    state = state_of(cell, state)
    found = maps_into_itself(cell, state, low, high)
    if found.status == "proved":
        return found
    ends, tries = Range(sympy.sympify(low), sympy.sympify(high)), Tries()
    tries.attempts += found.attempts
    run = leaving(cell, state, float(ends.low), float(ends.high))
    tries.note("runs with gates and candidates at their ends", "one leaves" if run else "none leaves")
    spoken = _invariant_spoken(state, ends, ())
    if run is None:
        return made(
            cell, "bounded", status="unknown", method=tries.told, attempts=tuple(tries.attempts), **spoken
        )
    shown = {"state": state.name, "low": str(ends.low), "high": str(ends.high), "run": run.to_plain()}
    return made(cell, "bounded", status="refuted", method="a run", counterexample=shown, **spoken)


def maps_into_itself(cell: Cell, state: Any, low: Any, high: Any) -> Claim:
    """[low, high] is not left, or ``unknown``; nothing is tried to refute it."""
    ends = Range(sympy.sympify(low), sympy.sympify(high))
    return _invariant(cell, state_of(cell, state), ends, Tries())


def _invariant(cell: Cell, state: State, ends: Range, tries: Tries) -> Claim:
    spoken = _invariant_spoken(state, ends, ())
    certificates: list[Any] | None = None
    for others in ((), _others(cell, state)):
        certificates = _decided(_induction(cell, state, ends, others), tries)
        if certificates is not None:
            spoken = _invariant_spoken(state, ends, others)
            break
    if certificates is None:
        tries.note("a step from the box into itself", "not shown")
        return made(
            cell, "bounded", status="unknown", method=tries.told, attempts=tuple(tries.attempts), **spoken
        )
    certificate = {
        "state": state.name,
        "class": "invariant",
        "low": str(ends.low),
        "high": str(ends.high),
        "others": [box.state.name for box in others],
        "decided": certificates,
    }
    method = f"a step maps the box into itself: {certificates[0]['method']}"
    return made(cell, "bounded", status="proved", method=method, certificate=certificate, **spoken)


def _decided(problems: Sequence[Problem] | None, tries: Tries) -> list[Any] | None:
    """The certificates of all problems, or None."""
    certificates: list[Any] = []
    for problem in problems or ():
        decided = decide(problem, seconds=SECONDS)
        tries.attempts += decided.attempts
        if decided.certificate is None:
            return None
        certificates.append(dict(decided.certificate))
    return None if problems is None else certificates


def _invariant_spoken(state: State, ends: Range, others: Sequence[StateBox]) -> dict[str, Any]:
    name, symbol = typeset(state.name), sympy.latex(sympy.Symbol(state.name))
    starts = [f"{name} starts in [{ends.low}, {ends.high}]"]
    starts += [f"{typeset(b.state.name)} in [{b.range.low}, {b.range.high}]" for b in others]
    return {
        "name": f"bounded-{state.name}",
        "statement": f"{name} stays in [{ends.low}, {ends.high}]",
        "gist": f"[{ends.low},{ends.high}]",
        "latex": rf"{symbol}_0 \in [{sympy.latex(ends.low)}, {sympy.latex(ends.high)}]^n \implies "
        rf"{symbol}_t \in [{sympy.latex(ends.low)}, {sympy.latex(ends.high)}]^n",
        "assumptions": (", ".join(starts),),
    }


def _others(cell: Cell, state: State) -> tuple[StateBox, ...]:
    """The boxes of the other states that have one."""
    return tuple(box for box in invariant_boxes(cell) if box.state != state and box.is_bounded)


def _induction(cell: Cell, state: State, ends: Range, others: Sequence[StateBox]) -> list[Problem] | None:
    """From s in the box, over all gates and candidates: next ≤ high, and next ≥ low."""
    expr = inlined_to_activations(cell, state)
    polynomial, meanings = with_generators(sympy.expand(expr))
    boxes: dict[Quantity, Range] = {b.state.prev: b.range for b in others}
    ranges = Ranges(cell, boxes | {state.prev: ends}, norm=None)
    symbols = sorted(polynomial.free_symbols, key=str)
    found = {g: ranges(meanings.get(g, g)) for g in symbols}
    if any(not (r.is_number and r.is_finite) for r in found.values()) or not polynomial.is_polynomial(
        *symbols
    ):
        return None
    plain = {g: sympy.Symbol(str(g)) for g in symbols}
    box = {plain[g]: rational_ends(r) for g, r in found.items()}
    step = polynomial.xreplace(plain)
    return [Problem.of(box, (step, "<=", ends.high)), Problem.of(box, (step, ">=", ends.low))]


def _growing(cell: Cell, found: Growth) -> Claim:
    """At most linear or geometric growth."""
    tries = Tries()
    ratios = dict(found.ratios or {found.state.name: sympy.S.One})
    spoken = _growth_spoken(cell, found.state, found.kind, ratios, found.slope)
    scaled = Scaled(cell)
    bound = found.slope + sum(r * state_symbol(s) for s, r in ratios.items())
    slacks = scaled.slacks(scaled(found.state), bound)
    problems = None if slacks is None else [_nonnegative(scaled, slack) for slack in slacks]
    certificates = _decided(problems, tries)
    if certificates is None:
        tries.note("the bound, monomial by monomial", "not shown")
        return made(
            cell, "bounded", status="unknown", method=tries.told, attempts=tuple(tries.attempts), **spoken
        )
    certificate = {
        "state": found.state.name,
        "class": found.kind,
        "ratios": {s: to_plain(r) for s, r in ratios.items()},
        "slope": to_plain(found.slope),
        "decided": certificates,
    }
    method = "majorants of every vector; the bound minus the step, monomial by monomial"
    return made(cell, "bounded", status="proved", method=method, certificate=certificate, **spoken)


def _nonnegative(scaled: Scaled, slack: sympy.Expr) -> Problem:
    used = sorted(slack.free_symbols, key=lambda v: int(v.name[1:]))
    return Problem.of({v: scaled.box[v] for v in used}, (slack, ">=", 0))


def _growth_spoken(
    cell: Cell, state: State, kind: str, ratios: dict[str, sympy.Expr], slope: sympy.Expr
) -> dict[str, Any]:
    name, symbol = typeset(state.name), sympy.latex(sympy.Symbol(state.name))
    norms = ["|·| the largest absolute value over units"]
    if any(s.name.startswith("norm_") for e in (slope, *ratios.values()) for s in e.free_symbols):
        norms.append("‖·‖ the norm of a map that goes with it")
    if kind == "linear":
        grows = "" if slope == 0 else " + t" if slope == 1 else f" + ({typeset_bound(slope)})·t"
        statement = f"|{name}ₜ| ≤ |{name}₀|{grows}"
        tail = "" if slope == 0 else f" + {sympy.latex(slope)} t"
        latex = rf"|{symbol}_t| \le |{symbol}_0|{tail}"
    else:
        terms = [_term(typeset_bound(r), f"|{typeset(s)}ₜ₋₁|") for s, r in ratios.items()]
        terms += [typeset_bound(slope)] if slope != 0 else []
        statement = f"|{name}ₜ| ≤ {' + '.join(terms) or '0'}"
        total = " + ".join(rf"({sympy.latex(r)}) |{s}_{{t-1}}|" for s, r in ratios.items())
        latex = rf"|{symbol}_t| \le {total} + {sympy.latex(slope)}"
    return {
        "name": f"bounded-{state.name}",
        "statement": statement,
        "gist": kind,
        "latex": latex,
        "assumptions": ("; ".join(norms),),
    }


def _term(ratio: str, state: str) -> str:
    return state if ratio == "1" else f"({ratio})·{state}" if " + " in ratio else f"{ratio}·{state}"


def _symbols(cell: Cell) -> dict[str, sympy.Symbol]:
    known = [norm_symbol(p) for p in cell.parameters]
    known += [state_symbol(s) for s in cell.states]
    known += [input_symbol(q.name) for q in cell.symbols.values() if isinstance(q, Input)]
    return {s.name: s for s in known}


def check(cell: Cell, claim: Evidence) -> bool:
    """The certificates of the inequalities by their second method, and the inequalities set up anew from the
    scaled step and covered by Bernstein forms.  A run that leaves the box is replayed."""
    evidence = claim["certificate" if claim["status"] == "proved" else "counterexample"]
    state = state_of(cell, evidence["state"])
    if claim["status"] == "refuted" or evidence["class"] == "invariant":
        ends = Range(sympy.Rational(evidence["low"]), sympy.Rational(evidence["high"]))
        named = evidence.get("others", ())
        others = [box for box in _others(cell, state) if box.state.name in named]
        spoken = _invariant_spoken(state, ends, others)
        if not _same(claim, spoken):
            return False
        if claim["status"] == "refuted":
            return leaves(
                cell, state, Numbers.from_plain(cell, evidence["run"]), float(ends.low), float(ends.high)
            )
        problems = _induction(cell, state, ends, others)
        return _stand(problems, evidence["decided"]) and _inside(cell, state, ends, others)
    ratios = {s: from_plain(r, _symbols(cell)) for s, r in evidence["ratios"].items()}
    slope = from_plain(evidence["slope"], _symbols(cell))
    kind = evidence["class"]
    if kind == "linear" and ratios != {state.name: sympy.S.One}:
        return False
    if not _same(claim, _growth_spoken(cell, state, kind, ratios, slope)):
        return False
    scaled = Scaled(cell)
    bound = slope + sum(r * state_symbol(s) for s, r in ratios.items())
    slacks = scaled.slacks(scaled(state), bound)
    if slacks is None or not _stand([_nonnegative(scaled, s) for s in slacks], evidence["decided"]):
        return False
    return all(_covered(scaled, slack) for slack in slacks)


def _same(claim: Evidence, spoken: dict[str, Any]) -> bool:
    return all(claim[key] == spoken[key] for key in ("name", "statement")) and list(
        claim["assumptions"]
    ) == list(spoken["assumptions"])


def _stand(problems: list[Problem] | None, decided: list[Any]) -> bool:
    """Whether the certificates are of these problems, and stand."""
    if problems is None or len(problems) != len(decided):
        return False
    pairs = zip(problems, decided, strict=True)
    return all(Problem.from_json(c["problem"]) == problem and recheck(c) for problem, c in pairs)


def _inside(cell: Cell, state: State, ends: Range, others: Sequence[StateBox]) -> bool:
    """The step in scaled variables, the past of bounded states in their boxes."""
    past = {b.state.name: rational_ends(b.range) for b in others}
    scaled = Scaled(cell, past | {state.name: rational_ends(ends)})
    step = scaled(state)
    return all(_covered(scaled, sympy.expand(slack)) for slack in (ends.high - step, step - ends.low))


def _covered(scaled: Scaled, slack: sympy.Expr) -> bool:
    used = sorted(slack.free_symbols, key=str)
    if not used:
        return bool(slack >= 0)
    if any(v not in scaled.box for v in used):
        return False
    form = tensor(sympy.Poly(slack, *used), [scaled.box[v] for v in used])
    return isinstance(nonnegative(form), Cover)


def _prove(cell: Cell) -> Iterator[Claim]:
    for found in classes(cell):
        if found.kind == "invariant":
            yield _invariant(cell, found.state, found.box.range, Tries())
        elif found.kind != "unknown":
            yield from _attempt(cell, found)
        else:
            yield _open(cell, found.state, "growth is faster than geometric, or no method bounds it")


def _attempt(cell: Cell, found: Growth) -> Iterator[Claim]:
    try:
        yield _growing(cell, found)
    except (NotPlain, DeriveError) as error:
        yield _open(cell, found.state, f"at most {found.kind} growth by majorants, not re-checked: {error}")


def _open(cell: Cell, state: State, why: str) -> Claim:
    return made(
        cell,
        "bounded",
        name=f"bounded-{state.name}",
        statement=f"{typeset(state.name)} is bounded, or grows in a known way",
        status="unknown",
        method=why,
        attempts=(("majorants", why, 0.0),),
    )


KINDS = (
    Kind("bounded", "stays in a box, or grows at most linearly or geometrically", _prove, check, rank=3),
)
