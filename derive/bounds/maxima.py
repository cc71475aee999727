"""Suprema in numbers: one polynomial maximization for every unit, in lockstep, by Bernstein form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import networkx as nx
import numpy as np
import sympy

from derive.bounds.arithmetic import Arithmetic, Array
from derive.bounds.suprema import Joint, Scale, Suprema
from derive.decide.bernstein import from_monomials, maximize

LEAST_BOXES, MOST_COEFFICIENTS = 50, 100_000
"""How many boxes a search may take for one unit, and how many coefficients they may have together."""
LARGEST = 3_000
"""Coefficients in one box; with more, terms and factors are maximized one by one: not jointly, but soon."""


@dataclass(frozen=True)
class Ends:
    """The interval of one variable, unit by unit."""

    low: Array
    high: Array


def supremum(
    parts: Suprema,
    weights: Sequence[Array],
    box: Mapping[sympy.Symbol, Ends],
    numbers: Arithmetic,
    tolerance: float,
) -> Array:
    """The supremum for every unit: weights are (units,) each, and so are the ends of the box; (units,)."""
    total = numbers.array(np.zeros(weights[0].shape))
    for joint in parts.joints:
        scales = [_scale(s, weights, box, numbers, tolerance) for s, _ in joint.terms]
        total = total + _joint(joint, scales, box, numbers, tolerance)
    return total


def _scale(
    scale: Scale,
    weights: Sequence[Array],
    box: Mapping[sympy.Symbol, Ends],
    numbers: Arithmetic,
    tolerance: float,
) -> Array:
    if isinstance(scale.source, Suprema):
        value = supremum(scale.source, weights, box, numbers, tolerance)
    else:
        value = weights[scale.source]
    value = value * numbers.number(scale.number)
    for variable, power in scale.powers:
        for _ in range(power):
            value = times(value, box[variable].high, numbers)
    return value


def times(x: Array, y: Array, numbers: Arithmetic) -> Array:
    """The product of non-negative numbers; 0 · ∞ is 0, since the factor is exactly 0."""
    zero = np.asarray((x == 0) | (y == 0), dtype=bool)
    with np.errstate(invalid="ignore"):
        return np.where(zero, numbers.array(0.0), x * y)


def _joint(
    joint: Joint,
    scales: Sequence[Array],
    box: Mapping[sympy.Symbol, Ends],
    numbers: Arithmetic,
    tolerance: float,
) -> Array:
    if not joint.variables:
        total = scales[0]
        for scale in scales[1:]:
            total = total + scale
        return total
    if _size(joint) > LARGEST and (parts := _split(joint)):
        return _separately(parts, scales, box, numbers, tolerance)
    infinite = _infinite(joint, scales, box)
    finite = [np.where(infinite, numbers.array(0.0), s) for s in scales]
    lows, highs = (
        np.stack([_finite(end, infinite, numbers) for end in ends], axis=-1)
        for ends in zip(*((box[v].low, box[v].high) for v in joint.variables), strict=True)
    )
    best: Array | None = None
    column = (-1, *[1] * len(joint.variables))
    for pattern in _patterns(joint):
        tensors = pattern.tensors(numbers)
        coefficients = finite[0].reshape(column) * tensors[0]
        for scale, tensor in zip(finite[1:], tensors[1:], strict=True):
            coefficients = coefficients + scale.reshape(column) * tensor
        form = from_monomials(coefficients, lows, highs)
        most = max(LEAST_BOXES, MOST_COEFFICIENTS // form[0].size)
        _, upper, _ = maximize(form, tolerance=tolerance, most_boxes=most)
        best = upper if best is None else numbers.greatest(best, upper)
    assert best is not None  # there is always a pattern of signs
    return np.where(infinite, numbers.array(np.inf), best)


@lru_cache(maxsize=4096)
def _size(joint: Joint) -> int:
    """How many coefficients the search works with at once, for one unit and one box."""
    patterns = _patterns(joint)
    return len(patterns) * int(np.prod(patterns[0].shape))


def _split(joint: Joint) -> list[list[Joint]]:
    """For every term, factors that share no variable, each as a supremum of its own; empty if it is no less.

    The sum of the products of these is an upper bound: all factors are non-negative.
    """
    parts = []
    for _, polynomial in joint.terms:
        graph = nx.Graph()
        for factor in sympy.Mul.make_args(polynomial):
            graph.add_node(factor)
            graph.add_edges_from((factor, v) for v in factor.free_symbols if v != factor)
        groups = [
            [f for f in sympy.Mul.make_args(polynomial) if f in c] for c in nx.connected_components(graph)
        ]
        products = [sympy.Mul(*group) for group in groups if group]
        parts.append([Joint(_variables(p), ((Scale(sympy.S.One, 0), p),)) for p in products])
    return parts if len(parts) > 1 or len(parts[0]) > 1 else []


def _variables(polynomial: sympy.Expr) -> tuple[sympy.Symbol, ...]:
    return tuple(sorted(polynomial.free_symbols, key=lambda v: v.name))


def _separately(
    parts: Sequence[Sequence[Joint]],
    scales: Sequence[Array],
    box: Mapping[sympy.Symbol, Ends],
    numbers: Arithmetic,
    tolerance: float,
) -> Array:
    """Σ scale · Π sup, where a joint search would have too many variables."""
    total = numbers.array(np.zeros(scales[0].shape))
    one = numbers.array(np.ones(scales[0].shape))
    for scale, factors in zip(scales, parts, strict=True):
        value = scale
        for factor in factors:
            value = times(value, _joint(factor, [one], box, numbers, tolerance), numbers)
        total = total + value
    return total


def _infinite(joint: Joint, scales: Sequence[Array], box: Mapping[sympy.Symbol, Ends]) -> Array:
    """The units at which a term that counts has no bound."""
    result = np.zeros(scales[0].shape, dtype=bool)
    for scale, (_, polynomial) in zip(scales, joint.terms, strict=True):
        endless = ~_is_finite(scale)
        for variable in polynomial.free_symbols:
            endless = endless | ~_is_finite(box[variable].high) | ~_is_finite(box[variable].low)
        result |= endless & ~np.asarray(scale == 0, dtype=bool)
    return result


def _is_finite(values: Array) -> Array:
    if values.dtype != object:
        return np.isfinite(values)
    return np.array([v.is_finite() for v in values.flat], dtype=bool).reshape(values.shape)


def _finite(end: Array, infinite: Array, numbers: Arithmetic) -> Array:
    """The ends of a box, with 0 where no number is needed."""
    return np.where(infinite | ~_is_finite(end), numbers.array(0.0), end)


@dataclass(frozen=True)
class _Pattern:
    """The terms' polynomials for one pattern of signs of what stands in bars: exponents and coefficients."""

    shape: tuple[int, ...]
    polynomials: tuple[tuple[tuple[tuple[int, ...], sympy.Expr], ...], ...]

    def tensors(self, numbers: Arithmetic) -> list[Array]:
        """Their coefficients in the power basis."""
        found = []
        for terms in self.polynomials:
            tensor = numbers.array(np.zeros(self.shape))
            for exponents, coefficient in terms:
                tensor[exponents] = numbers.number(coefficient)
            found.append(tensor)
        return found


@lru_cache(maxsize=4096)
def _patterns(joint: Joint) -> tuple[_Pattern, ...]:
    bars = sorted({b for _, p in joint.terms for b in p.atoms(sympy.Abs)}, key=str)
    patterns = []
    for signs in product((1, -1), repeat=len(bars)):
        chosen = {bar: sign * bar.args[0] for bar, sign in zip(bars, signs, strict=True)}
        polynomials = [sympy.Poly(p.xreplace(chosen), *joint.variables) for _, p in joint.terms]
        shape = tuple(max(p.degree(v) for p in polynomials) + 1 for v in joint.variables)
        patterns.append(_Pattern(shape, tuple(tuple(p.terms()) for p in polynomials)))
    return tuple(patterns)
