"""Ball arithmetic: enclosures of an expression over a whole box, rounding included (python-flint).

An enclosure is an object array of ``flint.arb``, a midpoint and a radius each.  :func:`ball_value` is
:func:`derive.evaluate.value` over such arrays: for all values inside those of ``env``, the true result is
inside what it returns.  An activation is enclosed by way of its ``formula``, so a new one needs no edit here:
a monotone one by its values at both ends, any other and every slope piece by piece, and none beyond its
declared range.  At a kink the enclosure of a slope holds the slopes of both sides and all between.

The working precision is ``flint.ctx.prec``, 53 bits unless the caller raises it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, reduce
from itertools import pairwise
from operator import add, mul
from types import ModuleType
from typing import Any

import numpy as np
import sympy

from derive.activations import Activation, Slope, a
from derive.cell import Cell
from derive.errors import DeriveError, EvaluationError
from derive.evaluate import check_shapes
from derive.symbols import Activated, Input, Linear, MeanMap, Parameter, Previous, Quantity
from derive.wellformed import axes_of

Array = np.ndarray[Any, Any]
Ball = Any
"""A ``flint.arb``."""

PIECES = 32
"""Into how many parts a wide argument is cut where its ends do not decide."""


def flint() -> ModuleType:
    """The python-flint module; :class:`~derive.errors.DeriveError` says how to get it."""
    try:
        import flint
    except ModuleNotFoundError:
        raise DeriveError("ball arithmetic needs python-flint: pip install 'cellwright[proofs]'") from None
    return flint


# Arrays of balls


def balls(values: Any) -> Array:
    """An object array: floats become exact balls, balls stay as they are."""
    arb = flint().arb
    return _each(lambda v: v if isinstance(v, arb) else arb(float(v)), values)


def box(low: Any, high: Any) -> Array:
    """The balls that enclose [low, high], elementwise."""
    return _each(_hull, balls(low), balls(high))


def ends(enclosure: Any) -> tuple[Array, Array]:
    """Lower and upper bounds as float64, rounded outward."""
    enclosure = balls(enclosure)
    low = _each(lambda ball: float(ball.lower()), enclosure).astype(np.float64)
    high = _each(lambda ball: float(ball.upper()), enclosure).astype(np.float64)
    # float() rounds to nearest, so one number outward is on the safe side
    return np.nextafter(low, -np.inf), np.nextafter(high, np.inf)


def _each(function: Callable[..., Any], *arrays: Any) -> Array:
    """Elementwise; an array also where NumPy would return a scalar."""
    made: Callable[..., Any] = np.frompyfunc(function, len(arrays), 1)
    return np.asarray(made(*(np.asarray(v, dtype=object) for v in arrays)), dtype=object)


def _hull(*parts: Ball) -> Ball:
    return reduce(lambda p, q: p.union(q), parts)


# Expressions


def ball_environment(
    cell: Cell, params: Mapping[str, Any], inputs: Any, state: Sequence[Any]
) -> dict[Quantity, Array]:
    """Enclosures of every quantity of one unbatched step: inputs (m,), state a tuple of (n,) arrays.

    Numbers and balls may be mixed; floats count as exact.  Raises :class:`~derive.errors.EvaluationError` on
    missing or misshapen numbers.
    """
    x = balls(inputs)
    if x.ndim != 1 or not isinstance(state, tuple | list) or len(state) != len(cell.states):
        expected = f"inputs (m,) and a tuple of the states {cell.states}"
        raise EvaluationError(
            f"{cell.name}: inputs of shape {x.shape} and a {type(state).__name__} of "
            f"{len(state)} as state; expected {expected}"
        )
    past = tuple(balls(s) for s in state)
    check_shapes(cell, params, x[None], past)
    env: dict[Quantity, Array] = {}
    for name, quantity in cell.symbols.items():
        if isinstance(quantity, Parameter):
            env[quantity] = balls(params[name])
        elif isinstance(quantity, Input):
            env[quantity] = x
    env |= {Previous(s, *cell.axes(s)): v for s, v in zip(cell.states, past, strict=True)}
    for symbol, expr in cell.equations.items():
        env[symbol] = ball_value(expr, env)
    return env


def ball_value(expr: sympy.Expr, env: Mapping[Quantity, Any]) -> Array:
    """An enclosure of an expression of the ring; arrays in ``env`` may have leading batch axes.

    The numbers of the expression are taken exactly, fractions as fractions.
    """
    if isinstance(expr, Quantity):
        return np.asarray(env[expr], dtype=object)
    if isinstance(expr, Linear):
        return _linear(expr, env)
    if isinstance(expr, Activated):
        return ball_activation(expr.activation, ball_value(expr.argument, env))
    if expr.is_Number:
        return np.asarray(_number(expr), dtype=object)
    if expr.is_Pow:
        return _each(lambda base: _power(base, expr.exp), ball_value(expr.base, env))
    parts = [ball_value(arg, env) for arg in expr.args]
    return np.asarray(reduce(add if expr.is_Add else mul, parts), dtype=object)


def _linear(expr: Linear, env: Mapping[Quantity, Any]) -> Array:
    vector = ball_value(expr.vector, env)
    axes = axes_of(expr.vector)
    axis = axes.index(expr.map.axes[1]) - len(axes)  # counted from the end: batch axes lead
    if isinstance(expr.map, MeanMap):
        total = vector.sum(axis, keepdims=True) / flint().arb(vector.shape[axis])
        return np.broadcast_to(total, vector.shape)
    columns = np.moveaxis(vector, axis, 0)
    matrix, flat = env[expr.map], columns.reshape(len(columns), -1)
    arb_mat = flint().arb_mat  # a hundred times as fast as NumPy on objects
    product = np.array((arb_mat(matrix.tolist()) * arb_mat(flat.tolist())).entries(), dtype=object)
    return np.moveaxis(product.reshape(len(matrix), *columns.shape[1:]), 0, axis)


def _number(expr: sympy.Expr) -> Ball:
    arb, fmpq = flint().arb, flint().fmpq
    return arb(fmpq(int(expr.p), int(expr.q))) if expr.is_Rational else arb(float(expr))


def _power(base: Ball, exponent: sympy.Rational) -> Ball:
    """A rational power, monotone on either side of zero; a root is taken of what is not negative."""
    arb = flint().arb
    p, q = int(exponent.p), int(exponent.q)
    low, high = base.lower(), base.upper()
    if q > 1:
        if high < 0:
            return arb("nan")
        low = low.max(arb(0))
    if not low <= high:  # nan
        return arb("nan")

    def at(point: Ball) -> Ball:
        found = point if q == 1 else point.root(q)
        whole = reduce(mul, [found] * abs(p))  # arb's own power of a ball around zero is nan
        return whole if p > 0 else 1 / whole

    around_zero = not (low > 0 or high < 0)
    if around_zero and p < 0:
        return arb(0, arb("inf"))
    if around_zero and q == 1 and p % 2 == 0:
        return _hull(arb(0), at(low), at(high))
    return at(base) if base.is_exact() else _hull(at(low), at(high))


# Activations


def ball_activation(activation: Activation, argument: Any) -> Array:
    """An enclosure of φ, or of the φ' that a slope node stands for, over an array of balls."""
    formula, low, high, monotone = _facts(activation)

    def enclosure(ball: Ball) -> Ball:
        if ball.is_exact():
            parts = [ball]
        else:
            parts = [ball.lower(), ball.upper()] if monotone else _pieces(ball)
        return _clipped(_hull(*(_formula(formula, part) for part in parts)), low, high)

    return _each(enclosure, argument)


@lru_cache(maxsize=256)
def _facts(activation: Activation) -> tuple[sympy.Expr, sympy.Expr, sympy.Expr, bool]:
    """Formula, lower and upper end of the range, monotone or not."""
    monotone = not isinstance(activation, Slope) and activation.monotone
    return activation.formula, activation.range.inf, activation.range.sup, monotone


def _pieces(ball: Ball) -> list[Ball]:
    """Balls that cover a ball between them; a narrow one, or an endless one, is left whole."""
    if not ball.is_finite() or ball.rad() < 1e-9:
        return [ball]
    low, high = ball.lower(), ball.upper()
    cuts = [low, *(low + (high - low) * k / PIECES for k in range(1, PIECES)), high]
    return [_hull(left, right) for left, right in pairwise(cuts)]


def _clipped(ball: Ball, low: sympy.Expr, high: sympy.Expr) -> Ball:
    """The part of a ball that lies in the closed range [low, high]."""
    arb = flint().arb
    lower = arb("-inf") if low.is_infinite else _number(low)
    upper = arb("inf") if high.is_infinite else _number(high)
    if lower <= ball <= upper or (low.is_infinite and high.is_infinite):
        return ball
    if not ball.is_finite():
        return _hull(lower, upper)
    return _hull(ball.lower().max(lower), ball.upper().min(upper))


_CONSTANTS = {sympy.pi: "pi", sympy.E: "const_e"}


def _formula(expr: sympy.Expr, ball: Ball) -> Ball:
    """An activation's formula at a ball."""
    if expr == a:
        return ball
    if expr.is_Rational or expr.is_Float:
        return _number(expr)
    if expr in _CONSTANTS:
        return getattr(flint().arb, _CONSTANTS[expr])()
    if isinstance(expr, sympy.Piecewise):
        return _piecewise(expr, ball)
    if expr.is_Pow and expr.exp.is_Rational:
        return _power(_formula(expr.base, ball), expr.exp)
    if isinstance(expr, sympy.sign | sympy.Heaviside):
        return _jump(_formula(expr.args[0], ball), -1 if isinstance(expr, sympy.sign) else 0)
    parts = [_formula(arg, ball) for arg in expr.args]
    if expr.is_Add or expr.is_Mul:
        return reduce(add if expr.is_Add else mul, parts)
    if expr.is_Pow:
        return (parts[0].log() * parts[1]).exp()
    if isinstance(expr, sympy.Max):
        return reduce(lambda p, q: p.max(q), parts)
    if isinstance(expr, sympy.Min):
        return reduce(lambda p, q: p.min(q), parts)
    if isinstance(expr, sympy.Abs):
        return _hull(parts[0].abs_lower(), parts[0].abs_upper())
    function = getattr(flint().arb, type(expr).__name__, None)  # exp, tanh, erf, atan, …
    if function is None or len(parts) != 1:
        raise DeriveError(
            f"no ball arithmetic for {expr} in an activation's formula; expected sums, products, powers, "
            "Max, Min, Abs, sign, Heaviside, Piecewise, and functions of one argument that flint.arb has"
        )
    return function(parts[0])


def _jump(ball: Ball, left: int) -> Ball:
    """``left`` below zero and 1 above; at zero everything between."""
    arb = flint().arb
    return arb(1) if ball > 0 else arb(left) if ball < 0 else _hull(arb(left), arb(1))


def _piecewise(expr: sympy.Piecewise, ball: Ball) -> Ball:
    """The hull of the pieces that the ball touches, the edges of a piece counted with it."""
    found = []
    for piece, condition in expr.args:
        truth = _truth(condition, ball)
        if truth is not False:
            found.append(_formula(piece, ball))
        if truth:
            break
    return _hull(*found)


def _truth(condition: Any, ball: Ball) -> bool | None:
    """Whether a condition holds within the ball and at its edge; None if that is not known."""
    if isinstance(condition, sympy.logic.boolalg.BooleanAtom):
        return bool(condition)
    if not isinstance(condition, sympy.core.relational.Relational):
        return None
    difference = _formula(condition.lhs - condition.rhs, ball)
    if not (difference > 0 or difference < 0):
        return None
    above = bool(difference > 0)
    return {">": above, ">=": above, "<": not above, "<=": not above}.get(
        condition.rel_op, condition.rel_op == "!="
    )
