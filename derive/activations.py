"""Activations: what each declares about itself.  Adding one is one entry below; a test measures every field.

An activation is known by its own output y (idea 2 of the design): σ' = y(1 - y), tanh' = 1 - y².  So each
declares its range, its derivative as a polynomial in y where one exists, its Lipschitz constant and whether
it is monotone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import sympy
from sympy import Abs, Heaviside, Interval, Max, Rational, oo
from sympy.codegen.cfunctions import expm1, log1p

from derive.errors import DeriveError, nearest
from derive.symbols import Activated

Array = np.ndarray[Any, Any]
a = sympy.Symbol("a", real=True)
"""The argument of an activation, in :attr:`Definition.formula`."""
y = sympy.Symbol("y", real=True)
"""The output of an activation, in :attr:`Definition.derivative`."""


@dataclass(frozen=True)
class Definition:
    """What an activation declares.

    ``numpy`` must accept complex arguments with a tiny imaginary part (checks differentiate by complex step).
    ``torch`` is the function's name in torch, as emitted (``F`` is ``torch.nn.functional``), or an expression
    with ``{}`` where the argument goes; empty for none.  ``text`` is a shorter name in plain text.
    ``reflection`` is the constant k with φ(-a) = k - φ(a), where there is one: 1 for σ, 0 for odd functions.
    ``kinks`` are the arguments at which the derivative jumps.

    For kernels, which compute without torch: ``elementary`` is a formula that neither overflows nor cancels,
    where ``formula`` does; ``slope`` is the derivative in y and, if need be, in a, where ``derivative`` is
    None.  Without a slope an activation runs in plain torch alone.
    """

    latex: str
    formula: sympy.Expr
    numpy: Callable[[Array], Array]
    torch: str
    range: sympy.Set
    derivative: sympy.Expr | None
    lipschitz: sympy.Expr
    monotone: bool
    reflection: sympy.Expr | None = None
    kinks: tuple[sympy.Expr, ...] = ()
    text: str = ""
    elementary: sympy.Expr | None = None
    slope: sympy.Expr | None = None


def _clip(x: Array, low: float, high: float) -> Array:
    return np.where(x.real < low, low, np.where(x.real > high, high, x))


def _softplus(x: Array) -> Array:
    size = np.where(x.real < 0, -x, x)
    return np.where(x.real < 0, 0, x) + np.log1p(np.exp(-size))


_DEFINITIONS: dict[str, Definition] = {
    "sigmoid": Definition(
        latex=r"\sigma",
        text="σ",
        formula=1 / (1 + sympy.exp(-a)),
        numpy=lambda x: 0.5 * (1 + np.tanh(0.5 * x)),
        torch="torch.sigmoid",
        range=Interval.open(0, 1),
        derivative=y * (1 - y),
        lipschitz=Rational(1, 4),
        monotone=True,
        reflection=sympy.Integer(1),
    ),
    "tanh": Definition(
        latex=r"\tanh",
        formula=sympy.tanh(a),
        numpy=np.tanh,
        torch="torch.tanh",
        range=Interval.open(-1, 1),
        derivative=1 - y**2,
        lipschitz=sympy.Integer(1),
        monotone=True,
        reflection=sympy.Integer(0),
    ),
    "relu": Definition(
        latex=r"\operatorname{relu}",
        formula=sympy.Max(0, a),
        numpy=lambda x: np.where(x.real > 0, x, 0),
        torch="torch.relu",
        range=Interval(0, oo),
        derivative=None,
        lipschitz=sympy.Integer(1),
        monotone=True,
        kinks=(sympy.Integer(0),),
        slope=Heaviside(y, 0),
    ),
    "identity": Definition(
        latex=r"\operatorname{id}",
        formula=a,
        numpy=lambda x: x,
        torch="",
        range=Interval(-oo, oo),
        derivative=sympy.Integer(1),
        lipschitz=sympy.Integer(1),
        monotone=True,
        reflection=sympy.Integer(0),
    ),
    "softsign": Definition(
        latex=r"\operatorname{softsign}",
        formula=a / (1 + sympy.Abs(a)),
        numpy=lambda x: x / (1 + np.where(x.real < 0, -x, x)),
        torch="F.softsign",
        range=Interval.open(-1, 1),
        derivative=None,
        lipschitz=sympy.Integer(1),
        monotone=True,
        reflection=sympy.Integer(0),
        slope=(1 - Abs(y)) ** 2,
    ),
    "softplus": Definition(
        latex=r"\operatorname{softplus}",
        formula=sympy.log(1 + sympy.exp(a)),
        numpy=_softplus,
        torch="F.softplus",
        range=Interval.open(0, oo),
        derivative=None,  # 1 - exp(-y)
        lipschitz=sympy.Integer(1),
        monotone=True,
        elementary=Max(a, 0) + log1p(sympy.exp(-Abs(a))),
        slope=-expm1(-y),
    ),
    "hard_sigmoid": Definition(
        latex=r"\operatorname{hard\sigma}",
        formula=sympy.Min(1, sympy.Max(0, a / 6 + Rational(1, 2))),
        numpy=lambda x: _clip(x / 6 + 0.5, 0, 1),
        torch="F.relu6({} + 3) / 6",  # F.hardsigmoid differentiates with a float32 1/6, in float64 too
        range=Interval(0, 1),
        derivative=None,
        lipschitz=Rational(1, 6),
        monotone=True,
        reflection=sympy.Integer(1),
        kinks=(sympy.Integer(-3), sympy.Integer(3)),
        slope=Heaviside(y, 0) * Heaviside(1 - y, 0) / 6,
    ),
}


class Activation(sympy.Atom):
    """An activation by name; calling it applies it: ``sigmoid(W @ s.prev + b)``."""

    name: str

    def __new__(cls, name: str) -> Activation:
        if name not in _DEFINITIONS:
            near = nearest(name, _DEFINITIONS)
            raise DeriveError(f"unknown activation {name!r}{near} Known: {', '.join(_DEFINITIONS)}")
        self = super().__new__(cls)
        self.name = name
        return self

    def _hashable_content(self) -> tuple[Any, ...]:
        return (self.name,)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return type(self), (self.name,)

    def __getnewargs__(self) -> tuple[str]:
        return (self.name,)

    def sort_key(self, order: Any = None) -> Any:
        return self.class_key(), (1, (self.name,)), sympy.S.One.sort_key(), sympy.S.One

    def __call__(self, argument: Any) -> Activated:
        return Activated(self, argument)

    def __getattr__(self, field: str) -> Any:
        if field in Definition.__dataclass_fields__:
            return getattr(_DEFINITIONS[self.name], field)
        raise AttributeError(field)

    def _sympystr(self, printer: Any) -> str:
        return self.name

    @property
    def is_gate(self) -> bool:
        """Whether its values are fractions: its range lies in [0, 1]."""
        return bool(self.range.inf >= 0 and self.range.sup <= 1)

    @property
    def is_bounded(self) -> bool:
        return bool(self.range.inf.is_finite and self.range.sup.is_finite)


class Slope(Activation):
    """φ' as a function of φ's argument, for an activation whose slope is no polynomial in its own output.

    It stands in Jacobians alone, never in a cell.  All that is known of it is its range: [0, L] for a
    monotone activation with Lipschitz constant L, [-L, L] otherwise.
    """

    def __getattr__(self, field: str) -> Any:
        base = _DEFINITIONS[self.name]
        if field == "range":
            return Interval(0 if base.monotone else -base.lipschitz, base.lipschitz)
        if field == "numpy":
            return lambda x: base.numpy(x + 1e-30j).imag / 1e-30
        if field in ("latex", "text"):
            return f"{getattr(base, field) or (self.name if field == 'text' else '')}'"
        if field == "formula":
            return sympy.diff(base.formula, a)
        raise AttributeError(field)


def slope_of(activated: Activated) -> Activated:
    """φ'(a) for φ(a), as an opaque node."""
    return Activated(Slope(activated.activation.name), activated.argument)


ACTIVATIONS: Mapping[str, Activation] = MappingProxyType({name: Activation(name) for name in _DEFINITIONS})
sigmoid, tanh, relu = ACTIVATIONS["sigmoid"], ACTIVATIONS["tanh"], ACTIVATIONS["relu"]
identity, softsign, hard_sigmoid = (
    ACTIVATIONS["identity"],
    ACTIVATIONS["softsign"],
    ACTIVATIONS["hard_sigmoid"],
)
