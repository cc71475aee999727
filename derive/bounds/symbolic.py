"""Bounds of rows in the symbols of norms: suprema in closed form where there is one, as nodes otherwise."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import networkx as nx
import sympy

from derive.bounds.expressions import supremum_node
from derive.bounds.extremes import Least, greatest
from derive.bounds.profile import Profile, profile
from derive.bounds.ranges import Range, Ranges
from derive.bounds.rows import Row, Term
from derive.bounds.suprema import Joint, Scale, Suprema, suprema
from derive.bounds.symbols import norm_symbol
from derive.cell import Cell
from derive.symbols import MeanMap

MOST_VERTICES = 16
Box = Mapping[sympy.Symbol, Range]


@dataclass
class SymbolicBounds:
    """Norms of rows, given the ranges of a step's vectors.

    ``closed`` asks for a closed form: each term's supremum is taken by itself, which is larger where terms
    cannot peak together.
    """

    cell: Cell
    ranges: Ranges
    closed: bool = False

    def infinity(self, row: Row) -> sympy.Expr:
        """sup Σ |aⱼ| ‖Wⱼ‖ (…) over one unit."""
        weights = [times(self.factor(t), self.infinity(t.rest)) if t.rest else sympy.S.One for t in row.terms]
        return self.supremum(profile(self.cell, [t.coefficient for t in row.terms]), weights)

    def two(self, row: Row) -> sympy.Expr:
        """The lesser of the triangle inequality and √(sup Σ aⱼ² mⱼ · Σ mⱼ), mⱼ the norms behind the aⱼ."""
        if not row.terms:
            return sympy.S.Zero
        weights = [times(self.factor(t), self.two(t.rest)) if t.rest else sympy.S.One for t in row.terms]
        pairs = zip(weights, row.terms, strict=True)
        triangle = sympy.Add(*(times(w, self.top(t.coefficient)) for w, t in pairs))
        if len(row.terms) == 1:
            return triangle
        squares = self.supremum(profile(self.cell, (), [t.coefficient for t in row.terms]), weights)
        return Least(triangle, sympy.sqrt(times(squares, sympy.Add(*weights))))

    def factor(self, term: Term) -> sympy.Expr:
        """‖W‖ of a term's map; 1 for a mean and where there is none."""
        linear = term.map is not None and not isinstance(term.map, MeanMap)
        return norm_symbol(term.map.name) if linear and term.map is not None else sympy.S.One

    def top(self, coefficient: sympy.Expr) -> sympy.Expr:
        """sup |a| of one coefficient."""
        return self.supremum(profile(self.cell, [coefficient]), [sympy.S.One])

    def supremum(self, found: Profile, weights: Sequence[sympy.Expr]) -> sympy.Expr:
        """The supremum of a profile with these weights."""
        box = {v: found.range_of(v, self.ranges) for v, _ in found.variables}
        return self._parts(suprema(found), weights, box)

    def _parts(self, parts: Suprema, weights: Sequence[sympy.Expr], box: Box) -> sympy.Expr:
        total = sympy.S.Zero
        for joint in parts.joints:
            scales = [self._scale(scale, weights, box) for scale, _ in joint.terms]
            total += self._joint(joint, scales, box)
        return total

    def _scale(self, scale: Scale, weights: Sequence[sympy.Expr], box: Box) -> sympy.Expr:
        nested = isinstance(scale.source, Suprema)
        value = self._parts(scale.source, weights, box) if nested else weights[scale.source]  # type: ignore[index,arg-type]
        for variable, power in scale.powers:
            value = times(value, box[variable].high ** power)
        return scale.number * value

    def _joint(self, joint: Joint, scales: Sequence[sympy.Expr], box: Box) -> sympy.Expr:
        terms = [(s, p) for s, (_, p) in zip(scales, joint.terms, strict=True) if s != 0]
        if any(s == sympy.oo for s, _ in terms):
            return sympy.oo
        if not joint.variables or self.closed or len(terms) <= 1:
            return sympy.Add(*(times(s, closed_supremum(p, box, self.ranges.tops)) for s, p in terms))
        body = sympy.Add(*(s * p for s, p in terms))
        corners = vertices(body, joint.variables, box, self.ranges.tops)
        return supremum_node(body, {v: box[v] for v in joint.variables}) if corners is None else corners


def times(x: sympy.Expr, y: sympy.Expr) -> sympy.Expr:
    """The product of bounds: 0 if one is 0, infinite if one is, also where the other is a symbol."""
    if x == 0 or y == 0:
        return sympy.S.Zero
    return sympy.oo if x.has(sympy.oo) or y.has(sympy.oo) else x * y


def vertices(
    body: sympy.Expr, variables: Sequence[sympy.Symbol], box: Box, tops: Mapping[sympy.Symbol, sympy.Expr]
) -> sympy.Expr | None:
    """The maximum over the corners, if the body is affine in every variable; None if it is not."""
    if 2 ** len(variables) > MOST_VERTICES or body.atoms(sympy.Abs):
        return None
    if any(sympy.degree(sympy.expand(body), v) > 1 for v in variables if body.has(v)):
        return None
    corners = product(*(((v, box[v].low), (v, box[v].high)) for v in variables))
    return greatest([sympy.expand(body.xreplace(dict(corner))) for corner in corners], tops)


def closed_supremum(polynomial: sympy.Expr, box: Box, tops: Mapping[sympy.Symbol, sympy.Expr]) -> sympy.Expr:
    """sup p as a product over factors that share no variable; exact for factors in one variable.

    Where p is a product of several such factors, each counts with its absolute value.
    """
    number, factors = polynomial.as_coeff_mul()
    graph = nx.Graph()
    for index, factor in enumerate(factors):
        graph.add_node(index)
        graph.add_edges_from((index, v) for v in factor.free_symbols)
    groups = [sorted(x for x in c if isinstance(x, int)) for c in nx.connected_components(graph)]
    parts = [sympy.Mul(*(factors[k] for k in group)) for group in groups]
    if len(parts) == 1:
        return _factor_supremum(number * parts[0], box, tops)
    return abs(number) * sympy.Mul(*(_size(part, box, tops) for part in parts))


def _size(part: sympy.Expr, box: Box, tops: Mapping[sympy.Symbol, sympy.Expr]) -> sympy.Expr:
    """sup |part|."""
    middle = part.xreplace({v: _middle(box[v]) for v in part.free_symbols})
    oriented = -part if middle.is_negative else part
    if part.atoms(sympy.Abs) or _keeps_its_sign(oriented, box, tops):
        return _factor_supremum(oriented, box, tops)
    both = [_factor_supremum(p, box, tops) for p in (part, -part)]
    return greatest(both, tops)


def _middle(interval: Range) -> sympy.Expr:
    """A number inside, whatever the symbols in the ends are."""
    if interval.is_number and interval.is_finite:
        return (interval.low + interval.high) / 2
    return sympy.Rational(1, 2) if interval.is_positive else sympy.Rational(1, 3)


def _keeps_its_sign(part: sympy.Expr, box: Box, tops: Collection[sympy.Symbol]) -> bool:
    """Whether a polynomial that is positive somewhere on the box is non-negative on all of it."""
    variables = part.free_symbols
    if all(box[v].is_positive for v in variables) and all(
        c > 0 for c in sympy.expand(part).as_coefficients_dict().values()
    ):
        return True
    if len(variables) != 1:
        return False
    (v,) = variables
    high = box[v].high if box[v].is_number else sympy.S.One if box[v].high in tops else sympy.oo
    low = box[v].low if box[v].is_number else sympy.S.Zero if box[v].is_positive else -high
    roots = sympy.real_roots(sympy.Poly(part, v))
    inside = (r for r in roots if (r - low).is_extended_positive and (high - r).is_extended_positive)
    return not any(roots.count(r) % 2 for r in inside)


def _factor_supremum(part: sympy.Expr, box: Box, tops: Mapping[sympy.Symbol, sympy.Expr]) -> sympy.Expr:
    variables = sorted(part.free_symbols, key=str)
    if not variables:
        return part
    if len(variables) == 1 and not part.atoms(sympy.Abs):
        return _univariate(part, variables[0], box[variables[0]], tops)
    corners = vertices(part, variables, box, tops)
    if corners is not None:
        return corners
    plain = part.replace(sympy.Abs, lambda e: e)
    monomials = sympy.expand(plain).as_coefficients_dict().items()
    return sympy.Add(*(abs(c) * m.xreplace({v: box[v].magnitude for v in variables}) for m, c in monomials))


def _univariate(
    part: sympy.Expr, v: sympy.Symbol, interval: Range, tops: Mapping[sympy.Symbol, sympy.Expr]
) -> sympy.Expr:
    """At the ends and at the critical points between them.

    Where the ends are symbols, every critical point counts that may lie between: that can only add.
    """
    if part == v:
        return interval.high
    slope = sympy.Poly(sympy.diff(part, v), v)
    inside = [c for c in sympy.real_roots(slope) if _may_hold(c, interval)] if slope.degree() > 0 else []
    points = [interval.low, interval.high, *inside]
    return greatest(
        [sympy.expand(part.xreplace({v: p})) if p.is_finite is not False else sympy.oo for p in points], tops
    )


def _may_hold(point: sympy.Expr, interval: Range) -> bool:
    return (point - interval.low).is_negative is not True and (interval.high - point).is_negative is not True
