"""Unbounded norms and a hypothesis: p ≥ 0 follows from h ≥ 0 where p − λh is plainly not negative.

Given h ≥ 0 and a multiplier λ ≥ 0 that is a product of distances to ends of the box, such as 1 − z, look at
p − λh as a polynomial in the half-infinite variables (the norms, counted from their finite ends).  Where none
of its coefficients, polynomials in the bounded variables, is negative over the box (Bernstein form says so),
p ≥ 0 follows.  The search is small and incomplete; what it finds is exact and easy to check.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from derive.decide.bernstein import Cover, Path, from_terms, nonnegative
from derive.decide.problem import Problem

Poly: TypeAlias = dict[tuple[int, ...], Fraction]
Factor: TypeAlias = tuple[int, int]  # a bounded variable, and 0 for x - low or 1 for high - x
Box: TypeAlias = list[tuple[Fraction, Fraction]]
Part: TypeAlias = tuple[
    list[tuple[tuple[int, ...], Fraction]], bool
]  # a coefficient, and whether it must be > 0

_MOST_BOXES = 64
_MOST_VERTICES = 64
_MOST_COEFFICIENTS = 2000


@dataclass(frozen=True)
class Multiplier:
    """p − scale · (product of the factors) · hypothesis, and a cover for each coefficient of that."""

    hypothesis: int | None  # by position; None: p itself
    factors: tuple[Factor, ...]
    scale: Fraction
    covers: dict[str, tuple[Path, ...]]


def multipliers(problem: Problem, until: float = math.inf) -> Multiplier | None:
    """Look for a multiplier that proves the conclusion; None where the small search finds none.

    It gives up when the clock (``time.monotonic``) says ``until``.
    """
    if problem.conclusion.op == "==" or bounded(problem) is None:
        return None
    finite = [i for i in problem.used() if None not in problem.variables[i]]
    ends = [(i, side) for i in finite for side in (0, 1)]
    products = [(), *((end,) for end in ends), *itertools.combinations_with_replacement(ends, 2)]
    choices: Iterator[tuple[int | None, tuple[Factor, ...]]] = itertools.chain(
        [(None, ())], itertools.product(range(len(problem.hypotheses)), products)
    )
    for hypothesis, factors in choices:
        if time.monotonic() > until:
            return None
        scale = Fraction(0) if hypothesis is None else _scale(problem, hypothesis, factors)
        found = _covers(problem, hypothesis, factors, scale) if scale is not None else None
        if found is not None:
            return Multiplier(hypothesis, tuple(factors), scale or Fraction(0), found)
    return None


def bounded(problem: Problem) -> tuple[list[int], Box] | None:
    """The variables with two finite ends, and their box; None if a variable in use has no end at all."""
    relations = (problem.conclusion, *problem.hypotheses)
    finite, box = [], []
    for i, (_, low, high) in enumerate(problem.variables):
        if low is not None and high is not None:
            finite.append(i)
            box.append((low, high))
        elif low is None and high is None and any(r.degree(i) for r in relations):
            return None
    return finite, box


def remainder(
    problem: Problem, hypothesis: int | None, factors: Sequence[Factor], scale: Fraction
) -> dict[str, Part]:
    """The coefficients of p − λh, each by the monomial of half-infinite variables that it belongs to."""
    total = _shifted(problem, dict(problem.conclusion.terms))
    if hypothesis is not None:
        product = _shifted(problem, dict(problem.hypotheses[hypothesis].terms))
        for factor in factors:
            product = _times(product, _distance(problem, factor))
        for exponents, coefficient in product.items():
            total[exponents] = total.get(exponents, Fraction(0)) - scale * coefficient
    finite = [i for i, v in enumerate(problem.variables) if None not in v]
    one = _monomial(problem, (0,) * len(problem.variables), finite)
    parts: dict[str, Part] = {one: ([], problem.conclusion.op == ">")}
    for exponents, coefficient in total.items():
        if coefficient:
            part = parts.setdefault(_monomial(problem, exponents, finite), ([], False))
            part[0].append((tuple(exponents[i] for i in finite), coefficient))
    return parts


def _monomial(problem: Problem, exponents: Sequence[int], finite: list[int]) -> str:
    pairs = enumerate(zip(problem.names, exponents, strict=True))
    powers = [f"{name}**{e}" for i, (name, e) in pairs if e and i not in finite]
    return "*".join(powers) or "1"


def _covers(
    problem: Problem, hypothesis: int | None, factors: Sequence[Factor], scale: Fraction
) -> dict[str, tuple[Path, ...]] | None:
    _, box = bounded(problem) or ([], [])
    covers = {}
    for monomial, (terms, strict) in remainder(problem, hypothesis, factors, scale).items():
        if (
            math.prod(max((e[k] for e, _ in terms), default=0) + 1 for k in range(len(box)))
            > _MOST_COEFFICIENTS
        ):
            return None
        cover = nonnegative(from_terms(terms, box), strict=strict, most_boxes=_MOST_BOXES)
        if not isinstance(cover, Cover):
            return None
        covers[monomial] = cover.leaves
    return covers


def _scale(problem: Problem, hypothesis: int, factors: Sequence[Factor]) -> Fraction | None:
    """The greatest constant that the vertices allow with all norms at their ends; 1 if they say nothing."""
    ends: list[tuple[Fraction, ...]] = []
    for _, low, high in problem.variables:
        ends.append(tuple(dict.fromkeys(end for end in (low, high) if end is not None)) or (Fraction(0),))
    best: Fraction | None = None
    for vertex in itertools.islice(itertools.product(*ends), _MOST_VERTICES):
        weight = problem.hypotheses[hypothesis].value(vertex)
        for i, side in factors:
            weight *= abs(ends[i][-1 if side else 0] - vertex[i])
        if weight > 0:
            ratio = problem.conclusion.value(vertex) / weight
            best = ratio if best is None else min(best, ratio)
    if best is None:
        return Fraction(1)
    return best if best > 0 else None


def _distance(problem: Problem, factor: Factor) -> Poly:
    i, side = factor
    _, low, high = problem.variables[i]
    zero = (0,) * len(problem.variables)
    x = (*zero[:i], 1, *zero[i + 1 :])
    end = high if side else low
    if low is None or high is None or end is None:
        raise ValueError(f"{problem.names[i]} is not bounded on both sides: no factor")
    return {x: Fraction(-1), zero: end} if side else {x: Fraction(1), zero: -end}


def _times(left: Poly, right: Poly) -> Poly:
    result: Poly = {}
    for (e, a), (f, b) in itertools.product(left.items(), right.items()):
        exponents = tuple(map(sum, zip(e, f, strict=True)))
        result[exponents] = result.get(exponents, Fraction(0)) + a * b
    return result


def _shifted(problem: Problem, poly: Poly) -> Poly:
    """Half-infinite variables counted from their ends: x = low + u, or x = high − u."""
    for i, (_, low, high) in enumerate(problem.variables):
        if (low is None) == (high is None) or (low == 0 and high is None):
            continue
        end, sign = (low, 1) if low is not None else (high, -1)
        moved: Poly = {}
        for exponents, coefficient in poly.items():
            n = exponents[i]
            for k in range(n + 1):
                key = (*exponents[:i], k, *exponents[i + 1 :])
                weight = math.comb(n, k) * sign**k * Fraction(end or 0) ** (n - k)
                moved[key] = moved.get(key, Fraction(0)) + coefficient * weight
        poly = moved
    return poly
