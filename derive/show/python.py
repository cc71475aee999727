"""Python source that rebuilds a cell: the text of ``repr(cell)``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sympy

from derive.show.notation import ATOM, FACTOR, PRODUCT, SUM, Notation
from derive.symbols import Activated, Linear, Previous, Quantity

if TYPE_CHECKING:
    from derive.cell import Cell


class PythonNotation(Notation):
    """Expressions over constructors, so that the text evaluates after ``from derive import *`` alone."""

    negated = FACTOR  # -W @ v would negate the matrix

    def quantity(self, symbol: Quantity) -> str:
        if isinstance(symbol, Previous):
            return f"{self.quantity(symbol.state)}.prev"
        return f"{type(symbol).__name__}({', '.join(repr(a) for a in (symbol.label, *self._axes(symbol)))})"

    def _axes(self, symbol: Quantity) -> tuple[str, ...]:
        return () if type(symbol)(symbol.label) == symbol else symbol.axes

    def linear(self, expr: Linear) -> tuple[str, int]:
        return f"{self(expr.map, ATOM)} @ {self(expr.vector, ATOM)}", PRODUCT

    def activated(self, expr: Activated) -> tuple[str, int]:
        return f"{expr.activation.name}({self(expr.argument)})", ATOM

    def product(self, factors: list[sympy.Expr]) -> str:
        # SymPy would multiply 2 * (a + b) out before the next factor came: numbers stand last beside a sum
        if any(f.is_Add for f in factors):
            factors = sorted(factors, key=lambda f: bool(f.is_number))
        return " * ".join(self(f, FACTOR) for f in factors)

    def quotient(self, numerator: sympy.Expr, denominator: sympy.Expr) -> tuple[str, int]:
        divisors = sorted(self.factors(denominator), key=lambda f: bool(f.is_number))  # likewise
        return " / ".join([self(numerator, PRODUCT), *(self(f, FACTOR) for f in divisors)]), PRODUCT

    def power(self, base: sympy.Expr, exponent: sympy.Expr) -> tuple[str, int]:
        return f"{self(base, ATOM)} ** {self(exponent, ATOM)}", FACTOR

    def number(self, value: sympy.Expr) -> tuple[str, int]:
        if value.is_Float:
            return repr(float(value)), ATOM if value >= 0 else SUM
        if value.is_Integer:
            return str(value), ATOM if value >= 0 else SUM
        return f"Rational({value.p}, {value.q})", ATOM


def cell_source(cell: Cell) -> str:
    """The constructor call, one equation a line."""
    notation = PythonNotation(cell.equations)
    lines = [f"Cell({cell.name!r}, {{"]
    lines += [f"    {notation(symbol)}: {notation(expr)}," for symbol, expr in cell.equations.items()]
    options = [f"output={cell.output!r}"] if cell.output is not None else []
    options.append(f"states={cell.states!r}")
    options += [f"{field}={value!r}" for field in ("title", "reference") if (value := getattr(cell, field))]
    return "\n".join(lines) + "\n}, " + ", ".join(options) + ")"
