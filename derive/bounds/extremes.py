"""Maxima and minima of symbolic bounds, compared by what is known of norms and of gates' upper ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import sympy


class _Extreme(sympy.Expr):
    """The greatest or least of some numbers ≥ 0, compared only once they are numbers.

    SymPy's own ``Max`` and ``Min`` compare symbolic arguments anew at every substitution, which takes seconds
    for expressions of this size; ``doit()`` gives them.
    """

    is_real = True
    is_commutative = True

    def __new__(cls, *args: Any) -> Self:
        values = dict.fromkeys(sympy.sympify(a) for a in args)
        numbers = [v for v in values if v.is_number]
        kept = [v for v in values if not v.is_number]
        if numbers:
            kept.append(cls._pick(numbers))
        return kept[0] if len(kept) == 1 else sympy.Expr.__new__(cls, *sorted(kept, key=str))

    @staticmethod
    def _pick(numbers: list[sympy.Expr]) -> sympy.Expr:
        raise NotImplementedError

    def _eval_is_nonnegative(self) -> bool:
        return True


class Greatest(_Extreme):
    """max of the arguments."""

    @staticmethod
    def _pick(numbers: list[sympy.Expr]) -> sympy.Expr:
        return sympy.Max(*numbers)

    def doit(self, **hints: Any) -> sympy.Expr:
        return sympy.Max(*(a.doit(**hints) for a in self.args))

    def _sympystr(self, printer: Any) -> str:
        return f"max({', '.join(printer._print(a) for a in self.args)})"

    def _latex(self, printer: Any) -> str:
        return rf"\max\left({', '.join(printer._print(a) for a in self.args)}\right)"


class Least(_Extreme):
    """min of the arguments."""

    @staticmethod
    def _pick(numbers: list[sympy.Expr]) -> sympy.Expr:
        return sympy.Min(*numbers)

    def doit(self, **hints: Any) -> sympy.Expr:
        return sympy.Min(*(a.doit(**hints) for a in self.args))

    def _sympystr(self, printer: Any) -> str:
        return f"min({', '.join(printer._print(a) for a in self.args)})"

    def _latex(self, printer: Any) -> str:
        return rf"\min\left({', '.join(printer._print(a) for a in self.args)}\right)"


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
    return Greatest(*kept)


def _never_below(x: sympy.Expr, y: sympy.Expr, shifted: Mapping[sympy.Symbol, sympy.Expr]) -> bool:
    difference = sympy.expand((x - y).xreplace(dict(shifted)))
    return bool(difference.is_nonnegative)
