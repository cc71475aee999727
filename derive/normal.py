"""The normal form of a cell: states and output as polynomials over opaque nodes, intermediates put in.

Two cells that differ in intermediate vectors, in the order or bracketing of sums and products, or in how
linear maps distribute have the same normal form.  Renaming and reparameterization are the business of
:mod:`derive.equivalence`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import sympy

from derive.activations import Activation
from derive.anatomy import states
from derive.cell import Cell
from derive.colours import subexpressions
from derive.symbols import Activated, Linear, MeanMap, Parameter, Quantity, Vector


@dataclass(frozen=True)
class NormalForm:
    """``roots``: each state's next value in ``cell.states`` order, and last the output (None if none)."""

    roots: tuple[sympy.Expr | None, ...]


@lru_cache(maxsize=4096)
def normal_form(cell: Cell) -> NormalForm:
    """The normal form of a cell."""
    done: dict[Quantity, sympy.Expr] = {}
    for symbol, expr in cell.equations.items():
        done[symbol] = normalize(expr, done)
    roots: list[sympy.Expr | None] = [done[s] for s in states(cell)]
    shown = next((s for s in cell.equations if s.name == cell.output), None)
    return NormalForm(_paired((*roots, done[shown] if shown is not None else None)))


def _paired(roots: tuple[sympy.Expr | None, ...]) -> tuple[sympy.Expr | None, ...]:
    """Where both φ(a) and φ(-a) occur, and φ(-a) = k - φ(a), only one of them is kept."""
    nodes = {n for r in roots if r is not None for n in subexpressions(r) if isinstance(n, Activated)}
    able = [n for n in nodes if n.activation.reflection is not None]
    twins = [(n, twin) for n in able if (twin := n.activation(-n.argument)) in nodes and twin != n]
    if not twins:
        return roots
    first, twin = min(twins, key=str)
    mapping = {twin: first.activation.reflection - first}
    return _paired(tuple(None if r is None else normalize(r.xreplace(mapping), {}) for r in roots))


def normalize(expr: sympy.Expr, known: Mapping[Quantity, sympy.Expr]) -> sympy.Expr:
    """Expand sums and products, distribute linear maps, put in known vectors."""
    if isinstance(expr, Quantity):
        return known.get(expr, expr) if isinstance(expr, Vector) else expr
    if isinstance(expr, Linear):
        vector = normalize(expr.vector, known)
        return sympy.Add(*(_apply(expr.map, term) for term in sympy.Add.make_args(vector)))
    if isinstance(expr, Activated):
        argument = normalize(expr.argument, known)
        return argument if expr.activation.name == "identity" else _positive(expr.activation, argument)
    if isinstance(expr, sympy.Float):
        return sympy.Rational(str(expr))  # 0.5 is 1/2
    if not expr.args:
        return expr
    return _expand(expr.func(*(normalize(arg, known) for arg in expr.args)))


def _positive(activation: Activation, argument: sympy.Expr) -> sympy.Expr:
    """φ(a), or k - φ(-a) where φ(-a) = k - φ(a) and most terms of a have a minus sign.

    Terms that a parameter can turn have no say: their signs are a matter of reparameterization.
    """
    if activation.reflection is None:
        return activation(argument)
    fixed = [t for t in sympy.Add.make_args(argument) if not spine(t)]
    negative = sum(bool(t.as_coeff_Mul()[0].is_negative) for t in fixed)
    if 2 * negative <= len(fixed):
        return activation(argument)
    return activation.reflection - activation(-argument)


def spine(term: sympy.Expr) -> frozenset[Parameter]:
    """The parameters whose sign is the term's: factors, and the maps that are applied to such terms."""
    found: frozenset[Parameter] = frozenset()
    for factor in sympy.Mul.make_args(term):
        if isinstance(factor, Parameter):
            found ^= {factor}
        elif isinstance(factor, Linear):
            found ^= spine(factor.vector)
            found ^= {factor.map} if isinstance(factor.map, Parameter) else frozenset()
        elif factor.is_Pow and factor.exp.is_Integer and factor.exp % 2:
            found ^= spine(factor.base)
    return found


def _expand(expr: sympy.Expr) -> sympy.Expr:
    return sympy.expand(expr, deep=False, power_base=False, power_exp=False, log=False, func=False)


def _apply(map: Quantity, term: sympy.Expr) -> sympy.Expr:
    """A linear map of one term: numbers come out, and out of a mean also means (equal at every unit)."""
    if term == 0:
        return sympy.S.Zero
    number, rest = term.as_coeff_Mul()
    if not isinstance(map, MeanMap):
        return number * Linear(map, rest)
    factors = sympy.Mul.make_args(rest)
    same = [f for f in factors if _is_mean(f)]
    varying = sympy.Mul(*(f for f in factors if not _is_mean(f)))
    return number * sympy.Mul(*same) * (Linear(map, varying) if varying != 1 else 1)


def _is_mean(factor: sympy.Expr) -> bool:
    if factor.is_Pow:
        base = factor.base
        return all(
            _is_mean(f) or f.is_Number for t in sympy.Add.make_args(base) for f in sympy.Mul.make_args(t)
        )
    return isinstance(factor, Linear) and isinstance(factor.map, MeanMap)
