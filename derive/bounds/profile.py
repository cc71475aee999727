"""Σ mⱼ |aⱼ| at one unit: what a row's bound is the supremum of, made ready for symbols and for numbers.

The aⱼ are polynomials in vectors and opaque nodes; the mⱼ ≥ 0 are norms.  |a| becomes a polynomial where it
can: factors of known sign lose the bars, a vector that occurs only as |v| or in even powers becomes |v|, and
|s - s̃| becomes |s| + |s̃| where turning the sign of s changes nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import sympy

from derive.bounds.ranges import Range, Ranges
from derive.calculus.polynomials import with_generators
from derive.cell import Cell
from derive.show.text import TextNotation


@dataclass(frozen=True)
class Profile:
    """``body`` = Σ ``weights[j]`` · |a_j| in ``variables`` (symbol → what it stands for).

    ``absolute`` are the variables that stand for the absolute value of their node, ``signed`` those that may
    be negative.  ``body`` may still hold Abs of sums whose sign is not known.
    """

    body: sympy.Expr
    weights: tuple[sympy.Symbol, ...]
    variables: tuple[tuple[sympy.Symbol, sympy.Expr], ...]
    absolute: frozenset[sympy.Symbol]
    signed: frozenset[sympy.Symbol]

    def range_of(self, variable: sympy.Symbol, ranges: Callable[[sympy.Expr], Range]) -> Range:
        """The range of a variable, given those of the nodes."""
        found = ranges(dict(self.variables)[variable])
        if variable not in self.absolute:
            return found
        return Range(sympy.S.Zero, found.magnitude, positive=True)


def profile(cell: Cell, coefficients: Sequence[sympy.Expr], squares: Sequence[sympy.Expr] = ()) -> Profile:
    """The profile of some coefficients of a row, and after them of the squares of some others."""
    return _profile(cell, tuple(coefficients), tuple(squares))


@lru_cache(maxsize=4096)
def _profile(cell: Cell, coefficients: tuple[sympy.Expr, ...], squares: tuple[sympy.Expr, ...]) -> Profile:
    powers = [1] * len(coefficients) + [2] * len(squares)
    weights = tuple(sympy.Symbol(f"m{j}", nonnegative=True) for j in range(len(powers)))
    polynomials, meanings = with_generators(sympy.Tuple(*coefficients, *squares))
    names = _named(polynomials.free_symbols, meanings)
    plain = {old: new for new, (old, _) in names.items()}
    nodes = {new: node for new, (_, node) in names.items()}
    free = Ranges(cell, {}, norm=None)
    terms = []
    for weight, polynomial in zip(weights, polynomials, strict=True):
        factors = sympy.Mul.make_args(polynomial.xreplace(plain))
        product = sympy.Mul(*(_magnitude(f, nodes, free) for f in factors))
        terms.append(weight * product)
    mirrored = {v: (r := free(node)).low == -r.high for v, node in nodes.items()}
    body, absolute = _without_signs(sympy.Add(*terms), mirrored)
    if squares:
        parts = ((w, p, body.coeff(w)) for w, p in zip(weights, powers, strict=True))
        body = sympy.Add(*(w * part**p for w, p, part in parts))
    kept = tuple((v, nodes[v]) for v in sorted(nodes, key=lambda v: v.name) if body.has(v))
    signed = frozenset(v for v, node in kept if v not in absolute and not free(node).is_positive)
    return Profile(body, weights, kept, frozenset(v for v in absolute if body.has(v)), signed)


def _named(
    symbols: Iterable[sympy.Symbol], meanings: Mapping[sympy.Symbol, sympy.Expr]
) -> dict[sympy.Symbol, tuple[sympy.Symbol, sympy.Expr]]:
    """Plain symbols under readable names: symbol → (the symbol that it replaces, the node it stands for)."""
    notation = TextNotation()
    found: dict[sympy.Symbol, tuple[sympy.Symbol, sympy.Expr]] = {}
    for symbol in sorted(symbols, key=str):
        node = meanings.get(symbol, symbol)
        stem = "q" if node.is_Pow else notation(node)
        name, count = stem, 1
        while sympy.Symbol(name, real=True) in found:
            count += 1
            name = f"{stem}{count}"
        found[sympy.Symbol(name, real=True)] = (symbol, node)
    return found


def _magnitude(factor: sympy.Expr, nodes: Mapping[sympy.Symbol, sympy.Expr], free: Ranges) -> sympy.Expr:
    """|factor|, without bars where the declared ranges decide the sign."""
    base, exponent = factor.as_base_exp()
    if exponent.is_Integer and exponent % 2 == 0:
        return factor
    interval = free(base.xreplace(nodes))
    if interval.is_positive:
        return factor
    if interval.high.is_nonpositive:
        return (-base) ** exponent
    return sympy.Abs(base) ** exponent


def _without_signs(
    body: sympy.Expr, mirrored: Mapping[sympy.Symbol, bool]
) -> tuple[sympy.Expr, set[sympy.Symbol]]:
    """The body with |v| for v where only the size of v matters, and the variables for which it is so.

    |α v + r| is at most |α| |v| + |r|, and this is the supremum over both signs of v where v occurs otherwise
    only as |v| or in even powers; ``mirrored`` says which variables have both signs.
    """
    absolute: set[sympy.Symbol] = set()
    for variable, both_signs in mirrored.items():
        even = _even(body, variable, both_signs)
        if even is not None:
            body = even
            absolute.add(variable)
    return body, absolute


def _even(body: sympy.Expr, v: sympy.Symbol, both_signs: bool) -> sympy.Expr | None:
    """The body in terms of |v|, written v; None where its sign matters elsewhere than in one sum's bars."""
    bars = {node for node in body.atoms(sympy.Abs) if node.has(v)}
    replaced: dict[sympy.Expr, sympy.Expr] = {}
    size = sympy.Dummy("size", nonnegative=True)
    for node in bars:
        inner = sympy.expand(node.args[0])
        slope = inner.coeff(v)
        rest = sympy.expand(inner - slope * v)
        if rest.has(v) or not slope.is_number:
            return None
        replaced[node] = abs(slope) * size + (sympy.Abs(rest) if rest != 0 else 0)
    sums = [n for n in bars if sympy.expand(n.args[0]).is_Add]
    if len(sums) > both_signs:  # the sign that aligns one sum may not align the other
        return None
    result = body.xreplace(replaced)
    result = result.replace(lambda e: e.is_Pow and e.base == v and e.exp.is_even, lambda e: size**e.exp)
    return None if result.has(v) else result.xreplace({size: v})
