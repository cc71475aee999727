r"""The article's notation in LaTeX: ``s_t &= f_t \odot s_{t-1} + i_t \odot \tilde{s}_t``."""

from __future__ import annotations

from collections.abc import Mapping

import sympy

from derive.show.notation import ATOM, FACTOR, PRODUCT, Notation
from derive.show.text import sympy_name
from derive.symbols import Activated, Linear, MeanMap, Parameter, Previous, Quantity


class LatexNotation(Notation):
    def quantity(self, symbol: Quantity) -> str:
        name = sympy.latex(sympy.Symbol(sympy_name(symbol.label)))
        if isinstance(symbol, Parameter | MeanMap):
            return name
        time = "t-1" if isinstance(symbol, Previous) else "t"
        # a name with a subscript of its own takes the time index after a comma
        return f"{name[:-1]},{time}}}" if name.endswith("}") and "_{" in name else f"{name}_{{{time}}}"

    def linear(self, expr: Linear) -> tuple[str, int]:
        if isinstance(expr.map, MeanMap):
            return rf"\operatorname{{mean}}\left({self(expr.vector)}\right)", ATOM
        return f"{self(expr.map)} {self(expr.vector, ATOM)}", PRODUCT

    def activated(self, expr: Activated) -> tuple[str, int]:
        return rf"{expr.activation.latex}\left({self(expr.argument)}\right)", ATOM

    def brackets(self, text: str) -> str:
        return rf"\left({text}\right)"

    def number(self, value: sympy.Expr) -> tuple[str, int]:
        return sympy.latex(value), PRODUCT if value.is_negative or not (
            value.is_Integer or value.is_Float
        ) else ATOM

    def product(self, factors: list[sympy.Expr]) -> str:
        # a number scales: 2 f_t \odot s_{t-1}
        numbers = [self(f, FACTOR) for f in factors if f.is_number]
        vectors = [self(f, FACTOR) for f in factors if not f.is_number]
        return " ".join(filter(None, [*numbers, r" \odot ".join(vectors)]))

    def quotient(self, numerator: sympy.Expr, denominator: sympy.Expr) -> tuple[str, int]:
        return rf"\frac{{{self(numerator)}}}{{{self(denominator)}}}", PRODUCT

    def power(self, base: sympy.Expr, exponent: sympy.Expr) -> tuple[str, int]:
        if exponent == sympy.Rational(1, 2):
            return rf"\sqrt{{{self(base)}}}", ATOM
        return f"{self(base, ATOM)}^{{{self(exponent)}}}", ATOM


def equations_latex(equations: Mapping[Quantity, sympy.Expr]) -> str:
    """All equations, aligned at the equals sign."""
    notation = LatexNotation(equations)
    lines = [f"{notation(symbol)} &= {notation(expr)}" for symbol, expr in equations.items()]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"
