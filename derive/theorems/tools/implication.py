"""Implications between conditions: published ⇒ engine's and back, decided exactly, as claims.

Conditions are SymPy Booleans in symbols of norms and gates' upper ends.  Divisions are cleared first, by
denominators whose sign is itself decided; a least of several, of which only the arguments are
known, becomes a variable that lies below each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import sympy

from derive.bounds import Bound
from derive.bounds.extremes import Least
from derive.bounds.stability import Stability
from derive.claim import Attempt, Claim
from derive.decide import Decision, Problem, decide, recheck, replay
from derive.errors import DeriveError

Interval = tuple[Any, Any]
Polynomial = tuple[sympy.Expr, str, sympy.Expr]
"""left, one of ``>``, ``>=``, ``<``, ``<=``, ``==``, right: a relation that SymPy does not rearrange."""


class NotDecidable(DeriveError, ValueError):
    """A condition that does not become polynomial; the message names what is in the way."""


@dataclass(frozen=True)
class Domain:
    """What the symbols may be: an interval each, and relations between them."""

    box: Mapping[sympy.Symbol, Interval]
    hypotheses: tuple[Any, ...] = ()

    def given(self, *relations: Any) -> Domain:
        """The same with more hypotheses."""
        return Domain(self.box, (*self.hypotheses, *relations))

    def joined(self, box: Mapping[sympy.Symbol, Interval], *relations: Any) -> Domain:
        """The same with more symbols and hypotheses."""
        return Domain({**self.box, **box}, (*self.hypotheses, *relations))

    def about(self, *relations: Any) -> Domain:
        """What it says of the symbols in these relations alone."""
        known = _free(*relations)
        kept = tuple(h for h in self.hypotheses if _free(h) <= known)
        return Domain({v: interval for v, interval in self.box.items() if v in known}, kept)


def domain(
    gates: Iterable[sympy.Symbol], tops: Mapping[sympy.Symbol, sympy.Expr], *conditions: Any
) -> Domain:
    """Norms are at least 0; a gate's upper end lies between its value φ(0) at rest and 1.

    Where something is divided by what becomes 0 at 1, it is below 1; elsewhere the closed interval says more.
    """
    ends = list(gates)
    free = set().union(*(sympy.sympify(c).free_symbols for c in conditions), ends)
    box: dict[sympy.Symbol, Interval] = {}
    for symbol in sorted(free, key=str):
        box[symbol] = (tops[symbol], sympy.S.One) if symbol in ends else (sympy.S.Zero, sympy.oo)
    sides = [side for c in conditions for side in sympy.sympify(c).atoms(sympy.Pow) if side.exp.is_negative]
    divided = set().union(*(side.base.free_symbols for side in sides), set())
    return Domain(box, tuple((g, "<", sympy.S.One) for g in box if g in ends and g in divided))


def implies(
    name: str,
    statement: str,
    conclusion: Any,
    on: Domain,
    *,
    latex: str = "",
    assumptions: Sequence[str] = (),
    lemmas: Iterable[Any] = (),
    seconds: float = 10.0,
) -> Claim:
    """The claim that ``conclusion`` holds on a domain: a relation, or a conjunction of them.

    Proved if every part is, with one certificate a part; refuted at the first part that has a
    counterexample; else unknown.
    """
    attempts: list[Attempt] = []
    certificates: list[Mapping[str, Any]] = []
    said = partial(Claim, name, statement, assumptions=tuple(assumptions), latex=latex)
    for part in conjuncts(conclusion):
        decision, tried = _decided(part, on, tuple(lemmas), seconds)
        attempts += tried
        if decision.status == "refuted":
            shown = {"problem": decision.problem.to_json(), "point": dict(decision.counterexample or {})}
            return said(
                "refuted",
                decision.method,
                counterexample=shown,
                verify=partial(replay, **shown),
                attempts=tuple(attempts),
            )
        if decision.certificate is None:
            return said("unknown", decision.method, attempts=tuple(attempts))
        certificates.append(decision.certificate)
    methods = dict.fromkeys(f"{c['method']} + {c['agreed']['method']}" for c in certificates)
    return said(
        "proved",
        "; ".join(methods),
        certificate={"parts": certificates},
        verify=lambda: all(recheck(c) for c in certificates),
        attempts=tuple(attempts),
    )


def through(
    name: str,
    statement: str,
    conclusion: Any,
    on: Domain,
    *,
    where: Mapping[sympy.Symbol, sympy.Expr],
    facts: Sequence[Polynomial],
    assumptions: Sequence[str] = (),
) -> Claim:
    """The claim that ``conclusion`` holds, by way of ``facts`` about abbreviations (symbol → expression).

    Each fact, with the expressions put in, is decided from the hypotheses in its own symbols; the conclusion
    then follows from the facts and from the hypotheses in its own few symbols, which is what makes it easy.
    """
    wide = on.joined(dict.fromkeys(where, (sympy.S.Zero, sympy.oo)))
    steps = [implies("", "", fact, on.about(fact)) for fact in (_put(f, where) for f in facts)]
    final = wide.about(*conjuncts(conclusion), *facts).given(*facts)
    steps.append(implies(name, statement, conclusion, final))
    attempts = tuple(a for step in steps for a in step.attempts)
    missing = next((s for s in steps if s.certificate is None), None)
    if missing is not None:
        told = f"a step is {missing.status}: {missing.method}"
        return Claim(name, statement, "unknown", told, tuple(assumptions), attempts=attempts)
    parts = [part for s in steps if s.certificate for part in s.certificate["parts"]]
    return Claim(
        name,
        statement,
        "proved",
        "; ".join(dict.fromkeys(s.method for s in steps)),
        tuple(assumptions),
        certificate={"where": {v.name: str(e) for v, e in where.items()}, "parts": parts},
        verify=lambda: all(s.recheck() for s in steps),
        attempts=attempts,
    )


def _put(relation: Any, values: Mapping[sympy.Symbol, sympy.Expr]) -> Any:
    if not isinstance(relation, tuple):
        return relation.xreplace(values)
    left, op, right = relation
    return sympy.sympify(left).xreplace(values), op, sympy.sympify(right).xreplace(values)


def _free(*relations: Any) -> set[sympy.Symbol]:
    sides = [side for r in relations for side in ((r[0], r[2]) if isinstance(r, tuple) else (r,))]
    return set().union(*(sympy.sympify(side).free_symbols for side in sides))


def conjuncts(condition: Any) -> tuple[Any, ...]:
    """The parts of a conjunction; any other condition is its own only part."""
    if isinstance(condition, sympy.And | list):
        return tuple(condition.args if isinstance(condition, sympy.And) else condition)
    return (condition,)


def _decided(
    conclusion: Any, on: Domain, lemmas: tuple[Any, ...], seconds: float
) -> tuple[Decision, list[Attempt]]:
    """One relation, after everything is polynomial.

    The upper limits of intervals go to the hypotheses: solvers do not mind, and the search for multipliers
    has less to try.
    """
    nodes = _Nodes()
    tried: list[Attempt] = []
    box, limits = dict(on.box), list[Any]()
    if on.hypotheses:
        limits = [(v, "<=", high) for v, (_, high) in on.box.items() if high != sympy.oo]
        box = {v: (low, sympy.oo) for v, (low, _) in on.box.items()}
    given = [nodes.relation(r) for r in (*on.hypotheses, *limits)]
    goal, *helping = (nodes.relation(r) for r in (conclusion, *lemmas))
    box |= dict.fromkeys(nodes.below, (sympy.S.Zero, sympy.oo))
    known: list[Any] = []
    for relation in given + nodes.relations():
        known.append(_cleared(relation, box, known, tried))
    goal, *helping = (_cleared(r, box, known, tried) for r in (goal, *helping))
    decision = decide(Problem.of(box, goal, known), seconds=seconds, lemmas=helping)
    return decision, [*tried, *decision.attempts]


class _Nodes:
    """A least of A, B, … becomes a variable v ≥ 0 with v ≤ A, v ≤ B, …; arguments with roots are left out.

    That forgets that v is one of them, which is all right: a conclusion that holds for every such v holds.
    """

    def __init__(self) -> None:
        self.below: dict[sympy.Symbol, sympy.Expr] = {}

    def relation(self, relation: Any) -> Polynomial:
        left, op, right = relation if isinstance(relation, tuple) else _sides(relation)
        return self._replaced(left), op, self._replaced(right)

    def _replaced(self, expr: Any) -> sympy.Expr:
        expr = sympy.sympify(expr)
        if isinstance(expr, Least):
            known = next((v for v, node in self.below.items() if node == expr), None)
            symbol = known or sympy.Symbol(f"least_{len(self.below) + 1}", nonnegative=True)
            self.below.setdefault(symbol, expr)
            return symbol
        return expr.func(*(self._replaced(arg) for arg in expr.args)) if expr.args else expr

    def relations(self) -> list[Polynomial]:
        """What is known of the variables that were made."""
        return [
            (symbol, "<=", arg)
            for symbol, node in self.below.items()
            for arg in node.args
            if arg.is_rational_function(*arg.free_symbols)
        ]


def _sides(relation: Any) -> Polynomial:
    if not isinstance(relation, sympy.core.relational.Relational):
        raise NotDecidable(f"{relation} is no relation; expected one with >=, >, <=, < or ==")
    return relation.lhs, str(relation.rel_op), relation.rhs


_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "=="}


def _cleared(
    relation: Polynomial, box: Mapping[sympy.Symbol, Interval], known: Sequence[Any], tried: list[Attempt]
) -> Polynomial:
    """The relation times its denominator, whose sign is decided from what is known so far."""
    left, op, right = relation
    numerator, denominator = sympy.fraction(sympy.together(left - right))
    for factor, power in sympy.factor_list(denominator)[1]:
        sign = _sign(factor, box, known, tried)  # decided for even powers too: a square may be zero
        op = _TURNED[op] if sign < 0 and power % 2 else op
    if sympy.factor_list(denominator)[0] < 0:
        op = _TURNED[op]
    return sympy.expand(numerator), op, sympy.S.Zero


def _sign(
    factor: sympy.Expr, box: Mapping[sympy.Symbol, Interval], known: Sequence[Any], tried: list[Attempt]
) -> int:
    used = [r for r in known if _symbols(r) <= factor.free_symbols]
    part = {v: box[v] for v in sorted(factor.free_symbols, key=str)}
    for sign in (1, -1):
        decision = decide(Problem.of(part, (sign * factor, ">", 0), used))
        tried += [(f"sign of {factor}: {m}", outcome, took) for m, outcome, took in decision.attempts]
        if decision.status == "proved":
            return sign
    raise NotDecidable(f"the sign of the denominator {factor} is not decided")


def _symbols(relation: Polynomial) -> set[sympy.Basic]:
    left, _, right = relation
    return set(left.free_symbols | sympy.sympify(right).free_symbols)


def upper_end(found: Bound | Stability, vector: str) -> sympy.Expr:
    """The upper end of a gate or candidate over the box that a bound speaks of: the symbol z̄ for ``"z"``."""
    return found.setting.ranges(found.cell.symbols[vector]).high


def ends_domain(found: Bound | Stability, *conditions: Any) -> Domain:
    """The domain of conditions in the symbols of one bound."""
    return domain(found.gates, found.setting.ranges.tops, *conditions)


def tighter(found: Bound | Stability, condition: Any) -> Claim:
    """A condition that holds for some upper ends of gates holds for all smaller ones: any bounds will do."""
    used = [g for g in found.gates if g in condition.free_symbols]
    smaller = {g: sympy.Symbol(f"{g.name}_less", positive=True) for g in used}
    on = ends_domain(found, condition).given(*conjuncts(condition))
    tops = found.setting.ranges.tops
    on = on.joined({smaller[g]: (tops[g], 1) for g in used}, *((smaller[g], "<=", g) for g in used))
    return implies(
        "any-upper-ends",
        "the engine's condition at some upper ends of gates ⇒ at all smaller ones",
        condition.xreplace(smaller),
        on,
        assumptions=found.assumptions,
    )
