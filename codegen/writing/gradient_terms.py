"""Gradients as what they are linear in: sums of other gradients, each with a factor."""

from __future__ import annotations

from collections import Counter

import sympy

from codegen.loop import Loop, Mean
from codegen.plan import Assignment
from codegen.writing.loop_names import LoopNames
from derive.symbols import Quantity

Terms = list[tuple[Quantity, sympy.Expr]]
"""A sum of gradients, each with its factor."""


class GradientTerms:
    """The terms of every gradient and mean of a reverse step that is written by name.

    A gradient that only one other reads, or that is one other times a factor, is put into its readers.
    """

    def __init__(self, loop: Loop, names: LoopNames) -> None:
        self.backward = loop.backward
        self.names = names
        found = {symbol for s in self.backward.statements for symbol in s.symbols}
        self.gradients = {*found, *self.backward.carried.values(), *self.backward.arriving.values()}
        self._gone: dict[Quantity, Terms] = {}
        self.of = self._inlined()

    def of_sum(self, expr: sympy.Expr) -> Terms:
        """The terms of any formula that is linear in gradients."""
        return self._put_in(self._linear(expr))

    def _linear(self, expr: sympy.Expr) -> Terms:
        inside = sorted(expr.atoms(Quantity) & self.gradients, key=lambda q: self.names.of[q])
        return [(q, sympy.diff(expr, q)) for q in inside]

    def _inlined(self) -> dict[Quantity, Terms]:
        fixed = {*self.backward.of_previous.values(), *self.backward.of_blocks.values()}
        fixed |= {q for parts in self.backward.of_parts.values() for q in parts}
        named = [s for s in self.backward.statements if isinstance(s, Assignment | Mean)]
        raw = {s.symbol: self._linear(s.expr) for s in named}
        uses = Counter(q for terms in raw.values() for q, _ in terms)
        uses.update(q for expr in self.backward.sums.values() for q in expr.atoms(Quantity))
        scaled = {q for terms in raw.values() for q, factor in terms if factor != 1}
        found: dict[Quantity, Terms] = {}
        for statement in named:
            terms = self._put_in(raw[statement.symbol])
            alone = len(terms) == 1 or (uses[statement.symbol] == 1 and statement.symbol not in scaled)
            if isinstance(statement, Assignment) and statement.symbol not in fixed and alone:
                self._gone[statement.symbol] = terms
            else:
                found[statement.symbol] = terms
        return found

    def _put_in(self, terms: Terms) -> Terms:
        total: dict[Quantity, sympy.Expr] = {}
        for gradient, factor in terms:
            for inner, inner_factor in self._gone.get(gradient, [(gradient, sympy.S.One)]):
                total[inner] = total.get(inner, sympy.S.Zero) + factor * inner_factor
        return list(total.items())
