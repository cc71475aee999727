"""Words: diag(a₀) W₁ diag(a₁) W₂ … Wₖ diag(aₖ), the terms of a Jacobian.

A word is a linear function of a perturbation δ.  The coefficients aⱼ are expressions of the cell's vectors,
polynomials in gates and candidates wherever an activation knows its slope by its own output; the Wⱼ are the
cell's linear maps.  A derivative with respect to a matrix ends in the vector that the matrix is applied to:
diag(a₀) W₁ diag(a₁) δ v.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sympy

from derive.calculus.polynomials import factored, mean_of
from derive.show.notation import FACTOR, PRODUCT, Notation
from derive.show.text import TextNotation
from derive.symbols import Linear, LinearMap, MeanMap, substitute


@dataclass(frozen=True)
class Tail:
    """A word without its first coefficient: words with equal tails add up by their first coefficients."""

    maps: tuple[LinearMap, ...] = ()
    coefficients: tuple[sympy.Expr, ...] = ()
    operand: sympy.Expr | None = None


@dataclass(frozen=True)
class Word:
    """diag(a₀) W₁ diag(a₁) … Wₖ diag(aₖ), with k maps and k + 1 coefficients.

    ``operand`` is None for a derivative by a vector; for one by a matrix it is the vector v of ``δ v``, where
    the word ends.
    """

    coefficients: tuple[sympy.Expr, ...]
    maps: tuple[LinearMap, ...] = ()
    operand: sympy.Expr | None = None

    @property
    def leading(self) -> sympy.Expr:
        """a₀, the coefficient that scales the rows."""
        return self.coefficients[0]

    @property
    def tail(self) -> Tail:
        return Tail(self.maps, self.coefficients[1:], self.operand)

    @property
    def is_diagonal(self) -> bool:
        """Whether the word mixes no units."""
        return not self.maps and self.operand is None

    def applied(self, perturbation: sympy.Expr) -> sympy.Expr:
        """The word applied to a vector (for a word with an operand: to what stands for ``δ v``)."""
        result = self.coefficients[-1] * perturbation
        for linear, coefficient in zip(reversed(self.maps), reversed(self.coefficients[:-1]), strict=True):
            result = coefficient * Linear(linear, result)
        return result

    def after(self, other: Word) -> Word:
        """The product of two words, this one applied after the other; the coefficients between them merge."""
        joint = self.coefficients[-1] * other.coefficients[0]
        coefficients = (*self.coefficients[:-1], joint, *other.coefficients[1:])
        return Word(coefficients, self.maps + other.maps, other.operand)

    def substituted(self, values: dict[sympy.Expr, sympy.Expr]) -> Word:
        """Values put into the coefficients (and the operand)."""
        operand = None if self.operand is None else substitute(self.operand, values)
        return Word(tuple(substitute(c, values) for c in self.coefficients), self.maps, operand)

    def spelled(self, notation: Notation) -> str:
        """On one line: ``diag(zₜ) W diag(rₜ)``; coefficients 1 are left out."""
        parts: list[str] = []
        for index, coefficient in enumerate(self.coefficients):
            if coefficient != 1:
                number = coefficient.is_number
                parts.append(notation(coefficient, FACTOR) if number else f"diag({notation(coefficient)})")
            if index < len(self.maps):
                parts.append(notation(self.maps[index], PRODUCT))
        if self.operand is not None:
            parts.append(f"δ {notation(self.operand, FACTOR)}")
        return " ".join(parts) or "I"

    def __str__(self) -> str:
        return self.spelled(TextNotation())


def collected(terms: dict[Tail, sympy.Expr]) -> tuple[Word, ...]:
    """The words of a sum, shortest first; coefficients that vanish identically are left out."""
    terms = added(
        {word.tail: word.leading} for tail, lead in terms.items() for word in [_contracted(tail, lead)]
    )
    words = []
    for tail, leading in terms.items():
        coefficients = tuple(factored(c) for c in (leading, *tail.coefficients))
        if not any(c == 0 for c in coefficients):
            words.append(Word(coefficients, tail.maps, tail.operand))
    return tuple(sorted(words, key=lambda w: (len(w.maps), [m.name for m in w.maps])))


def _contracted(tail: Tail, leading: sympy.Expr) -> Word:
    """With M = 11ᵀ/n, M diag(e) M is mean(e) M: two means in a row are one, and a number."""
    coefficients, maps = [leading, *tail.coefficients], list(tail.maps)
    for k in range(len(maps) - 2, -1, -1):
        if isinstance(maps[k], MeanMap) and maps[k + 1] == maps[k]:
            number = mean_of(coefficients.pop(k + 1), maps.pop(k + 1))
            coefficients[k] *= number
    return Word(tuple(coefficients), tuple(maps), tail.operand)


def added(summands: Iterable[dict[Tail, sympy.Expr]]) -> dict[Tail, sympy.Expr]:
    """A sum of sums."""
    total: dict[Tail, sympy.Expr] = {}
    for terms in summands:
        for tail, leading in terms.items():
            total[tail] = total.get(tail, sympy.S.Zero) + leading
    return total
