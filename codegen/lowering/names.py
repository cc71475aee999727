"""Names for what the equations do not name: sums inside activations, common subexpressions."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import sympy

from derive.symbols import Activated, Linear, MeanMap, Previous, Quantity

LONGEST = 20
"""Beyond this many characters a descriptive name reads worse than a number."""


class Names:
    """Hands out names that nothing else has; the same wishes in the same order give the same names."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    def fresh(self, wish: str) -> str:
        """The wish itself, or with a number after it where it is taken."""
        candidates = itertools.chain([wish], (f"{wish}_{k}" for k in itertools.count(2)))
        name = next(c for c in candidates if c not in self._taken)
        self._taken.add(name)
        return name


def previous_name(symbol: Previous) -> str:
    """How code calls the old value of a state."""
    return f"{symbol.label}_prev"


def describe(expr: sympy.Expr) -> str:
    """A name that tells what the expression is, ``tanh_s_prev``; ``shared`` where that would be too long."""
    try:
        name = _spell(expr)
    except ValueError:
        return "shared"
    return name if len(name) <= LONGEST else "shared"


def _spell(expr: sympy.Expr) -> str:
    if isinstance(expr, Previous):
        return previous_name(expr)
    if isinstance(expr, Quantity):
        return expr.label
    if isinstance(expr, Activated):
        return f"{expr.activation.name}_{_spell(expr.argument)}"
    if isinstance(expr, Linear):
        return (
            f"mean_{_spell(expr.vector)}"
            if isinstance(expr.map, MeanMap)
            else f"{expr.map.name}_{_spell(expr.vector)}"
        )
    if expr.is_Mul and not any(arg.is_Number for arg in expr.args):
        return "_".join(_spell(arg) for arg in sorted(expr.args, key=_product_key))
    if (
        expr.is_Add
        and len(expr.args) == 2
        and sympy.S.One in expr.args
        and (rest := expr - 1).as_coeff_Mul()[0] == -1
    ):
        return f"one_minus_{_spell(-rest)}"
    raise ValueError(f"{expr} has no short name")


def _product_key(factor: sympy.Expr) -> tuple[bool, str]:
    return not isinstance(factor, Quantity), str(factor)
