"""The rows of a step's Jacobian against a condition: small polynomial problems, set up from its words alone.

Every word diag(a₀) W diag(a₁) V … counts |a₀| ‖W‖ |a₁| ‖V‖ …; a coefficient is a product of parts that share
no vector, each with a problem of its own: |f (1 - f)| ≤ 1/4, |1 - s̃²| ≤ 1.  The sums are then put against the
condition.  A vector between symbolic ends is written low + (high - low) u, so that no hypotheses are needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

import networkx as nx
import sympy
from sympy import oo

from derive.bounds.invariant import rational_ends
from derive.bounds.ranges import Range
from derive.bounds.symbols import norm_symbol
from derive.calculus import Jacobian, Word
from derive.calculus.polynomials import split, with_generators
from derive.claims.tools.ends import Ends
from derive.decide import Problem
from derive.symbols import MeanMap

Relation = tuple[sympy.Expr, str, sympy.Expr]
Part: TypeAlias = sympy.Expr
"""A factor of a coefficient, or several that share vectors, in vectors and opaque nodes."""


class NotShown(ValueError):
    """No polynomial problem shows it; the message says why."""


@lru_cache(maxsize=1 << 12)
def parts(coefficient: sympy.Expr) -> tuple[sympy.Expr, tuple[Part, ...]]:
    """The number in front, positive, and the parts that share no vector."""
    polynomial, meanings = with_generators(coefficient)
    number, factors = sympy.factor_list(polynomial)
    graph = nx.Graph()
    for index, (factor, _) in enumerate(factors):
        graph.add_edges_from((index, symbol) for symbol in factor.free_symbols)
    groups = [sorted(k for k in group if isinstance(k, int)) for group in nx.connected_components(graph)]
    products = [split(sympy.expand(sympy.Mul(*(factors[k][0] ** factors[k][1] for k in g)))) for g in groups]
    number *= sympy.Mul(*(n for n, _ in products))
    return abs(number), tuple(sorted((rest.xreplace(meanings) for _, rest in products), key=str))


@dataclass
class Rows:
    """``sizes`` has a bound of every part's absolute value; ``ends`` what is known of vectors."""

    ends: Ends
    sizes: Mapping[Part, sympy.Expr]
    _divisors: dict[sympy.Expr, sympy.Symbol] = field(default_factory=dict)

    def total(self, block: Jacobian, kept: frozenset[sympy.Expr] = frozenset()) -> sympy.Expr:
        """Σ over words; of first coefficients the parts in ``kept`` vectors stay as they are."""
        return sympy.Add(*(self._word(word, kept) for word in block.words))

    def _word(self, word: Word, kept: frozenset[sympy.Expr]) -> sympy.Expr:
        size = sympy.Mul(*(1 if isinstance(m, MeanMap) else norm_symbol(m.name) for m in word.maps))
        for place, coefficient in enumerate(word.coefficients):
            number, found = parts(coefficient)
            size *= number
            for part in found:
                stays = place == 0 and nodes(part) <= kept
                size *= self.oriented(part) if stays else self.sizes[part]
        return size

    def oriented(self, part: Part) -> sympy.Expr:
        """The part or its negative, whichever is positive in the middle of the box."""
        middle = {v: sympy.Rational(1, 2) for v in nodes(part)}
        return -part if with_generators(part)[0].xreplace(middle).is_negative else part

    def lemmas(self, kept: frozenset[sympy.Expr] = frozenset()) -> Iterator[Problem]:
        """|part| ≤ size for every part, and part ≥ 0 for those that stay without bars."""
        for part, size in self.sizes.items():
            if nodes(part) <= kept:
                yield from self.nonnegative(self.oriented(part))
            for sign in (1, -1):
                yield from self.nonnegative(size - sign * part)

    def nonnegative(self, expr: sympy.Expr) -> Iterator[Problem]:
        """expr ≥ 0 for every value of the vectors in it; factors that are never negative are left out.

        Names are plain, so that what holds for one gate is shown once for all.
        """
        polynomial, meanings = with_generators(self.cleared(expr))
        box: dict[sympy.Symbol, Any] = {}
        placed = {}
        for symbol in sorted(polynomial.free_symbols, key=str):
            node = meanings.get(symbol, symbol)
            if node in self.symbols or symbol in self._divisors.values():
                continue
            placed[symbol] = self._placed(node, box)
        number, factors = sympy.factor_list(polynomial.xreplace(placed))
        rest = number
        for factor, power in factors:
            if power % 2 and not (factor.is_Symbol and factor not in box):
                rest *= factor
        if rest.is_number:
            if rest < 0:
                raise NotShown(f"{expr} is negative")
            return
        units = [s for s in box if s in rest.free_symbols]
        tops = sorted(rest.free_symbols - box.keys(), key=str)
        box |= {s: self.interval(s) for s in tops}
        plain = {s: sympy.Symbol(f"u{k}") for k, s in enumerate(units, 1)}
        plain |= {s: sympy.Symbol(f"top{k}") for k, s in enumerate(tops, 1)}
        yield Problem.of({new: box[s] for s, new in plain.items()}, (rest.xreplace(plain), ">=", 0))

    def _placed(self, node: sympy.Expr, box: dict[sympy.Symbol, Any]) -> sympy.Expr:
        """A vector in terms of one in a box of numbers."""
        found = self.ends(node)
        if not found.is_finite:
            raise NotShown(f"nothing bounds {node}")
        unit = sympy.Symbol(f"unit {len(box) + 1}")  # two nodes may print alike
        if found.is_number:
            box[unit] = rational_ends(Range(found.low, found.high))
            return unit
        low, high = self.cleared(found.low), self.cleared(found.high)
        if low == -high:
            box[unit] = (-1, 1)
            return high * unit
        box[unit] = (0, 1)
        return low + (high - low) * unit

    @property
    def symbols(self) -> set[sympy.Symbol]:
        """Ends, norms and bounds: what may stand in a condition."""
        known = set(self.ends.named) | {norm_symbol(p) for p in self.ends.cell.parameters}
        return known.union(*(i.high.free_symbols for i in self.ends.box.values()))

    def interval(self, symbol: sympy.Symbol) -> tuple[Any, Any]:
        """Where a symbol of a condition may be."""
        if symbol not in self.ends.named:
            return (0, oo)
        low = self.ends.named[symbol].lowest
        return (*rational_ends(Range(low, low))[:1], 1)

    def cleared(self, expr: sympy.Expr) -> sympy.Expr:
        """1 / (1 - f̄) as a variable of its own."""
        return expr.replace(
            lambda e: e.is_Pow and e.exp.is_Integer and e.exp < 0 and not e.base.is_number,
            lambda e: self._divisor(e.base) ** -e.exp,
        )

    def _divisor(self, base: sympy.Expr) -> sympy.Expr:
        number, primitive = base.as_content_primitive()
        fresh = sympy.Symbol(f"1/({primitive})")
        return self._divisors.setdefault(primitive, fresh) / number

    def divisions(self) -> Iterator[Problem]:
        """What is divided by is positive."""
        for base in list(self._divisors):
            yield self.problem((base, ">", sympy.S.Zero), ())

    def problem(
        self, goal: Relation, given: Sequence[Relation], kept: frozenset[sympy.Expr] = frozenset()
    ) -> Problem:
        """A relation between symbols of a condition, and vectors that are kept, under others."""
        goal, *hypotheses = [(self.cleared(l), op, self.cleared(r)) for l, op, r in (goal, *given)]
        shown = sorted(kept & nodes(goal[0]), key=str)
        names = {v: sympy.Symbol(f"unit {k}") for k, v in enumerate(shown, 1)}
        box: dict[sympy.Symbol, Any] = {}
        for node, name in names.items():
            found = self.ends(node)
            box[name] = rational_ends(Range(found.low, found.high)) if found.is_number else (0, 1)
            if not found.is_number:
                hypotheses += [(name, "<=", found.high), (name, ">=", found.low)]
        goal = (goal[0].xreplace(names), goal[1], goal[2].xreplace(names))
        used = set().union(*(_symbols(r) for r in (goal, *hypotheses))) - box.keys()
        for base, fresh in self._divisors.items():
            if fresh in used:
                hypotheses.append((fresh * base, "==", sympy.S.One))
                used |= base.free_symbols
        hypotheses += [(s, "<", sympy.S.One) for s in sorted(used, key=str) if self._is_below_one(s)]
        box |= {s: self.interval(s) for s in sorted(used, key=str)}
        return Problem.of(box, goal, hypotheses)

    def _is_below_one(self, symbol: sympy.Symbol) -> bool:
        return symbol in self.ends.named and self.ends.named[symbol].below_one


def _symbols(relation: Relation) -> set[sympy.Basic]:
    left, _, right = relation
    return set(sympy.sympify(left).free_symbols | sympy.sympify(right).free_symbols)


def nodes(part: Part) -> frozenset[sympy.Expr]:
    """The vectors and opaque nodes of a part."""
    polynomial, meanings = with_generators(part)
    return frozenset(meanings.get(s, s) for s in polynomial.free_symbols)


def minors(size: int) -> tuple[Problem, ...]:
    """All leading principal minors of I - N positive ⇒ d = adj(I - N) 1 > 0, in the entries of N ≥ 0.

    Then N d = d - det(I - N) 1 < d: a change shrinks in the norm max |vᵢ|/dᵢ of the blocks' norms.
    """
    if size > 2:
        raise NotShown(f"the lemma on minors is decided for at most two states; the cell has {size}")
    N = sympy.Matrix(size, size, lambda i, j: sympy.Symbol(f"N{i + 1}{j + 1}"))
    difference = sympy.eye(size) - N
    given = [(sympy.expand(difference[:k, :k].det()), ">", 0) for k in range(1, size + 1)]
    weights = difference.adjugate() * sympy.ones(size, 1)
    box = dict.fromkeys(N, (0, oo))
    return tuple(Problem.of(box, (sympy.expand(d), ">", 0), given) for d in weights)
