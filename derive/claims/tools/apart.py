"""Two runs that one step takes further apart, under weights that meet a condition; found by a search.

With diagonal matrices every unit is a cell of its own: one step of many units tries as many weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import ge, gt, le, lt
from typing import Any

import numpy as np
import sympy

from derive.anatomy import states
from derive.bounds.symbols import norm_symbol
from derive.claims.tools.box import Box
from derive.claims.tools.drives import Array, Numbers
from derive.claims.tools.shrinking import Relation
from derive.symbols import MeanMap

UNITS = 512
ROUNDS = 24
HALVINGS = 40
STEP = 1e-3
COMPARE = {"<": lt, "<=": le, ">": gt, ">=": ge}
MARGIN = 1e-6
"""By how much a change must grow, so that rounding does not feign it."""


def growing(box: Box, relations: Sequence[Relation]) -> tuple[Numbers, Numbers] | None:
    """Two states of one unit; None if none is found, or where the units of a cell cannot be told apart."""
    cell = box.cell
    (state,) = states(cell)
    own, features = state.axes, {axis for x in cell.inputs for axis in cell.axes(x)}
    mixed = any(isinstance(q, MeanMap) for q in cell.symbols.values())
    if mixed or box.open or any(set(axes) - {*own, *features} for axes in cell.parameters.values()):
        return None
    rng = np.random.default_rng(0)
    recurrent = [name for name, axes in cell.parameters.items() if axes == own * 2]
    for _ in range(ROUNDS):
        values = _pushed(box, relations, {name: _drawn(rng) for name in cell.parameters}, recurrent)
        low, high = _limits(box, _symbols(box, values))
        at = np.where(rng.random(UNITS) < 0.5, low, high) * rng.choice([0.0, 0.5, 1.0], UNITS)
        moved = at + np.where(at > (low + high) / 2, -STEP, STEP)
        weights = {
            name: _diagonal(v, len(cell.parameters[name]), name in recurrent) for name, v in values.items()
        }
        inputs = np.ones((1, min(1, len(cell.inputs))))
        many = [Numbers(weights, inputs, (v,)) for v in (at, moved)]
        stretch = np.abs(np.subtract(*(run.states(cell)[1][0] for run in many))) / np.abs(at - moved)
        unit = int(np.argmax(np.where(_met(box, relations, values), stretch, 0.0)))
        single = {name: np.full([1] * len(cell.parameters[name]), v[unit]) for name, v in values.items()}
        one, other = (Numbers(single, inputs, (v[unit : unit + 1],)) for v in (at, moved))
        if grows(box, relations, one, other):
            return one, other
    return None


def grows(box: Box, relations: Sequence[Relation], one: Numbers, other: Numbers) -> bool:
    """Whether a step takes two states of the box further apart, under weights that meet the condition."""
    cell = box.cell
    if box.open or len(cell.states) != 1:
        return False
    alike = all(np.array_equal(one.parameters[p], other.parameters[p]) for p in cell.parameters)
    alike = alike and np.array_equal(one.inputs, other.inputs)
    norms = {name: np.asarray(_norm(p)) for name, p in one.parameters.items()}
    low, high = _limits(box, _symbols(box, norms))
    inside = all(np.all(run.state[0] >= low) and np.all(run.state[0] <= high) for run in (one, other))
    inside = inside and bool(np.all(np.abs(one.inputs) <= float(box.limit)))
    before = np.abs(one.state[0] - other.state[0]).max()
    after = np.abs(one.states(cell)[1][0] - other.states(cell)[1][0]).max()
    return bool(
        alike and inside and np.all(_met(box, relations, norms)) and after > (1 + MARGIN) * before > 0
    )


def _norm(parameter: Array) -> float:
    """The ∞-norm of a matrix, max |bᵢ| of a vector."""
    sizes = np.abs(parameter)
    return float((sizes.sum(-1) if parameter.ndim == 2 else sizes).max(initial=0.0))


def _drawn(rng: np.random.Generator) -> Array:
    """A weight a unit: 0, or anything from small to large."""
    sizes = 2.0 ** rng.uniform(-4, 5, UNITS)
    return sizes * rng.choice([-1.0, 0.0, 1.0], UNITS)


def _pushed(
    box: Box, relations: Sequence[Relation], values: Mapping[str, Array], recurrent: Sequence[str]
) -> dict[str, Array]:
    """Recurrent weights shrunk until the condition is just met: it is there that a wrong one fails."""
    least, most = np.zeros(UNITS), np.ones(UNITS)

    def scaled(factor: Array) -> dict[str, Array]:
        return {name: v * factor if name in recurrent else v for name, v in values.items()}

    least = np.where(_met(box, relations, scaled(most)), most, least)
    for _ in range(HALVINGS):
        middle = (least + most) / 2
        met = _met(box, relations, scaled(middle))
        least, most = np.where(met, middle, least), np.where(met, most, middle)
    return scaled(least)


def _symbols(box: Box, values: Mapping[str, Array]) -> dict[sympy.Symbol, Array]:
    """The symbols of a condition in numbers: norms, and ends in the order in which they are defined."""
    found = {norm_symbol(name): np.abs(v) for name, v in values.items()}
    for symbol, end in box.ends.named.items():
        found[symbol] = _value(end.value, found)
    return found


def _limits(box: Box, symbols: Mapping[sympy.Symbol, Array]) -> tuple[Array, Array]:
    (interval,) = box.past.values()
    return _value(interval.low, symbols), _value(interval.high, symbols)


def _met(box: Box, relations: Sequence[Relation], values: Mapping[str, Array]) -> Array:
    symbols = _symbols(box, values)
    with np.errstate(invalid="ignore"):
        sides = [(_value(left, symbols), op, _value(right, symbols)) for left, op, right in relations]
        return np.all([COMPARE[op](left, right) for left, op, right in sides], axis=0)


def _value(expr: sympy.Expr, symbols: Mapping[sympy.Symbol, Array]) -> Array:
    used = sorted(sympy.sympify(expr).free_symbols, key=str)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        found = _compiled(expr, tuple(used))(*(symbols[s] for s in used))
    shape = np.broadcast_shapes(*(np.shape(v) for v in symbols.values()))
    return np.broadcast_to(np.asarray(found, dtype=np.float64), shape)


@lru_cache(maxsize=1024)
def _compiled(expr: sympy.Expr, used: tuple[sympy.Symbol, ...]) -> Any:
    return sympy.lambdify(used, expr, "numpy")


def _diagonal(values: Array, axes: int, square: bool) -> Array:
    """diag(values), a column of them, or themselves."""
    return np.diag(values) if square else values[:, None] if axes == 2 else values
