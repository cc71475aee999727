"""The rank-one terms of a normalization: diag(α qᵏ) M diag(e) X, q = (mean(e²) + c)^(-1/2), M = 11ᵀ/n.

Taken word by word, q, e and X would each be at their largest.  But where e is large q is small: by Cauchy and
Schwarz over the units, (1/n) Σ |eₖ| Rₖ ≤ √(mean e²) √(mean R²), and √(mean e²) = √(1/q² - c), so that

    qᵏ √(mean e²) ≤ κ = sup over 0 < q ≤ 1/√c of qᵏ⁻¹ √(1 - c q²),

which is 2/(3√3) for k = 3 and c = 1.  The term becomes diag(α κ) M X, with the mean of what stands in X
replaced by its root mean square.
"""

from __future__ import annotations

from collections.abc import Sequence

import sympy

from derive.symbols import Linear, LinearMap, MeanMap

DIGITS = 10**9


def tamed(
    coefficient: sympy.Expr, linear: LinearMap, inner: Sequence[sympy.Expr]
) -> tuple[sympy.Expr, list[sympy.Expr]] | None:
    """``(α κ, inner without e)`` for diag(coefficient) M (Σ diag(inner) …); None if it is no such term."""
    if not isinstance(linear, MeanMap):
        return None
    for root in sorted(coefficient.atoms(sympy.Pow), key=str):
        found = _normalization(root, linear)
        if found is None:
            continue
        constant, deviation, power = found
        rest = [r for c in inner if (r := _without(c, deviation)) is not None]
        if len(rest) == len(inner):
            return coefficient / root * _largest(constant, power), rest
    return None


def _normalization(root: sympy.Expr, mean: MeanMap) -> tuple[sympy.Expr, sympy.Expr, int] | None:
    """``(c, e, k)`` of (mean(e²) + c)^(-k/2), with a number c > 0 and k ≥ 1."""
    power = -2 * root.exp
    if not (power.is_Integer and power > 0):
        return None
    constant = sympy.Add(*(t for t in sympy.Add.make_args(root.base) if t.is_number))
    rest = root.base - constant
    if not (constant > 0 and isinstance(rest, Linear) and rest.map == mean and rest.vector.is_Pow):
        return None
    return (constant, rest.vector.base, int(power)) if rest.vector.exp == 2 else None


def _without(coefficient: sympy.Expr, deviation: sympy.Expr) -> sympy.Expr | None:
    """A coefficient without its factor ±e; None where it has none."""
    factors = list(sympy.Mul.make_args(coefficient))
    for sign in (1, -1):
        if sign * deviation in factors:
            factors.remove(sign * deviation)
            return sign * sympy.Mul(*factors)
    return None


def _largest(constant: sympy.Expr, power: int) -> sympy.Rational:
    """κ, rounded up: the supremum is at q² = (k - 1)/(c k)."""
    at = sympy.Rational(power - 1, power) / constant
    value = at ** sympy.Rational(power - 1, 2) * sympy.sqrt(sympy.Rational(1, power))
    return sympy.Rational(int(sympy.ceiling(value * DIGITS)), DIGITS)
