"""``vanishes``: when a finite change of the state shrinks from step to step (A1, B1, B2).

The condition comes from :func:`derive.bounds.bound`: the ∞-norm of the step's Jacobian stays below 1 on the
box that no step leaves.  A box is convex, so by the mean value inequality along the segment between two
states a change is multiplied by at most that bound, however large it is.  The second method puts the
condition against the words of the Jacobian themselves.  Where a state carries, no condition on norms alone
can exist, and nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import sympy

from derive.anatomy import states
from derive.bounds.bound import bound
from derive.bounds.invariant import invariant_boxes, rational_ends
from derive.bounds.ranges import Ranges
from derive.bounds.symbols import norm_symbol, typeset_bound
from derive.calculus import jacobian
from derive.calculus.polynomials import with_generators
from derive.cell import Cell
from derive.claim import Claim
from derive.claims.tools.drives import Numbers, zeros
from derive.claims.tools.kind import Evidence, Kind, Tries, made
from derive.claims.tools.plain import from_plain, to_plain
from derive.decide import NotPolynomial, Problem, decide, recheck
from derive.show.text import typeset
from derive.symbols import MeanMap, State

SECONDS = 2.0
Relation = tuple[sympy.Expr, str, sympy.Expr]


def vanishes(cell: Cell, condition: Any = None) -> Claim | None:
    """A sufficient condition, in norms, for every finite change to vanish; None where there is none.

    ``condition`` (a SymPy relation in the symbols of norms) poses another one; one that does not suffice is
    refuted by weights that meet it and a change that grows in one step.
    """
    box = invariant_boxes(cell)[0]
    if len(cell.states) != 1 or not box.is_bounded:
        return None
    found = bound(cell, "inf").condition if condition is None else condition
    if found in (sympy.true, sympy.false) or not isinstance(found, sympy.core.relational.Relational):
        return None
    relation = (found.lhs, str(found.rel_op), found.rhs)
    spoken = _spoken(box.state, relation)
    tries = Tries()
    problem = _problem(cell, box.state, relation)
    tries.note("the condition against the words of the Jacobian", "posed" if problem else "no polynomial")
    decided = None if problem is None else decide(problem, seconds=SECONDS)
    tries.attempts += decided.attempts if decided else ()
    pair = (
        None
        if decided is None or decided.status != "refuted"
        else _growing(cell, relation, decided.counterexample)
    )
    if pair is not None:
        shown = {"condition": _plain(relation), "runs": [numbers.to_plain() for numbers in pair]}
        return made(cell, "vanishing", status="refuted", method="two runs", counterexample=shown, **spoken)
    if decided is None or decided.certificate is None:
        return made(
            cell,
            "vanishing",
            status="unknown",
            method=tries.told,
            attempts=tuple(tries.attempts),
            **spoken,
        )
    certificate = {"condition": _plain(relation), "decided": dict(decided.certificate)}
    method = "bound of the Jacobian; the mean value inequality along the segment between two states"
    return made(cell, "vanishing", status="proved", method=method, certificate=certificate, **spoken)


def _plain(relation: Relation) -> list[Any]:
    left, op, right = relation
    return [to_plain(left), op, to_plain(right)]


def _spoken(state: State, relation: Relation) -> dict[str, Any]:
    name, symbol = typeset(state.name), sympy.latex(sympy.Symbol(state.name))
    left, op, right = relation
    condition = f"{typeset_bound(left)} {op} {typeset_bound(right)}"
    return {
        "name": "vanishes",
        "statement": f"‖Δ{name}ₜ₊ₖ‖ ≤ ρᵏ ‖Δ{name}ₜ‖ with a ρ < 1, for finite changes, whenever {condition}",
        "gist": condition.replace(" ", ""),
        "latex": rf"\|\Delta {symbol}_{{t+k}}\|_\infty \le \rho^k \|\Delta {symbol}_t\|_\infty,\ \rho < 1",
        "assumptions": (
            f"‖·‖ the ∞-norm; two runs with the same inputs, {name} of both in its invariant box",
        ),
    }


def _problem(cell: Cell, state: State, relation: Relation) -> Problem | None:
    """Under the condition: 1 minus the sum of all words' absolute values along a row is positive."""
    boxes = {b.state.prev: b.range for b in invariant_boxes(cell)}
    ranges = Ranges(cell, boxes, norm=None)
    box: dict[sympy.Symbol, Any] = {}
    total = sympy.S.Zero
    for number, word in enumerate(jacobian(cell, state, state).words):
        sign = sympy.Symbol(f"sign{number}")
        box[sign] = (-1, 1)
        term: sympy.Expr = sign
        for place, coefficient in enumerate(word.coefficients):
            polynomial, meanings = with_generators(coefficient)
            renamed = {}
            for symbol in sorted(polynomial.free_symbols, key=str):
                found = ranges(meanings.get(symbol, symbol))
                if not (found.is_number and found.is_finite):
                    return None
                # units of one row share their values; behind a map every word has units of its own
                fresh = sympy.Symbol(
                    f"{symbol}" if place == 0 and symbol not in meanings else f"{symbol}_{number}_{place}"
                )
                box[fresh] = rational_ends(found)
                renamed[symbol] = fresh
            term *= polynomial.xreplace(renamed)
        for linear in word.maps:
            term *= 1 if isinstance(linear, MeanMap) else _norm(linear.name, box)
        total += term
    left, op, right = relation
    names = {s: _norm(s.name.removeprefix("norm_"), box) for s in (left - right).free_symbols}
    try:
        hypothesis = (left.xreplace(names), op, right.xreplace(names))
        return Problem.of(box, (total, "<", 1), [hypothesis])
    except NotPolynomial:
        return None


def _norm(parameter: str, box: dict[sympy.Symbol, Any]) -> sympy.Symbol:
    symbol = sympy.Symbol(f"norm_{parameter}")
    box[symbol] = (0, sympy.oo)
    return symbol


def _growing(
    cell: Cell, relation: Relation, point: Mapping[str, str] | None
) -> tuple[Numbers, Numbers] | None:
    """Two states that one step takes further apart, with matrices of the norms of a point or a bit larger."""
    for factor, sign, offset in product((1.0, 1.015, 1.2), (1.0, -1.0), (0.0, 0.25, 0.5)):
        one = zeros(cell, n=2, fill=offset)
        for name, array in one.parameters.items():
            norm = factor * float(Fraction((point or {}).get(f"norm_{name}", "0")))
            array[...] = sign * norm * np.eye(*array.shape) if array.ndim == 2 else sign * norm
        other = Numbers(one.parameters, one.inputs, tuple(v + 1e-3 for v in one.state))
        if _is_met(relation, one) and _stretch(cell, one, other) > 1 + 1e-9:
            return one, other
    return None


def _is_met(relation: Relation, numbers: Numbers) -> bool:
    """Whether weights meet the condition."""
    norms = {
        norm_symbol(name): sympy.Float(np.abs(p).sum(-1).max() if p.ndim == 2 else np.abs(p).max())
        for name, p in numbers.parameters.items()
    }
    left, op, right = relation
    return bool(sympy.Rel(left.xreplace(norms), right.xreplace(norms), op) == sympy.true)


def _stretch(cell: Cell, one: Numbers, other: Numbers) -> float:
    """By how much one step multiplies the difference of two states."""
    (first,), (second,) = one.states(cell)[1], other.states(cell)[1]
    return float(np.abs(first - second).max() / np.abs(one.state[0] - other.state[0]).max())


def _replayed(cell: Cell, state: State, relation: Relation, runs: Sequence[Any]) -> bool:
    """Whether weights that meet the condition take two states of the box further apart."""
    one, other = (Numbers.from_plain(cell, run) for run in runs)
    low, high = (float(end) for end in rational_ends(invariant_boxes(cell)[0].range))
    inside = all(np.all(v.state[0] >= low) and np.all(v.state[0] <= high) for v in (one, other))
    alike = all(np.array_equal(one.parameters[p], other.parameters[p]) for p in cell.parameters)
    alike = alike and np.array_equal(one.inputs, other.inputs)
    return bool(inside and alike and _is_met(relation, one) and _stretch(cell, one, other) > 1)


def check(cell: Cell, claim: Evidence) -> bool:
    """The problem set up anew from the Jacobian's words and decided by the other engine; or runs replayed."""
    if len(cell.states) != 1:
        return False
    evidence = claim["certificate" if claim["status"] == "proved" else "counterexample"]
    names = {norm_symbol(p).name: norm_symbol(p) for p in cell.parameters}
    left, op, right = evidence["condition"]
    relation = (from_plain(left, names), str(op), from_plain(right, names))
    (state,) = states(cell)
    spoken = _spoken(state, relation)
    if any(claim[key] != spoken[key] for key in ("name", "statement")):
        return False
    if list(claim["assumptions"]) != list(spoken["assumptions"]):
        return False
    if claim["status"] == "refuted":
        return _replayed(cell, state, relation, evidence["runs"])
    problem, decided = _problem(cell, state, relation), evidence["decided"]
    return (
        problem is not None
        and invariant_boxes(cell)[0].is_bounded
        and Problem.from_json(decided["problem"]) == problem
        and recheck(decided)
    )


def _prove(cell: Cell) -> Iterator[Claim]:
    found = vanishes(cell)
    if found is not None:
        yield found


KINDS = (Kind("vanishing", "finite changes vanish", _prove, check, rank=8),)
