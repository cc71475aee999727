"""The class of a state's growth, with bounds that have a plain form."""

from __future__ import annotations

from functools import lru_cache

import sympy

from derive.bounds.growth import Growth, growth
from derive.bounds.symbols import state_symbol
from derive.cell import Cell
from derive.claims.tools.scaled import Scaled


@lru_cache(maxsize=1024)
def classes(cell: Cell) -> tuple[Growth, ...]:
    """The class of every state, with bounds that are polynomials in norms: the scaled step's, where
    :func:`growth` has finer ones, such as σ(‖W‖ …), or none."""
    return tuple(found if _is_plain(found) else _majorized(cell, found) for found in growth(cell))


def _is_plain(found: Growth) -> bool:
    bounds = [found.slope, *(found.ratios or {}).values()]
    return found.kind == "invariant" or (found.kind != "unknown" and all(map(_is_rational, bounds)))


def _is_rational(bound: sympy.Expr) -> bool:
    """Whether it is a polynomial with rational coefficients."""
    polynomial = bound.as_poly(*bound.free_symbols) if bound.free_symbols else None
    if polynomial is None:
        return bool(bound.is_Rational)
    return all(c.is_Rational for c in polynomial.coeffs())


def _majorized(cell: Cell, found: Growth) -> Growth:
    """|next| ≤ Σ Aₖ |sₖ| + β, every monomial of the scaled step at its largest."""
    scaled = Scaled(cell)
    total = scaled.magnitude(scaled(found.state))
    scales = {state_symbol(s): s for s in cell.states}
    if total.has(sympy.nan) or not total.is_polynomial(*scales):
        return Growth(found.box, "unknown")
    ratios, slope = {}, sympy.S.Zero
    for powers, coefficient in sympy.Poly(total, *scales).terms():
        if sum(powers) > 1:
            return Growth(found.box, "unknown")
        if sum(powers) == 1:
            ratios[list(scales.values())[powers.index(1)]] = coefficient
        else:
            slope = coefficient
    own = ratios.get(found.state.name, sympy.S.Zero)
    if set(ratios) <= {found.state.name} and own.is_number and own <= 1:
        return Growth(found.box, "linear", slope=slope)
    return Growth(found.box, "geometric", slope=slope, ratios=ratios)
