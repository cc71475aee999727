"""A polynomial relation with rational coefficients, plain and exact.

SymPy reads it; after that it is a tuple of terms with ``Fraction`` coefficients, evaluated by a few lines of
arithmetic that share nothing with SymPy or the provers.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import sympy

from derive.decide.bernstein import fraction
from derive.errors import DeriveError

Term: TypeAlias = tuple[tuple[int, ...], Fraction]  # the exponent of every variable, and the coefficient
# A SymPy relational, True, False, or (left, operator, right) where SymPy would simplify too much.
Question: TypeAlias = Any

COMPARE: dict[str, Callable[[Any, Any], bool]] = {">=": operator.ge, ">": operator.gt, "==": operator.eq}
_MIRROR = {"<=": ">=", "<": ">"}


class NotPolynomial(DeriveError, ValueError):
    """A relation that is not between polynomials with rational coefficients; the message names the term."""


@dataclass(frozen=True)
class Relation:
    """``polynomial op 0`` with op one of ``>=``, ``>``, ``==``."""

    terms: tuple[Term, ...]
    op: str

    def value(self, point: Sequence[Fraction]) -> Fraction:
        """The polynomial at a point."""
        total = Fraction(0)
        for exponents, coefficient in self.terms:
            for x, exponent in zip(point, exponents, strict=True):
                if exponent:
                    coefficient *= x**exponent
            total += coefficient
        return total

    def holds(self, point: Sequence[Fraction]) -> bool:
        return COMPARE[self.op](self.value(point), 0)

    def degree(self, variable: int) -> int:
        return max((exponents[variable] for exponents, _ in self.terms), default=0)

    def show(self, names: Sequence[str]) -> str:
        """``-z**2 + z**3 + 4/27 >= 0``."""
        text = ""
        for exponents, coefficient in self.terms:
            powers = [n if e == 1 else f"{n}**{e}" for n, e in zip(names, exponents, strict=True) if e]
            size = [str(abs(coefficient))] if abs(coefficient) != 1 or not powers else []
            sign = ("-" if coefficient < 0 else "") if not text else " - " if coefficient < 0 else " + "
            text += sign + "*".join(size + powers)
        return f"{text or '0'} {self.op} 0"


def bound(end: Any, infinite: int, symbol: sympy.Symbol) -> Fraction | None:
    """One end of an interval; None where it is infinite."""
    if sympy.sympify(end) == infinite * sympy.oo:
        return None
    if isinstance(end, float | sympy.Float) or not isinstance(sympy.sympify(end), sympy.Rational):
        raise NotPolynomial(f"the bound {end} of {symbol} is not an exact rational")
    return fraction(sympy.sympify(end))


def read(question: Question, symbols: tuple[sympy.Symbol, ...]) -> Relation:
    """A relation between polynomials in ``symbols``."""
    if isinstance(question, tuple):
        left, op, right = question
        return _between(sympy.sympify(left) - sympy.sympify(right), op, symbols)
    question = sympy.sympify(question)
    if question in (sympy.true, sympy.false):
        return _between(sympy.Integer(0 if question == sympy.true else -1), ">=", symbols)
    if not isinstance(question, sympy.core.relational.Relational):
        raise NotPolynomial(f"{question} is not a relation: write one with >=, >, <=, < or sympy.Eq")
    return _between(question.lhs - question.rhs, question.rel_op, symbols)


def _between(difference: sympy.Expr, op: str, symbols: tuple[sympy.Symbol, ...]) -> Relation:
    if op in _MIRROR:
        op, difference = _MIRROR[op], -difference
    if op not in COMPARE:
        raise NotPolynomial(f"{difference} {op} 0: the comparison must be >=, >, <=, < or ==")
    strange = difference.free_symbols - set(symbols)
    if strange:
        unknown = ", ".join(sorted(s.name for s in strange))
        raise NotPolynomial(f"{difference} {op} 0 has {unknown}, for which there is no interval")
    try:
        poly = sympy.Poly(difference, *(symbols or [sympy.Dummy()]), domain="QQ")
    except (sympy.PolynomialError, sympy.CoercionFailed):
        poly = None
    if poly is None or difference.has(sympy.Float):
        raise NotPolynomial(f"{difference} {op} 0: {_offender(difference, symbols)}")
    sums = {tuple(m[: len(symbols)]): fraction(c) for m, c in poly.terms()}
    return Relation(normal(sums), op)


def _offender(expr: sympy.Expr, symbols: tuple[sympy.Symbol, ...]) -> str:
    """The smallest part of ``expr`` that keeps it from being a polynomial with rational coefficients."""
    for part in sympy.postorder_traversal(expr):
        if isinstance(part, sympy.Float):
            return f"{part} is a float; write it as a Rational"
        if isinstance(part, sympy.Pow):
            fine = part.exp.is_Integer and (part.exp >= 0 or not part.base.free_symbols)
        else:
            fine = part.is_Rational or part in symbols or isinstance(part, sympy.Add | sympy.Mul)
        if not fine:
            root = " (give it as a variable w with its defining equation)" if not part.free_symbols else ""
            return f"{part} is not a polynomial with rational coefficients{root}"
    return "not a polynomial with rational coefficients"


def normal(sums: Mapping[tuple[int, ...], Fraction]) -> tuple[Term, ...]:
    """The terms in a fixed order, highest degree first, without zeros."""
    terms = [(m, c) for m, c in sums.items() if c]
    return tuple(sorted(terms, key=lambda term: (-sum(term[0]), [-e for e in term[0]])))
