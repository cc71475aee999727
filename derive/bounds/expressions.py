"""``Supremum``: sup of a polynomial over a box, as a SymPy expression in what the box leaves free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import sympy

from derive.bounds.ranges import Range
from derive.decide.bernstein import from_monomials, maximize

TOLERANCE = 1e-6


class Supremum(sympy.Expr):
    """sup of ``body`` over low ≤ v ≤ high for every (v, low, high) of ``limits``.

    It stays as it is while symbols are left (norms, bounds of states); once only numbers are, it becomes a
    number that is not below the supremum, and above it by one part in a million at most.
    """

    is_real = True
    is_commutative = True

    def __new__(cls, body: sympy.Expr, *limits: Any) -> Self:
        boxes = tuple(sympy.Tuple(*limit) for limit in limits)
        made = sympy.Expr.__new__(cls, sympy.sympify(body), *boxes)
        return made._number() if not made.free_symbols else made

    @property
    def body(self) -> sympy.Expr:
        return self.args[0]

    @property
    def limits(self) -> tuple[Any, ...]:
        return self.args[1:]

    @property
    def bound_symbols(self) -> set[sympy.Symbol]:
        return {v for v, _, _ in self.limits}

    @property
    def free_symbols(self) -> set[sympy.Basic]:
        ends: set[sympy.Basic] = set()
        for _, low, high in self.limits:
            ends |= low.free_symbols | high.free_symbols
        return (self.body.free_symbols - self.bound_symbols) | ends

    def _eval_is_nonnegative(self) -> bool:
        return True  # bodies are sums of magnitudes

    def _number(self) -> sympy.Expr:
        if self.body in (sympy.oo, sympy.nan) or any(e.is_infinite for _, *ends in self.limits for e in ends):
            return sympy.oo
        polynomial = sympy.Poly(self.body, *(v for v, _, _ in self.limits))
        shape = tuple(polynomial.degree(v) + 1 for v in polynomial.gens)
        coefficients = np.zeros((1, *shape))
        for exponents, coefficient in polynomial.terms():
            coefficients[(0, *exponents)] = float(coefficient)
        low, high = (np.array([[float(limit[k]) for limit in self.limits]]) for k in (1, 2))
        _, upper, _ = maximize(from_monomials(coefficients, low, high), tolerance=TOLERANCE)
        return sympy.Float(float(np.nextafter(upper[0] * (1 + 1e-14), np.inf)))

    def _sympystr(self, printer: Any) -> str:
        where = ", ".join(
            f"{printer._print(low)} ≤ {v} ≤ {printer._print(high)}" for v, low, high in self.limits
        )
        return f"sup[{where}]({printer._print(self.body)})"

    def _latex(self, printer: Any) -> str:
        where = ",\\ ".join(
            rf"{printer._print(low)} \le {_tex(v)} \le {printer._print(high)}" for v, low, high in self.limits
        )
        body = printer._print(self.body.xreplace({v: sympy.Symbol(_tex(v)) for v in self.bound_symbols}))
        return rf"\sup_{{{where}}} \left({body}\right)"


def _tex(variable: sympy.Symbol) -> str:
    """A variable's Unicode name as LaTeX understands it: the time index as a subscript."""
    text = variable.name.replace("ₜ₋₁", "_{t-1}").replace("ₜ", "_{t}")
    for accent, command in (("\u0303", "tilde"), ("\u0302", "hat"), ("\u0304", "bar")):
        if accent in text:
            index = text.index(accent)
            text = rf"{text[: index - 1]}\{command}{{{text[index - 1]}}}{text[index + 1 :]}"
    return text


def greatest(candidates: list[sympy.Expr], tops: Mapping[sympy.Symbol, sympy.Expr]) -> sympy.Expr:
    """The maximum, without candidates that another one is never below.

    ``tops`` are the symbols of gates' upper ends with the least value they can have (z̄ ≥ 1/2).
    """
    shifted = {t: sympy.Dummy(t.name, nonnegative=True) + least for t, least in tops.items()}
    kept: list[sympy.Expr] = []
    for candidate in dict.fromkeys(candidates):
        if any(_never_below(other, candidate, shifted) for other in kept):
            continue
        kept = [k for k in kept if not _never_below(candidate, k, shifted)] + [candidate]
    return kept[0] if len(kept) == 1 else sympy.Max(*kept, evaluate=False)


def _never_below(x: sympy.Expr, y: sympy.Expr, shifted: Mapping[sympy.Symbol, sympy.Expr]) -> bool:
    difference = sympy.expand((x - y).xreplace(dict(shifted)))
    return bool(difference.is_nonnegative)


def supremum_node(body: sympy.Expr, box: Mapping[sympy.Symbol, Range]) -> sympy.Expr:
    """The node, over the variables that the body contains."""
    limits = [(v, r.low, r.high) for v, r in sorted(box.items(), key=lambda p: p[0].name) if body.has(v)]
    return Supremum(body, *limits) if limits else body
