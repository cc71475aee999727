"""A Jacobian as nested rows: Σ diag(aⱼ) Wⱼ (Σ diag(bₖ) Vₖ (…)), common prefixes factored out.

A row is what happens at one unit: its coefficients are taken at the same unit, so that their supremum is
joint (z and 1 - z never peak together).  Across a linear map the units are others, and a new row begins.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

import sympy

from derive.bounds.normalized import tamed
from derive.calculus import Jacobian, Word, step_jacobian
from derive.calculus.polynomials import factored
from derive.cell import Cell
from derive.symbols import LinearMap, Quantity


@dataclass(frozen=True)
class Term:
    """diag(coefficient) · map · rest; without a map it ends at ``column``, the quantity that δ perturbs.

    ``root_mean_square`` says that a mean over the rest is to be taken as its root mean square
    (:mod:`derive.bounds.normalized`).
    """

    coefficient: sympy.Expr
    map: LinearMap | None = None
    rest: Row | None = None
    column: Quantity | None = None
    root_mean_square: bool = False


@dataclass(frozen=True)
class Row:
    """A sum of terms at one unit; empty for zero."""

    terms: tuple[Term, ...] = ()

    def restricted(self, column: Quantity) -> Row:
        """What is left of it when only one column is perturbed."""
        kept: list[Term] = []
        for term in self.terms:
            if term.rest is None:
                kept += [term] if term.column == column else []
            elif (rest := term.rest.restricted(column)).terms:
                kept.append(replace(term, rest=rest))
        return Row(tuple(kept))


def row(blocks: Iterable[Jacobian]) -> Row:
    """One block row: the Jacobians of one vector by several quantities, as one nested sum."""
    return nested([(word, block.wrt) for block in blocks for word in block.words])


def nested(words: list[tuple[Word, Quantity]]) -> Row:
    """Words that agree in their first coefficient, up to a number, and their first map share a term."""
    terms: list[Term] = []
    groups: dict[tuple[sympy.Expr, LinearMap], list[tuple[Word, Quantity]]] = {}
    for word, column in words:
        if word.is_diagonal:
            terms.append(Term(word.leading, column=column))
            continue
        number, primitive = word.leading.as_coeff_Mul()
        rest = Word((factored(number * word.coefficients[1]), *word.coefficients[2:]), word.maps[1:])
        groups.setdefault((primitive, word.maps[0]), []).append((rest, column))
    terms += [_term(primitive, linear, nested(rest)) for (primitive, linear), rest in groups.items()]
    return Row(tuple(terms))


def _term(coefficient: sympy.Expr, linear: LinearMap, rest: Row) -> Term:
    found = tamed(coefficient, linear, [t.coefficient for t in rest.terms])
    if found is None:
        return Term(coefficient, linear, rest)
    tame, inner = found
    terms = (replace(t, coefficient=c) for t, c in zip(rest.terms, inner, strict=True))
    return Term(tame, linear, Row(tuple(terms)), root_mean_square=True)


@lru_cache(maxsize=1024)
def state_rows(cell: Cell) -> tuple[Row, ...]:
    """The block rows of the step's Jacobian, one for each state in ``cell.states`` order."""
    return tuple(row(blocks) for blocks in step_jacobian(cell).blocks)
