"""Elementwise formulas as Triton source, and the functions that they call."""

from __future__ import annotations

from functools import reduce

import sympy

from codegen.errors import Unsupported
from codegen.writing.notation import TorchNotation
from derive import activations
from derive.show.notation import ATOM, FACTOR, PRODUCT
from derive.symbols import Activated, Linear

_FUNCTIONS = {
    "Abs": "tl.abs",
    "exp": "tl.exp",
    "log": "tl.log",
    "expm1": "expm1",
    "log1p": "log1p",
    "tanh": "tanh",
}
_OWN = frozenset({"sigmoid", "tanh"})
"""Activations that are a function of the generated file; any other is spelt by its formula."""


class TritonNotation(TorchNotation):
    """Spells elementwise formulas in float32."""

    def linear(self, expr: Linear) -> tuple[str, int]:
        raise Unsupported(f"{expr} inside a kernel's formula: a loop has its means as statements")

    def activated(self, expr: Activated) -> tuple[str, int]:
        phi = expr.activation
        if phi.name in _OWN:
            return f"{phi.name}({self(expr.argument)})", ATOM
        formula = phi.formula if phi.elementary is None else phi.elementary
        return self._spell(formula.xreplace({activations.a: expr.argument}))

    def quotient(self, numerator: sympy.Expr, denominator: sympy.Expr) -> tuple[str, int]:
        return f"{self(numerator, PRODUCT)} / {self(denominator, FACTOR)}", PRODUCT

    def power(self, base: sympy.Expr, exponent: sympy.Expr) -> tuple[str, int]:
        if exponent == sympy.Rational(1, 2):
            return f"tl.sqrt({self(base)})", ATOM
        if exponent.is_Integer:
            return f"power({self(base)}, {exponent})", ATOM
        return f"tl.exp({self(exponent, FACTOR)} * tl.log({self(base)}))", ATOM

    def number(self, value: sympy.Expr) -> tuple[str, int]:
        if value.is_Rational and not value.is_Integer:
            value = sympy.Float(float(value), 17)
        return super().number(value)

    def _function(self, expr: sympy.Expr) -> tuple[str, int]:
        if isinstance(expr, sympy.Max | sympy.Min):
            name = "tl.maximum" if isinstance(expr, sympy.Max) else "tl.minimum"
            # a number alone is no tensor to Triton where both are: it comes second
            first, *rest = sorted((self(arg) for arg in expr.args), key=lambda text: _is_number(text))
            return reduce(lambda text, other: f"{name}({text}, {_float(other)})", rest, first), ATOM
        if isinstance(expr, sympy.Heaviside):
            return f"tl.where({self(expr.args[0])} > 0, 1.0, 0.0)", ATOM
        name = _FUNCTIONS.get(expr.func.__name__, "")
        if not name:
            known = ", ".join([*_FUNCTIONS, "Heaviside", "Max", "Min"])
            raise Unsupported(f"{expr.func.__name__} of {expr} is not among {known}")
        return f"{name}({self(expr.args[0])})", ATOM


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _float(text: str) -> str:
    return repr(float(text)) if _is_number(text) else text


FUNCTIONS = '''
@triton.jit
def load(pointer, row, width, unit, inside):
    """Some units of some rows, in float32; zero outside."""
    return tl.load(pointer + row * width + unit, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def load_units(pointer, unit, size):
    """A vector that all rows share, in float32."""
    return tl.load(pointer + unit, mask=unit < size, other=0.0).to(tl.float32)


@triton.jit
def load_matrix(pointer, first, to, to_size, source, source_size):
    """Rows from ``first`` on of a matrix, as either index runs down; zero outside."""
    inside = (to < to_size) & (source < source_size)
    index = (first + to) * source_size + source
    return tl.load(pointer + index, mask=inside, other=0.0)


@triton.jit
def dot(a, b, PRECISION: tl.constexpr, WIDEN: tl.constexpr):
    """a @ b, summed in float32."""
    if WIDEN:  # Triton's interpreter would multiply the bits of a bfloat16
        return tl.dot(a.to(tl.float32), b.to(tl.float32), input_precision="ieee")
    return tl.dot(a, b, input_precision=PRECISION)


@triton.jit
def sigmoid(a):
    """1 / (1 + exp(-a)), without overflow."""
    e = tl.exp(-tl.abs(a))
    return tl.where(a < 0, e, 1.0) / (1.0 + e)


@triton.jit
def tanh(a):
    """tanh; near zero by Cephes' polynomial, since a difference would cancel."""
    e = tl.exp(-2.0 * tl.abs(a))
    far = (1.0 - e) / (1.0 + e)
    c = tl.minimum(tl.abs(a), 1.0)
    b = c * c
    p = -5.70498872745e-3 * b + 2.06390887954e-2
    p = p * b - 5.37397155531e-2
    p = p * b + 1.33314422036e-1
    p = p * b - 3.33332819422e-1
    size = tl.where(c < 0.625, c + c * b * p, far)
    return tl.where(a < 0, -size, size)


@triton.jit
def log1p(a):
    """log(1 + a); the rounding of the sum is divided out (Kahan)."""
    u = 1.0 + a
    exact = u == 1.0
    return tl.where(exact, a, tl.log(u) * a / tl.where(exact, 1.0, u - 1.0))


@triton.jit
def expm1(a):
    """exp(a) - 1; the rounding of the exponential is divided out (Kahan)."""
    u = tl.exp(a)
    exact = u == 1.0
    far = (u < 1e-6) | (u > 1e6)  # the logarithm has no need, or no way, to help
    ratio = a / tl.where(exact | far, 1.0, tl.log(tl.where(exact | far, 2.0, u)))
    return tl.where(exact, a, (u - 1.0) * tl.where(far, 1.0, ratio))


@triton.jit
def power(a, EXPONENT: tl.constexpr):
    """a to a whole number above zero."""
    result = a
    for _ in tl.static_range(EXPONENT - 1):
        result = result * a
    return result
'''
"""The functions that kernels call, as text; those of one argument are elementwise, in float32."""
