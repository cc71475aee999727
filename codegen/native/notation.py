"""Formulas as C on vectors of numbers (``cw_vec`` of prelude.c)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import sympy

from codegen.errors import Unsupported
from derive import activations
from derive.evaluate import value
from derive.show.notation import ATOM, FACTOR, PRODUCT, Notation
from derive.symbols import Activated, Linear, Quantity
from derive.wellformed import axes_of

_HALF = sympy.Rational(1, 2)
LARGEST_POWER = 8
"""Whole powers up to here are written as products."""

ROUTINES = {"sigmoid": "cw_sigmoid", "tanh": "cw_tanh"}
"""Activations that have a routine of their own; the others are written by their formula."""

_FUNCTIONS = {
    "Abs": "cw_abs",
    "exp": "cw_exp",
    "expm1": "cw_expm1",
    "log1p": "cw_log1p",
    "tanh": "cw_tanh",
}


class CNotation(Notation):
    """Spells elementwise formulas; raises :class:`~codegen.errors.Unsupported` for what the prelude lacks."""

    negated = FACTOR

    def __init__(self, order: Iterable[Quantity], names: Mapping[Quantity, str]) -> None:
        super().__init__(order)
        self.names = names

    def _spell(self, expr: sympy.Expr) -> tuple[str, int]:
        if expr == activations.a:
            return self._argument
        if not expr.is_Number and not axes_of(expr) and not expr.has(activations.a):
            return self.number(sympy.Float(float(value(expr, {})), 17))
        if expr.is_Function and not isinstance(expr, Linear | Activated):
            return self._function(expr)
        return super()._spell(expr)

    def quantity(self, symbol: Quantity) -> str:
        return self.names[symbol]

    def linear(self, expr: Linear) -> tuple[str, int]:
        raise TypeError(f"{expr} is a statement of its own in a loop")

    def activated(self, expr: Activated) -> tuple[str, int]:
        argument = self(expr.argument)
        routine = ROUTINES.get(expr.activation.name)
        if routine is not None:
            return f"{routine}({argument})", ATOM
        self._argument = (f"({argument})", ATOM)
        formula = expr.activation.elementary
        return self._spell(expr.activation.formula if formula is None else formula)

    def _function(self, expr: sympy.Expr) -> tuple[str, int]:
        if isinstance(expr, sympy.Heaviside):
            return f"cw_select(({self(expr.args[0])}) > 0, cw_splat(1), cw_splat(0))", ATOM
        if isinstance(expr, sympy.Max | sympy.Min) and len(expr.args) == 2:
            name = "cw_max" if isinstance(expr, sympy.Max) else "cw_min"
            bound, rest = sorted(expr.args, key=lambda arg: not arg.is_Number)
            if bound.is_Number:
                return f"{name}({self(bound)}, {self(rest)})", ATOM
        name = _FUNCTIONS.get(expr.func.__name__, "")
        if not name:
            known = ", ".join([*_FUNCTIONS, "Heaviside", "Max and Min with a number"])
            raise Unsupported(f"there is no C for {expr}; there is for {known}")
        return f"{name}({self(expr.args[0])})", ATOM

    def product(self, factors: list[sympy.Expr]) -> str:
        return " * ".join(self(f, FACTOR) for f in factors)

    def quotient(self, numerator: sympy.Expr, denominator: sympy.Expr) -> tuple[str, int]:
        return f"{self(numerator, PRODUCT)} / {self(denominator, FACTOR)}", PRODUCT

    def power(self, base: sympy.Expr, exponent: sympy.Expr) -> tuple[str, int]:
        if exponent == _HALF:
            return f"cw_sqrt({self(base)})", ATOM
        if exponent.is_Integer and 1 < exponent <= LARGEST_POWER:
            text = self(base, ATOM)
            return f"({' * '.join([text] * int(exponent))})", ATOM
        raise Unsupported(f"there is no C for the power {exponent} of {base}")

    def number(self, value: sympy.Expr) -> tuple[str, int]:
        if value.is_Rational and not value.is_Integer:
            return f"((cw_real){value.p} / {value.q})", ATOM
        text = str(value) if value.is_Integer else repr(float(value))
        return f"(cw_real){text}", FACTOR if value >= 0 else PRODUCT
