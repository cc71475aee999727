"""Expressions as torch source text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import sympy

from codegen.errors import Unsupported
from codegen.plan import SpreadMean
from derive.evaluate import value
from derive.show.notation import ATOM, FACTOR, PRODUCT, Notation
from derive.symbols import Activated, Linear, Quantity
from derive.wellformed import axes_of

_HALF = sympy.Rational(1, 2)
_FUNCTIONS = {"Abs": "abs", "exp": "exp", "expm1": "expm1", "log1p": "log1p", "tanh": "tanh"}


class TorchNotation(Notation):
    """Spells elementwise formulas; ``inlined`` maps a vector to the text that stands for it."""

    negated = FACTOR

    def __init__(self, order: Iterable[Quantity], names: Mapping[Quantity, str]) -> None:
        super().__init__(order)
        self.names = names
        self.inlined: dict[Quantity, tuple[str, int]] = {}

    def _spell(self, expr: sympy.Expr) -> tuple[str, int]:
        if isinstance(expr, Quantity) and expr in self.inlined:
            return self.inlined[expr]
        if not expr.is_Number and not axes_of(expr):
            return self.number(
                sympy.Float(float(value(expr, {})), 17)
            )  # √2, tanh(1): torch takes no bare numbers
        if expr.is_Function and not isinstance(expr, Linear | Activated):
            return self._function(expr)
        return super()._spell(expr)

    def _function(self, expr: sympy.Expr) -> tuple[str, int]:
        """The functions in which activations declare their slopes."""
        if isinstance(expr, sympy.Heaviside):
            argument = expr.args[0]
            return f"({self(argument)} > 0).to({self(_vector_in(argument))}.dtype)", ATOM
        name = _FUNCTIONS.get(expr.func.__name__)
        if name is None:
            raise Unsupported(
                f"{expr.func.__name__} of {expr} is not among {', '.join(_FUNCTIONS)}, Heaviside"
            )
        return f"torch.{name}({self(expr.args[0])})", ATOM

    def quantity(self, symbol: Quantity) -> str:
        return self.names[symbol]

    def linear(self, expr: Linear) -> tuple[str, int]:
        """A mean; matrix products are statements of their own (:class:`~codegen.plan.Product`)."""
        centred = _variance_of(expr)
        if centred is not None:
            return f"{self(centred, ATOM)}.var(-1, correction=0, keepdim=True)", ATOM
        text = f"{self(expr.vector, ATOM)}.mean(-1, keepdim=True)"
        if isinstance(expr.map, SpreadMean):
            text += f".expand_as({self(expr.vector)})"
        return text, ATOM

    def activated(self, expr: Activated) -> tuple[str, int]:
        if not expr.activation.torch:
            return self._spell(expr.argument)
        if "{}" in expr.activation.torch:
            return expr.activation.torch.format(self(expr.argument)), PRODUCT
        return f"{expr.activation.torch}({self(expr.argument)})", ATOM

    def product(self, factors: list[sympy.Expr]) -> str:
        return " * ".join(self(f, FACTOR) for f in factors)

    def quotient(self, numerator: sympy.Expr, denominator: sympy.Expr) -> tuple[str, int]:
        if numerator == 1 and denominator.is_Pow and denominator.exp == _HALF:
            return f"torch.rsqrt({self(denominator.base)})", ATOM
        return f"{self(numerator, PRODUCT)} / {self(denominator, FACTOR)}", PRODUCT

    def power(self, base: sympy.Expr, exponent: sympy.Expr) -> tuple[str, int]:
        if exponent == _HALF:
            return f"torch.sqrt({self(base)})", ATOM
        if exponent == 2:
            return f"{self(base, ATOM)}.square()", ATOM
        return f"torch.pow({self(base)}, {self(exponent)})", ATOM

    def number(self, value: sympy.Expr) -> tuple[str, int]:
        if value.is_Integer:
            return str(value), ATOM if value >= 0 else PRODUCT
        if value.is_Rational:
            return f"{value.p} / {value.q}", PRODUCT
        return repr(float(value)), ATOM if value >= 0 else PRODUCT


def _vector_in(expr: sympy.Expr) -> sympy.Expr:
    """Some vector of an expression, for its type."""
    return min(expr.atoms(Quantity), key=lambda q: q.sort_key())


def _variance_of(expr: Linear) -> sympy.Expr | None:
    """v, where the expression is mean((v - mean(v))²) inside something of full width."""
    inner = expr.vector
    if isinstance(expr.map, SpreadMean) or not (inner.is_Pow and inner.exp == 2):
        return None
    vectors = [term for term in inner.base.args if inner.base.is_Add and not term.has(Linear)]
    for vector in vectors:
        if inner.base == vector - Linear(expr.map, vector):
            return vector
    return None
