"""The supremum of Σ mⱼ Πₖ fⱼₖ over a box, taken apart as far as it can be without losing anything.

All factors are non-negative on the box.  A variable that occurs only as a bare factor is at its upper end.
Terms that share a factor B, and nothing else with the rest, become B times a supremum of their own.  What
then shares no variable is added up.  What is left is a few small polynomial maximizations: for numbers by
Bernstein form, for symbols by vertices or as a :class:`~derive.bounds.expressions.Supremum`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations

import networkx as nx
import sympy

from derive.bounds.profile import Profile


@dataclass(frozen=True)
class Scale:
    """What multiplies a polynomial: a number, the weight of that index or a nested supremum, and variables at
    their upper ends."""

    number: sympy.Expr
    source: int | Suprema
    powers: tuple[tuple[sympy.Symbol, int], ...] = ()


@dataclass(frozen=True)
class Joint:
    """sup Σ scale · polynomial, over ``variables`` that these terms alone contain."""

    variables: tuple[sympy.Symbol, ...]
    terms: tuple[tuple[Scale, sympy.Expr], ...]


@dataclass(frozen=True)
class Suprema:
    """A sum of suprema over disjoint sets of variables."""

    joints: tuple[Joint, ...]

    @property
    def variables(self) -> frozenset[sympy.Symbol]:
        """All variables, those at their upper ends and those of nested suprema included."""
        found: set[sympy.Symbol] = set()
        for joint in self.joints:
            found |= set(joint.variables)
            for scale, _ in joint.terms:
                found |= {v for v, _ in scale.powers}
                found |= scale.source.variables if isinstance(scale.source, Suprema) else set()
        return frozenset(found)


@dataclass
class _Term:
    scale: Scale
    factors: dict[sympy.Expr, int] = field(default_factory=dict)

    def variables(self) -> set[sympy.Symbol]:
        return set().union(*(f.free_symbols for f in self.factors), set())


@lru_cache(maxsize=4096)
def suprema(profile: Profile) -> Suprema:
    """The supremum of a profile's body, taken apart."""
    products = sympy.Add.make_args(profile.body) if profile.body != 0 else ()
    terms = [term for product in products for term in _terms(product, profile)]
    return _apart(terms, profile.signed)


def _terms(product: sympy.Expr, profile: Profile) -> Iterable[_Term]:
    """One term of the body; factors that are sums of non-negative monomials are multiplied out."""
    number, rest = product.as_coeff_Mul()
    factors = [f.as_base_exp() for f in sympy.Mul.make_args(rest)]
    index = next(k for k, w in enumerate(profile.weights) if (w, 1) in factors)
    others = [(b, int(e)) for b, e in factors if b != profile.weights[index]]
    sums = [(b, e) for b, e in others if b.is_Add and _all_positive(b, profile.signed)]
    plain = {b: e for b, e in others if (b, e) not in sums}
    for monomial in sympy.Add.make_args(sympy.expand(sympy.Mul(*(b**e for b, e in sums)))):
        coefficient, extra = monomial.as_coeff_Mul()
        joined = dict(plain)
        for base, power in (f.as_base_exp() for f in sympy.Mul.make_args(extra)):
            if base != 1:
                joined[base] = joined.get(base, 0) + int(power)
        yield _Term(Scale(number * coefficient, index), joined)


def _all_positive(total: sympy.Expr, signed: frozenset[sympy.Symbol]) -> bool:
    """Sums such as |s| + |s̃|, whose terms are all positive multiples of products of magnitudes.

    A gate is a magnitude too; in a sum with a minus sign, such as 1 - z, the whole is one factor.
    """
    if total.free_symbols & signed:
        return False
    monomials = sympy.expand(total).as_coefficients_dict()
    return all(c > 0 and not m.atoms(sympy.Abs) for m, c in monomials.items())


def _apart(terms: list[_Term], signed: frozenset[sympy.Symbol]) -> Suprema:
    terms = _raised(_nested(terms, signed), signed)
    graph = nx.Graph()
    for number, term in enumerate(terms):
        graph.add_node(number)
        graph.add_edges_from((number, v) for v in term.variables())
    joints = []
    for component in sorted(
        nx.connected_components(graph), key=lambda c: min(x for x in c if isinstance(x, int))
    ):
        members = [terms[k] for k in sorted(x for x in component if isinstance(x, int))]
        variables = sorted({v for t in members for v in t.variables()}, key=lambda v: v.name)
        polynomials = ((t.scale, sympy.Mul(*(b**e for b, e in t.factors.items()))) for t in members)
        joints.append(Joint(tuple(variables), tuple(polynomials)))
    return Suprema(tuple(joints))


def _raised(terms: list[_Term], signed: frozenset[sympy.Symbol]) -> list[_Term]:
    """Variables that occur only as bare factors go to their upper ends."""
    free = {v for t in terms for v in t.variables()}
    bound = {v for t in terms for f in t.factors if not f.is_Symbol for v in f.free_symbols}
    raised = free - bound - signed
    result = []
    for term in terms:
        up = tuple(sorted(((f, e) for f, e in term.factors.items() if f in raised), key=lambda p: p[0].name))
        kept = {f: e for f, e in term.factors.items() if f not in raised}
        result.append(_Term(Scale(term.scale.number, term.scale.source, term.scale.powers + up), kept))
    return result


def _nested(terms: list[_Term], signed: frozenset[sympy.Symbol]) -> list[_Term]:
    """B·C₁ + B·C₂ + … whose C share no variable with B or with other terms is B · sup(C₁ + C₂ + …)."""
    for first, second in combinations(terms, 2):
        common = {f: min(e, second.factors[f]) for f, e in first.factors.items() if f in second.factors}
        members = [t for t in terms if common and all(t.factors.get(f, 0) >= e for f, e in common.items())]
        if len(members) < 2:
            continue
        inner = [_Term(t.scale, _without(t.factors, common)) for t in members]
        outer = _Term(Scale(sympy.S.One, 0), dict(common))
        others = [t for t in terms if t not in members]
        inside = set().union(*(t.variables() for t in inner))
        outside = outer.variables().union(*(t.variables() for t in others))
        if inside and not inside & outside:
            nested = _Term(Scale(sympy.S.One, _apart(inner, signed)), dict(common))
            return _nested([*others, nested], signed)
    return terms


def _without(factors: Mapping[sympy.Expr, int], common: Mapping[sympy.Expr, int]) -> dict[sympy.Expr, int]:
    return {f: left for f, e in factors.items() if (left := e - common.get(f, 0)) > 0}
