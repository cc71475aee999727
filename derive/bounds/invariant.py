"""The smallest box of states that a step does not leave, whatever the weights and the input.

It is solved for: a state whose next value is c ⊙ s + r, with c and r polynomials in vectors of known range,
stays in [low, high] exactly if every Bernstein coefficient of c s + r over the box, at s = low and s = high,
lies in [low, high].  Those are linear inequalities in the two ends; the smallest solution that contains the
start 0 is found by following the active ones (policy iteration).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import sympy

from derive.anatomy import states
from derive.bounds.ranges import EVERYTHING, Range, Ranges
from derive.calculus.polynomials import with_generators
from derive.cell import Cell
from derive.decide.bernstein import tensor
from derive.symbols import Activated, Previous, Quantity, State, Vector, substitute

MOST_ROUNDS = 40
"""Changes of the active inequalities before a state is left without a box."""
MOST_PASSES = 4
"""Over the states; h = tanh(c), c = tanh(h) would shrink for ever: tanh(1), tanh(tanh(1)), …"""


@dataclass(frozen=True)
class StateBox:
    """One state's interval and, where it was solved for, the polynomial that shows it: next = c s + r.

    ``generators`` are the bounded vectors and nodes in ``next``, with their ranges.  A state that is bounded
    because whatever is written to it is bounded has ``next`` as its range and needs no induction.
    """

    state: State
    range: Range
    next: sympy.Expr
    generators: Mapping[sympy.Expr, Range]

    @property
    def is_bounded(self) -> bool:
        return self.range.is_finite


@lru_cache(maxsize=1024)
def invariant_boxes(cell: Cell) -> tuple[StateBox, ...]:
    """The smallest inductive interval of every state in ``cell.states`` order; unbounded ones are ±oo.

    Independent of weights and input: gates and candidates have the ranges that their activations declare.
    """
    box: dict[Quantity, Range] = {s.prev: EVERYTHING for s in states(cell)}
    found: dict[Quantity, StateBox] = {}
    for _ in range(MOST_PASSES):  # every pass gives an inductive box within the last one
        found = {s.prev: _one(cell, s, box) for s in states(cell)}
        new = {past: f.range for past, f in found.items()}
        if new == box:
            break
        box = new
    return tuple(found[s.prev] for s in states(cell))


def _one(cell: Cell, state: State, box: Mapping[Quantity, Range]) -> StateBox:
    past = state.prev
    others: dict[Quantity, Range] = {q: r for q, r in box.items() if q != past}
    stay = frozenset(q.label for q, r in others.items() if isinstance(q, Previous) and r.is_finite)
    ranges = Ranges(cell, others, norm=None, inductive=stay)
    expr = inlined_to_activations(cell, state)
    polynomial, meanings = with_generators(sympy.expand(expr))
    symbols = sorted(polynomial.free_symbols - {past}, key=str)
    generators = {g: ranges(meanings.get(g, g)) for g in symbols}
    shown = {meanings.get(g, g): r for g, r in generators.items()}
    solved = _solve(polynomial, past, generators)
    if solved is None:
        around = ranges(state)  # what the intervals alone give, with nothing known of the past
        solved = around if around.is_finite and around.is_number else EVERYTHING
    return StateBox(state, solved, expr, shown)


def inlined_to_activations(cell: Cell, symbol: Vector) -> sympy.Expr:
    """A vector in terms of activated vectors and nodes, past states, inputs and linear maps of anything.

    A vector that is an activation of something stands for itself; any other is put in.
    """
    expr = cell.equations[symbol]
    if isinstance(expr, Activated):
        return symbol
    inner = {v: inlined_to_activations(cell, v) for v in _bare_vectors(expr)}
    return substitute(expr, {v: e for v, e in inner.items() if v != e})


def _bare_vectors(expr: sympy.Expr) -> Iterator[Vector]:
    """The vectors in an expression outside maps, activations and roots."""
    polynomial, _ = with_generators(expr)
    return (q for q in polynomial.free_symbols if isinstance(q, Vector))


def _solve(polynomial: sympy.Expr, past: Previous, generators: Mapping[sympy.Symbol, Range]) -> Range | None:
    """The smallest [low, high] that contains 0 and is mapped into itself; None where there is none."""
    if any(not (r.is_number and r.is_finite) for r in generators.values()):
        return None
    poly = sympy.Poly(polynomial, past, *generators)
    if poly.degree(past) > 1:
        return None
    unit = [(Fraction(0), Fraction(1)), *(rational_ends(r) for r in generators.values())]
    coefficients = tensor(poly, unit)  # at s = 0: r; at s = 1: c + r
    at_zero = [Fraction(v) for v in coefficients[0].flat]
    lines = [(Fraction(0), v) for v in at_zero]
    if len(coefficients) == 2:
        lines = [(Fraction(v) - r, r) for v, r in zip(coefficients[1].flat, at_zero, strict=True)]
    return _smallest(lines)


def _smallest(lines: list[tuple[Fraction, Fraction]]) -> Range | None:
    """Policy iteration on: every c s + r with s an end lies between the ends.  ``lines`` are the (c, r)."""
    low = high = Fraction(0)
    for _ in range(MOST_ROUNDS):
        values = [_Line(c * s + r, c, r, at_high) for c, r in lines for at_high, s in ((0, low), (1, high))]
        top, bottom = max(values), min(values)
        if top.value <= high and bottom.value >= low:
            return Range(sympy.Rational(low), sympy.Rational(high))
        active = (top if top.value > high else None, bottom if bottom.value < low else None)
        solved = _fixed_point(*active, low, high)
        if solved is None or solved[0] > low or solved[1] < high:
            return None
        low, high = solved
    return None


class _Line(NamedTuple):
    """c s + r with s at the high end of the box, or at the low one."""

    value: Fraction
    c: Fraction
    r: Fraction
    at_high: int


def _fixed_point(
    top: _Line | None, bottom: _Line | None, low: Fraction, high: Fraction
) -> tuple[Fraction, Fraction] | None:
    """The ends at which the active inequalities are equalities (an inactive end stays where it is)."""
    low_, high_ = sympy.symbols("low high")
    equations = []
    for line, end, value in ((top, high_, high), (bottom, low_, low)):
        if line is None:
            equations.append(end - sympy.Rational(value))
        else:
            at = high_ if line.at_high else low_
            equations.append(end - sympy.Rational(line.c) * at - sympy.Rational(line.r))
    solutions = sympy.linsolve(equations, low_, high_)
    for found in solutions:
        if all(v.is_number for v in found):
            return Fraction(int(found[0].p), int(found[0].q)), Fraction(int(found[1].p), int(found[1].q))
    return None


def rational_ends(interval: Range, denominator: int = 1 << 20) -> tuple[Fraction, Fraction]:
    """Rational ends around a finite interval: exact where they are rational, else rounded outward."""
    ends = []
    for end, up in ((interval.low, False), (interval.high, True)):
        if end.is_Rational:
            ends.append(Fraction(int(end.p), int(end.q)))
        else:
            scaled = end * denominator
            whole = int(sympy.ceiling(scaled) if up else sympy.floor(scaled))
            ends.append(Fraction(whole, denominator))
    return ends[0], ends[1]
