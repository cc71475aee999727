"""``Supremum``: sup of a polynomial over a box, as a SymPy expression in what the box leaves free."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
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
        if self.has(sympy.oo, -sympy.oo, sympy.zoo, sympy.nan):
            return sympy.oo
        bars = sorted(self.body.atoms(sympy.Abs), key=str)
        patterns = product((1, -1), repeat=len(bars))  # |p| is the greater of p and -p, and only ever adds
        chosen = ({b: s * b.args[0] for b, s in zip(bars, signs, strict=True)} for signs in patterns)
        return max(self._maximum(signs) for signs in chosen)

    def _maximum(self, chosen: Mapping[sympy.Expr, sympy.Expr]) -> sympy.Expr:
        """The maximum with signs chosen for what stands in bars."""
        polynomial = sympy.Poly(self.body.xreplace(chosen), *(v for v, _, _ in self.limits))
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


def supremum_node(body: sympy.Expr, box: Mapping[sympy.Symbol, Range]) -> sympy.Expr:
    """The node, over the variables that the body contains."""
    limits = [(v, r.low, r.high) for v, r in sorted(box.items(), key=lambda p: p[0].name) if body.has(v)]
    return Supremum(body, *limits) if limits else body
