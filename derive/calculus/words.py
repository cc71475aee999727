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

from derive.calculus.polynomials import factored, folded, mean_of, split
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
        """Values put into the coefficients (and the operand), and what is then known computed exactly."""
        operand = None if self.operand is None else folded(substitute(self.operand, values))
        return Word(tuple(folded(substitute(c, values)) for c in self.coefficients), self.maps, operand)

    def spelled(self, notation: Notation) -> str:
        """On one line: ``2 diag(zₜ) W diag(rₜ)``; coefficients 1 are left out."""
        number, leading = split(self.leading)
        parts: list[str] = []
        for index, coefficient in enumerate((leading, *self.coefficients[1:])):
            if coefficient != 1:
                parts.append(f"diag({notation(coefficient)})")
            if index < len(self.maps):
                parts.append(notation(self.maps[index], PRODUCT))
        if self.operand is not None:
            parts.append(f"δ {notation(self.operand, FACTOR)}")
        sign, size = ("-", -number) if number.is_negative else ("", number)
        scale = [] if size == 1 else [notation(size, PRODUCT)]
        return sign + " ".join([*scale, *(parts or ["I"])])

    def __str__(self) -> str:
        return self.spelled(TextNotation())


def collected(terms: dict[Tail, sympy.Expr]) -> tuple[Word, ...]:
    """The words of a sum, shortest first; words that vanish identically are left out."""
    normal = added({tail: lead} for tail, lead in map(_normal, terms.items()))
    words = [
        Word((leading, *tail.coefficients), tail.maps, tail.operand)
        for tail, leading in ((tail, factored(total)) for tail, total in normal.items())
        if leading != 0
    ]
    return tuple(sorted(words, key=lambda w: (len(w.maps), [m.name for m in w.maps])))


def _normal(term: tuple[Tail, sympy.Expr]) -> tuple[Tail, sympy.Expr]:
    """One way to write a word, so that equal words meet: coefficients factored, all numbers in the first one.

    With M = 11ᵀ/n, M diag(e) M is mean(e) M: two means in a row are one, and a number.
    """
    tail, leading = term
    coefficients, maps = [leading, *tail.coefficients], list(tail.maps)
    for k in range(len(maps) - 2, -1, -1):
        if isinstance(maps[k], MeanMap) and maps[k + 1] == maps[k]:
            number = mean_of(coefficients.pop(k + 1), maps.pop(k + 1))
            coefficients[k] *= number
    if tail.operand == 0:
        return tail, sympy.S.Zero
    parts = [split(c) for c in coefficients[1:]]
    rest = tuple(factors for _, factors in parts)
    return Tail(tuple(maps), rest, tail.operand), sympy.Mul(coefficients[0], *(number for number, _ in parts))


def added(summands: Iterable[dict[Tail, sympy.Expr]]) -> dict[Tail, sympy.Expr]:
    """A sum of sums."""
    total: dict[Tail, sympy.Expr] = {}
    for terms in summands:
        for tail, leading in terms.items():
            total[tail] = total.get(tail, sympy.S.Zero) + leading
    return total
