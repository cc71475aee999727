"""Coefficients as polynomials: whatever is opaque (a linear map, an activation, a root) is a generator.

A root such as (Var + 1)^(-1/2) is one generator q, and (Var + 1)^(-3/2) is q³.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import sympy

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


@lru_cache(maxsize=1 << 14)
def factored(expr: sympy.Expr) -> sympy.Expr:
    """Factors as one writes them: 1 - z rather than z - 1, 1 - s̃² rather than (1 - s̃)(1 + s̃)."""
    polynomial, meanings = with_generators(expr)
    constant, factors = sympy.factor_list(sympy.expand(polynomial))
    powers = dict(factors)
    parts: list[sympy.Expr] = []
    for factor in list(powers):
        power = powers.pop(factor, None)
        if power is None:
            continue
        twin = next((f for f in powers if _conjugates(factor, f) and powers[f] == power), None)
        if twin is not None:
            powers.pop(twin)
            factor = sympy.expand(factor * twin)
        if factor.is_Add and factor.as_coefficients_dict().get(sympy.S.One, 0) < 0:
            factor, constant = -factor, constant * (-1) ** power
        parts.append(factor**power)
    return sympy.Mul(constant, *parts).xreplace(meanings)


def _conjugates(first: sympy.Expr, second: sympy.Expr) -> bool:
    """v - 1 and v + 1."""
    total, difference = sympy.expand(first + second), sympy.expand(first - second)
    return bool(difference.is_number and difference != 0 and total.as_coeff_Add()[0] == 0 and total != 0)


def mean_of(expr: sympy.Expr, over: MeanMap) -> sympy.Expr:
    """The mean over all units, distributed: that of v - mean(v) is 0, that of 2 v is 2 mean(v)."""
    terms = []
    for term in sympy.Add.make_args(sympy.expand(expr)):
        number, factors = term.as_coeff_mul()
        outside = [f for f in factors if isinstance(f, Linear) and f.map == over]
        inside = sympy.Mul(*(f for f in factors if f not in outside))
        mean = sympy.S.One if inside == 1 else Linear(over, inside)
        terms.append(sympy.Mul(number, *outside, mean))
    return sympy.Add(*terms)
