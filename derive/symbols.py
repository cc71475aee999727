"""The Hadamard ring: vectors are plain commutative SymPy symbols, products are elementwise.

Sums and elementwise products of a cell's vectors commute and distribute, so all of SymPy's scalar algebra
(``expand``, ``collect``, ``Poly``) works on cell equations.  The one thing that is not elementwise is a
linear map; it is the opaque node :class:`Linear`.  An activation applied to a vector is the opaque node
:class:`Activated`.  Axes are names (``n`` state units, ``m`` input features), never numbers.

Nothing here looks at axes: ``W * s`` and ``x + s`` are made without complaint, and
:mod:`derive.wellformed` refuses them when they become part of a cell.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

import sympy

if TYPE_CHECKING:
    from derive.activations import Activation

STATE_AXIS = "n"
INPUT_AXIS = "m"


class Quantity(sympy.Symbol):
    """A named symbol with named axes; equal when class, name and axes are."""

    axes: tuple[str, ...]

    def __new__(cls, name: str, *axes: str) -> Self:
        if not all(isinstance(part, str) for part in (name, *axes)):
            raise TypeError(f"{cls.__name__}(name, *axes) takes strings, not {(name, *axes)!r}")
        self = sympy.Symbol.__xnew__(cls, name, real=True)
        self.axes = axes
        return self

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return type(self), (self.name, *self.axes)

    def __getnewargs_ex__(self) -> tuple[tuple[str, ...], dict[str, Any]]:
        return (self.name, *self.axes), {}

    def _hashable_content(self) -> tuple[Any, ...]:
        return (*super()._hashable_content(), self.axes)

    def __str__(self) -> str:  # SymPy's printer takes a hundred times as long
        return str(self.name)

    @property
    def label(self) -> str:
        """The name without the time index."""
        return str(self.name)


class Vector(Quantity):
    """A vector that an equation computes at every step: a gate, a candidate, an output."""

    def __new__(cls, name: str, *axes: str) -> Self:
        return super().__new__(cls, name, *(axes or (STATE_AXIS,)))


class State(Vector):
    """A vector that is passed to the next step; ``s.prev`` is its value one step earlier."""

    @property
    def prev(self) -> Previous:
        return Previous(self.name, *self.axes)


class Previous(Quantity):
    """A state as the last step left it: s at t - 1."""

    def __new__(cls, name: str, *axes: str) -> Self:
        past = name if name.endswith("[t-1]") else f"{name}[t-1]"
        return super().__new__(cls, past, *(axes or (STATE_AXIS,)))

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return type(self), (self.label, *self.axes)

    def __getnewargs_ex__(self) -> tuple[tuple[str, ...], dict[str, Any]]:
        return (self.label, *self.axes), {}

    @property
    def label(self) -> str:
        return str(self.name.removesuffix("[t-1]"))

    @property
    def state(self) -> State:
        return State(self.label, *self.axes)


class Input(Quantity):
    """The external input of a step."""

    def __new__(cls, name: str, *axes: str) -> Self:
        return super().__new__(cls, name, *(axes or (INPUT_AXIS,)))


class LinearMap(Quantity):
    """Something with axes (to, from) that acts on a vector by ``@``."""

    def __matmul__(self, vector: Any) -> Linear:
        return Linear(self, vector)

    def __rmatmul__(self, other: Any) -> Linear:
        raise TypeError(f"{other} @ {self}: write the matrix on the left, {self} @ vector")


class Parameter(LinearMap):
    """A trained array: a matrix with axes (to, from), or a bias or diagonal matrix with one axis."""


class MeanMap(LinearMap):
    """The constant map 11ᵀ/n: every unit receives the mean over all units (its 2-norm is 1)."""

    def __new__(cls, name: str = "mean", *axes: str) -> Self:
        return super().__new__(cls, name, *(axes or (STATE_AXIS, STATE_AXIS)))


class Linear(sympy.Expr):
    """``Linear(W, v)``: the linear map W applied to the vector v; opaque to SymPy's algebra."""

    is_commutative = True
    is_real = True

    def __new__(cls, map: Quantity, vector: Any) -> Self:
        if not isinstance(map, sympy.Basic):
            raise TypeError(f"Linear(map, vector) takes a Parameter as its map, not {map!r}")
        return sympy.Expr.__new__(cls, map, _operand(vector, f"{map} @ v"))

    @property
    def map(self) -> Any:
        return self.args[0]

    @property
    def vector(self) -> sympy.Expr:
        return self.args[1]

    def _sympystr(self, printer: Any) -> str:
        return f"{printer._print(self.map)}({printer._print(self.vector)})"


class Activated(sympy.Expr):
    """``φ(a)``: an :class:`~derive.activations.Activation` applied to every element of a."""

    is_commutative = True
    is_real = True

    def __new__(cls, activation: Activation, argument: Any) -> Self:
        if not isinstance(activation, sympy.Basic):
            raise TypeError(
                f"Activated(activation, argument) takes an Activation such as tanh, not {activation!r}"
            )
        return sympy.Expr.__new__(cls, activation, _operand(argument, f"{activation}(v)"))

    @property
    def activation(self) -> Activation:
        return self.args[0]

    @property
    def argument(self) -> sympy.Expr:
        return self.args[1]

    def _sympystr(self, printer: Any) -> str:
        return f"{self.activation.name}({printer._print(self.argument)})"


def mean(vector: sympy.Expr, axis: str = STATE_AXIS) -> Linear:
    """The mean over all units, at every unit: (11ᵀ/n) v."""
    return Linear(MeanMap("mean" if axis == STATE_AXIS else f"mean_{axis}", axis, axis), vector)


def _operand(value: Any, where: str) -> sympy.Expr:
    """What a linear map or an activation is applied to.  Strict: SymPy would parse a string as code."""
    try:
        expr = sympy.sympify(value, strict=True)
    except (sympy.SympifyError, TypeError):
        expr = None
    if not isinstance(expr, sympy.Expr):
        raise TypeError(
            f"{where} takes an expression of vectors as v, not the {type(value).__name__} {value!r}"
        )
    return expr


def variance(vector: sympy.Expr, axis: str = STATE_AXIS) -> Linear:
    """The variance over all units with divisor n, at every unit."""
    return mean((vector - mean(vector, axis)) ** 2, axis)


def affine_parameters(gate: str = "") -> tuple[Parameter, Parameter, Parameter]:
    """``W, U, b`` of a single-layer network reading a state and an input; ``W_i, U_i, b_i`` for gate i."""
    suffix = f"_{gate}" if gate else ""
    n, m = STATE_AXIS, INPUT_AXIS
    return Parameter(f"W{suffix}", n, n), Parameter(f"U{suffix}", n, m), Parameter(f"b{suffix}", n)


@lru_cache(maxsize=1 << 16)
def atoms(expr: sympy.Basic) -> frozenset[Quantity]:
    """Every quantity that occurs in an expression, inside linear maps and activations too.

    Cached for every subexpression: rules and searches ask this of the same expressions over and over.
    """
    if isinstance(expr, Quantity):
        return frozenset((expr,))
    return frozenset().union(*(atoms(arg) for arg in expr.args))


def substitute(expr: sympy.Expr, mapping: dict[Any, Any]) -> sympy.Expr:
    """Replace subexpressions everywhere, all at once (``{a: b, b: a}`` swaps)."""
    return expr.xreplace({key: sympy.sympify(value) for key, value in mapping.items()})


def at_present(expr: sympy.Expr) -> sympy.Expr:
    """The same expression one step later in what it reads: every s at t - 1 becomes s at t."""
    return substitute(expr, {p: p.state for p in expr.atoms(Previous)})
