"""The order and the bracketing of an expression on paper; a subclass says how each kind of node is spelt.

SymPy sorts sums and products for its own ends.  On paper a write is carry first (f ⊙ s + i ⊙ s̃) and an
affine map is state, input, peephole, bias (W s + U x + P c + b).  That order is decided here, once, for
every printer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import sympy

from derive.symbols import Activated, Linear, Parameter, Previous, Quantity, State, Vector

SUM, PRODUCT, FACTOR, ATOM = 1, 2, 3, 4


class Notation(ABC):
    """Spells expressions; ``order`` lists the vectors as their equations stand in the cell.

    Every piece of text comes with a level: how tightly its outermost operation binds.  A piece is bracketed
    where its level is below the one that its place asks for.
    """

    negated = PRODUCT
    """What may follow a leading minus sign without brackets."""

    def __init__(self, order: Iterable[Quantity] = ()) -> None:
        self._position = {symbol: index for index, symbol in enumerate(order)}

    def __call__(self, expr: sympy.Expr, outer: int = 0) -> str:
        text, level = self._spell(sympy.sympify(expr))
        return self.brackets(text) if level < outer else text

    @abstractmethod
    def quantity(self, symbol: Quantity) -> str: ...

    @abstractmethod
    def linear(self, expr: Linear) -> tuple[str, int]: ...

    @abstractmethod
    def activated(self, expr: Activated) -> tuple[str, int]: ...

    @abstractmethod
    def product(self, factors: list[sympy.Expr]) -> str: ...

    @abstractmethod
    def quotient(self, numerator: sympy.Expr, denominator: sympy.Expr) -> tuple[str, int]: ...

    @abstractmethod
    def power(self, base: sympy.Expr, exponent: sympy.Expr) -> tuple[str, int]: ...

    def number(self, value: sympy.Expr) -> tuple[str, int]:
        text = repr(float(value)) if value.is_Float else str(value)
        return text, PRODUCT if value.is_negative or "/" in text else ATOM

    def brackets(self, text: str) -> str:
        return f"({text})"

    def terms(self, expr: sympy.Expr) -> list[sympy.Expr]:
        """The terms of a sum in their order on paper: no minus and no number in front if avoidable."""
        terms = sorted(sympy.Add.make_args(expr), key=self._term_key)
        positive = [t for t in terms if not t.as_coeff_Mul()[0].is_negative]
        first = next((t for t in positive if not t.is_Number), positive[0] if positive else terms[0])
        numbers = [t for t in terms if t.is_Number and t != first]
        return [first, *(t for t in terms if t != first and not t.is_Number), *numbers]

    def factors(self, expr: sympy.Expr) -> list[sympy.Expr]:
        """The factors of a product in their order on paper."""
        return sorted(sympy.Mul.make_args(expr), key=self._factor_key)

    def _spell(self, expr: sympy.Expr) -> tuple[str, int]:
        if isinstance(expr, Quantity):
            return self.quantity(expr), ATOM
        if isinstance(expr, Linear):
            return self.linear(expr)
        if isinstance(expr, Activated):
            return self.activated(expr)
        if expr.is_Number:
            return self.number(expr)
        if expr.is_Add:
            return self._sum(expr), SUM
        if expr.is_Mul:
            return self._mul(expr)
        if expr.is_Pow:
            base, exponent = expr.args
            if exponent.is_negative:
                return self.quotient(sympy.S.One, base**-exponent)
            return self.power(base, exponent)
        raise TypeError(f"{expr} ({type(expr).__name__}) is no expression of a cell")

    def _sum(self, expr: sympy.Expr) -> str:
        text = ""
        for term in self.terms(expr):
            coefficient, rest = term.as_coeff_Mul()
            negative = coefficient.is_negative
            # brackets around a negative product inside a sum would hide the sign, so it is pulled out
            if negative:
                body = self(-coefficient * rest, PRODUCT if text else self.negated)
                text += f" - {body}" if text else f"-{body}"
            else:
                text += f" + {self(term, PRODUCT)}" if text else self(term, PRODUCT)
        return text

    def _mul(self, expr: sympy.Expr) -> tuple[str, int]:
        coefficient, rest = expr.as_coeff_Mul()
        if coefficient.is_negative:
            return f"-{self(_product([-coefficient, rest]), self.negated)}", SUM
        below = [sympy.Pow(f.base, -f.exp) for f in sympy.Mul.make_args(rest) if _is_divisor(f)]
        above = [f for f in sympy.Mul.make_args(rest) if not _is_divisor(f)]
        if coefficient.is_Rational:
            above.insert(0, sympy.Integer(coefficient.p))
            below.insert(0, sympy.Integer(coefficient.q))
        else:
            above.insert(0, coefficient)
        if _product(below) != 1:
            return self.quotient(_product(above), _product(below))
        return self.product(self.factors(expr)), PRODUCT

    def _rank(self, expr: sympy.Expr) -> int:
        """Where the first vector that multiplies elementwise is written."""
        if isinstance(expr, Vector) and not isinstance(expr, State):
            return self._position.get(expr, len(self._position))
        if isinstance(expr, Quantity | Linear | Activated):
            return len(self._position) + 1
        return min((self._rank(a) for a in expr.args), default=len(self._position) + 1)

    def _term_key(self, term: sympy.Expr) -> tuple[Any, ...]:
        factors = sympy.Mul.make_args(term)
        maps = sorted((node.map.name for node in term.atoms(Linear)), reverse=True)
        if term.is_Number:
            group = 0
        elif any(isinstance(f, Previous) for f in factors) and not any(
            isinstance(f, Parameter) for f in factors
        ):
            group = 1
        elif maps:
            group = 2
        elif any(isinstance(f, Parameter) for f in factors):
            group = 4 if len(factors) > 1 else 5
        else:
            group = 3
        # W before U before P: reverse alphabetical by the map's name
        letters = [-ord(c) for c in maps[0]] if maps and group == 2 else []
        return group, letters, self._rank(term), str(term)

    def _factor_key(self, factor: sympy.Expr) -> tuple[Any, ...]:
        kinds = (Parameter, Vector, sympy.Add, Linear, Quantity, Activated)
        kind = next((i for i, k in enumerate(kinds) if isinstance(factor, k)), len(kinds))
        if isinstance(factor, State):
            kind = 4
        return not factor.is_number, kind != 0, self._rank(factor), kind, str(factor)


def _is_divisor(factor: sympy.Expr) -> bool:
    return bool(factor.is_Pow and factor.exp.is_negative)


def _product(factors: list[sympy.Expr]) -> sympy.Expr:
    """The product as it stands: SymPy would multiply 2 ⊙ (a + b) out."""
    factors = [f for factor in factors for f in sympy.Mul.make_args(factor) if f != 1]
    return sympy.Mul(*factors, evaluate=False) if len(factors) > 1 else factors[0] if factors else sympy.S.One
