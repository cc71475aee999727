"""Coefficients as polynomials: whatever is opaque (a linear map, an activation, a root) is a generator.

A root such as (Var + 1)^(-1/2) is one generator q, and (Var + 1)^(-3/2) is q³.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import lru_cache

import sympy

from derive.activations import Activation, Slope, a
from derive.symbols import Activated, Linear, MeanMap, Quantity


@lru_cache(maxsize=1 << 14)
def with_generators(expr: sympy.Expr) -> tuple[sympy.Expr, dict[sympy.Symbol, sympy.Expr]]:
    """The expression as a polynomial, and what its generators stand for.

    Vectors stand for themselves; every other generator is a symbol ``g1``, ``g2``, ….
    """
    meanings: dict[sympy.Expr, sympy.Symbol] = {}

    def generator(node: sympy.Expr) -> sympy.Symbol:
        return meanings.setdefault(node, sympy.Symbol(f"g{len(meanings) + 1}", real=True))

    result = _hidden(expr, generator)
    return result, {symbol: node for node, symbol in meanings.items()}


def _hidden(expr: sympy.Expr, generator: Callable[[sympy.Expr], sympy.Symbol]) -> sympy.Expr:
    if isinstance(expr, Linear | Activated):
        return generator(expr)
    if isinstance(expr, Quantity) or not expr.args:
        return expr
    if expr.is_Pow and not (expr.exp.is_Integer and expr.exp > 0):
        sign = 1 if expr.exp > 0 else -1
        root = sympy.Pow(expr.base, sympy.Rational(sign, expr.exp.q), evaluate=False)
        return generator(root) ** abs(expr.exp.p)
    return expr.func(*(_hidden(arg, generator) for arg in expr.args))


def factored(expr: sympy.Expr) -> sympy.Expr:
    """Factors as one writes them: 1 - z rather than z - 1, 1 - s̃² rather than (1 - s̃)(1 + s̃)."""
    return sympy.Mul(*split(expr))


@lru_cache(maxsize=1 << 14)
def split(expr: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
    """A number and the rest in factors: the same rest for small sums that differ by a number alone."""
    polynomial, meanings = with_generators(expr)
    number, powers = _factors(polynomial)
    parts = []
    for factor in list(powers):
        power = powers.pop(factor, None)
        if power is None:
            continue
        twin = next((f for f in powers if powers[f] == power and _conjugates(factor, f)), None)
        if twin is not None:
            powers.pop(twin)
            factor = sympy.expand(factor * twin)
        parts.append(factor**power)
    return number, sympy.Mul(*parts).xreplace(meanings)


Factors = tuple[sympy.Expr, dict[sympy.Expr, int]]
"""A number, and factors with their powers."""

LARGE, MANY = 16, 6
"""Terms of a sum when multiplied out, and variables, beyond which it is left: factoring takes minutes."""


def _factors(polynomial: sympy.Expr) -> Factors:
    """Most factors are there to be seen, since the chain rule makes products; sums are factored if small."""
    if polynomial.is_Number:
        return polynomial, {}
    if polynomial.is_Symbol:
        return sympy.S.One, {polynomial: 1}
    if polynomial.is_Pow:
        number, powers = _factors(polynomial.base)
        return number**polynomial.exp, {f: k * int(polynomial.exp) for f, k in powers.items()}
    if polynomial.is_Mul:
        return _product(map(_factors, polynomial.args))
    terms = [_factors(term) for term in polynomial.args]
    shared = {f: min(powers.get(f, 0) for _, powers in terms) for f in terms[0][1]}
    total = sympy.Add(
        *(sympy.Mul(n, *(f ** (k - shared.get(f, 0)) for f, k in powers.items())) for n, powers in terms)
    )
    inner = _sum_factors(total) if total.is_Add else _factors(total)
    return _product([(sympy.S.One, {f: k for f, k in shared.items() if k}), inner])


def _product(parts: Iterable[Factors]) -> Factors:
    total, powers = sympy.S.One, dict[sympy.Expr, int]()
    for number, factors in parts:
        total = total * number
        for factor, power in factors.items():
            powers[factor] = powers.get(factor, 0) + power
    return total, powers if total != 0 else {}


@lru_cache(maxsize=1 << 14)
def _sum_factors(total: sympy.Expr) -> Factors:
    """The factors of a sum whose terms share none."""
    if _size(total) > LARGE or len(total.free_symbols) > MANY:
        primes = {v: sympy.prime(k + 5) for k, v in enumerate(sorted(total.free_symbols, key=str))}
        if total.xreplace(primes) == 0 and sympy.expand(total) == 0:
            return sympy.S.Zero, {}
        content, rest = total.primitive()
        return content, {rest: 1}
    constant, factors = sympy.factor_list(sympy.expand(total))
    powers = {}
    for factor, power in factors:
        if factor.is_Add and factor.as_coefficients_dict().get(sympy.S.One, 0) < 0:
            factor, constant = -factor, constant * (-1) ** power
        powers[factor] = power
    return constant, powers


def _size(expr: sympy.Expr) -> int:
    """How many terms there are, at most, when all is multiplied out."""
    if expr.is_Add:
        return sum(map(_size, expr.args))
    if expr.is_Pow:
        return int(min(_size(expr.base) ** expr.exp, 1 << 30))
    return math.prod(map(_size, expr.args))


def _conjugates(first: sympy.Expr, second: sympy.Expr) -> bool:
    """1 - v and 1 + v."""
    if not (first.is_Add and second.is_Add):
        return False
    total, difference = first + second, first - second
    if difference.is_number:
        total, difference = difference, total
    return bool(total.is_number and total != 0 and difference.as_coeff_Add()[0] == 0)


def mean_of(expr: sympy.Expr, over: MeanMap) -> sympy.Expr:
    """The mean over all units, distributed: that of v - mean(v) is 0, that of 2 v is 2 mean(v)."""
    polynomial, meanings = with_generators(expr)
    means = {symbol for symbol, node in meanings.items() if isinstance(node, Linear) and node.map == over}
    total = sympy.expand(polynomial) if _size(polynomial) <= LARGE else polynomial
    terms = []
    for term in sympy.Add.make_args(total):
        outside, inside = term.as_independent(*(term.free_symbols - means), as_Add=False)
        inner = inside.xreplace(meanings)
        mean = inner if inner.is_Number else Linear(over, inner)
        terms.append(outside.xreplace(meanings) * mean)
    return sympy.Add(*terms)


def folded(expr: sympy.Expr) -> sympy.Expr:
    """What numbers decide, computed exactly: W 0 = 0, the mean of a number, an activation of a number.

    An activation stays as it is where its value is no fraction, and a slope at a kink, where it has none.
    """
    if isinstance(expr, Quantity) or not expr.args:
        return expr
    if isinstance(expr, Linear):
        vector = folded(expr.vector)
        settled = vector == 0 or (vector.is_Number and isinstance(expr.map, MeanMap))
        return vector if settled else Linear(expr.map, vector)
    if isinstance(expr, Activated):
        argument = folded(expr.argument)
        exact = _at_number(expr.activation, argument) if argument.is_Rational else None
        return Activated(expr.activation, argument) if exact is None else exact
    return expr.func(*(folded(arg) for arg in expr.args))


def _at_number(activation: Activation, number: sympy.Rational) -> sympy.Rational | None:
    """φ(number) where it is a fraction."""
    if isinstance(activation, Slope) and number in Activation(activation.name).kinks:
        return None
    found = activation.formula.xreplace({a: number}).doit()
    return found if found.is_Rational else None
