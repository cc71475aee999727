"""Certificates of what was decided: plain data that anyone can check again, by another method than the first.

A certificate has the ``problem``, the ``lemmas`` (certificates of their own: each a conclusion from the same
hypotheses and the earlier lemmas), the ``method`` that decided first with its ``witness``, and the second
method that ``agreed`` with its own.  Nothing is taken from it on trust:

===========  ===========================================  =================================================
method       witness                                      :func:`fault` checks again by
===========  ===========================================  =================================================
vertices     the extreme value, its vertex, their number  the Bernstein form of the whole box
bernstein    boxes like "0-1+": halves along axes 0, 1    that they fill the box; a new form on each, without
                                                          de Casteljau
multipliers  hypothesis, factors, scale; boxes            the remainder anew, its coefficients as above
z3           the tactic                                   cvc5
cvc5         the tactic                                   z3
===========  ===========================================  =================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from fractions import Fraction
from typing import Any

import numpy as np

from derive.decide.bernstein import Array, Path, from_monomials, from_terms
from derive.decide.multipliers import Multiplier, bounded, remainder
from derive.decide.problem import Problem
from derive.decide.smt import consult
from derive.errors import DeriveError


def recheck(certificate: Mapping[str, Any], *, seconds: float = 10.0) -> bool:
    """Whether the certificate stands.  :func:`fault` says why it does not."""
    return fault(certificate, seconds=seconds) is None


def fault(certificate: Mapping[str, Any], *, seconds: float = 10.0) -> str | None:
    """What is wrong with a certificate, or None.  A solver gets ``seconds`` at most."""
    try:
        problem = Problem.from_json(certificate["problem"])
        for number, lemma in enumerate(certificate.get("lemmas", ()), 1):
            claimed = Problem.from_json(lemma["problem"])
            if claimed != problem.concluding(claimed.conclusion):
                return f"lemma {number} is about another box or other hypotheses"
            wrong = fault(lemma, seconds=seconds)
            if wrong is not None:
                return f"lemma {number}: {wrong}"
            problem = problem.given([claimed.conclusion])
        method, witness = certificate["method"], certificate["witness"]
        if method == "vertices":
            return _vertices_fault(problem, witness)
        if method == "bernstein":
            return _bernstein_fault(problem, [path_of(text) for text in witness["boxes"]])
        if method == "multipliers":
            return _multipliers_fault(problem, witness)
        if method in ("z3", "cvc5"):
            return _smt_fault(problem, "cvc5" if method == "z3" else "z3", seconds)
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError, DeriveError) as error:
        return f"not a certificate: {type(error).__name__}: {error}"
    return f"not a certificate: no method {method!r}"


def replay(problem: Mapping[str, Any], point: Mapping[str, Any]) -> bool:
    """Whether ``point`` (numbers or "p/q" by name) is a counterexample to the problem given as plain data."""
    return not Problem.from_json(problem).holds_at(point)


def path_text(path: Path) -> str:
    """``0-1+``: the lower half along axis 0, of that the upper half along axis 1."""
    return "".join(f"{axis}{'-+'[side]}" for axis, side in path)


def path_of(text: str) -> Path:
    if not re.fullmatch(r"(\d+[-+]){0,400}", text):
        raise ValueError(f"{text!r} is not a path of halvings")
    return tuple((int(axis), "-+".index(side)) for axis, side in re.findall(r"(\d+)([-+])", text))


def used_box(problem: Problem) -> list[tuple[Fraction, Fraction]] | None:
    """The intervals of the variables in the conclusion; None if one is infinite."""
    box = []
    for i in problem.used():
        _, low, high = problem.variables[i]
        if low is None or high is None:
            return None
        box.append((low, high))
    return box


def used_terms(problem: Problem) -> list[tuple[tuple[int, ...], Fraction]]:
    """The conclusion's terms, with exponents for the variables in it only."""
    used = problem.used()
    return [(tuple(exponents[i] for i in used), c) for exponents, c in problem.conclusion.terms]


def _allowed(coefficients: Iterable[Fraction], op: str) -> bool:
    if op == "==":
        return all(c == 0 for c in coefficients)
    least = min(coefficients)
    return least > 0 or (least == 0 and op == ">=")


def _vertices_fault(problem: Problem, witness: Mapping[str, Any]) -> str | None:
    box, used = used_box(problem), problem.used()
    if box is None or any(problem.conclusion.degree(i) != 1 for i in used):
        return "vertices do not decide: an infinite interval, or degree two"
    form = from_terms(used_terms(problem), box)
    if not _allowed(form.flat, problem.conclusion.op):
        return "the conclusion fails at a vertex"
    value = max(form.flat, key=abs) if problem.conclusion.op == "==" else min(form.flat)
    if Fraction(witness["value"]) != value or witness["count"] != form.size:
        return f"the extreme value is {value} of {form.size}, not {witness['value']} of {witness['count']}"
    if problem.conclusion.value(problem.values(witness["at"])) != value:
        return f"the extreme value {value} is not at {dict(witness['at'])}"
    return None


def _bernstein_fault(problem: Problem, leaves: list[Path]) -> str | None:
    box = used_box(problem)
    if box is None:
        return "Bernstein form does not decide on an infinite interval"
    return _cover_fault(used_terms(problem), box, leaves, problem.conclusion.op)


def _multipliers_fault(problem: Problem, witness: Mapping[str, Any]) -> str | None:
    hypothesis, scale = witness["hypothesis"], Fraction(witness["scale"])
    factors = [(problem.names.index(name), "-+".index(side)) for name, side in witness["factors"]]
    place = bounded(problem)
    if scale < 0 or problem.conclusion.op == "==" or place is None:
        return "a multiplier is not negative, and proves no equality, nothing on a line without an end"
    if hypothesis is not None and hypothesis not in range(len(problem.hypotheses)):
        return f"there is no hypothesis {hypothesis}"
    for monomial, (terms, strict) in remainder(problem, hypothesis, factors, scale).items():
        leaves = [path_of(text) for text in witness["boxes"][monomial]]
        wrong = _cover_fault(terms, place[1], leaves, ">" if strict else ">=")
        if wrong is not None:
            return f"the coefficient of {monomial}: {wrong}"
    return None


def multiplier_json(problem: Problem, found: Multiplier) -> dict[str, Any]:
    """The witness of method ``multipliers``."""
    return {
        "hypothesis": found.hypothesis,
        "factors": [[problem.names[i], "-+"[side]] for i, side in found.factors],
        "scale": str(found.scale),
        "boxes": {
            monomial: [path_text(leaf) for leaf in leaves] for monomial, leaves in found.covers.items()
        },
    }


def _cover_fault(
    terms: list[tuple[tuple[int, ...], Fraction]],
    box: list[tuple[Fraction, Fraction]],
    leaves: list[Path],
    op: str,
) -> str | None:
    if not fills(leaves, len(box)):
        return "the boxes do not fill the box"
    shape = tuple(max((e[k] for e, _ in terms), default=0) + 1 for k in range(len(box)))
    monomials = _power_basis(shape, terms)
    ends = np.array([_ends(box, leaf) for leaf in leaves], dtype=object).reshape(len(leaves), len(box), 2)
    forms = from_monomials(np.repeat(monomials[None], len(leaves), axis=0), ends[..., 0], ends[..., 1])
    for leaf, form in zip(leaves, forms, strict=True):
        if not _allowed(np.asarray(form, dtype=object).flat, op):
            return f"a coefficient on the box {path_text(leaf)!r} contradicts the conclusion"
    return None


def _power_basis(shape: tuple[int, ...], terms: list[tuple[tuple[int, ...], Fraction]]) -> Array:
    monomials = np.full(shape, Fraction(0), dtype=object)
    for exponents, coefficient in terms:
        monomials[exponents] = coefficient
    return monomials


def _ends(box: Sequence[tuple[Fraction, Fraction]], path: Path) -> list[tuple[Fraction, Fraction]]:
    ends = list(box)
    for axis, side in path:
        low, high = ends[axis]
        ends[axis] = ((low + high) / 2, high) if side else (low, (low + high) / 2)
    return ends


def fills(leaves: Sequence[Path], dimension: int) -> bool:
    """Whether halving can arrive at exactly these boxes, so that together they fill the whole."""
    if not leaves or () in leaves:
        return len(leaves) == 1
    axis = leaves[0][0][0]
    if axis >= dimension or any(leaf[0][0] != axis for leaf in leaves):
        return False
    sides = ([leaf[1:] for leaf in leaves if leaf[0][1] == side] for side in (0, 1))
    return all(fills(side, dimension) for side in sides)


def _smt_fault(problem: Problem, engine: str, seconds: float) -> str | None:
    with closing(consult(problem.smtlib(), seconds, [engine])) as verdicts:
        verdict = next(verdicts)
    if verdict.result == "unsat":
        return None
    return f"{engine} does not agree: {verdict.result} {verdict.reason}".rstrip()
