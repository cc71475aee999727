"""Jacobians by perturbing the evaluator: what the symbolic ones are held against."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from derive import Cell, evaluate
from derive.evaluate import step
from tests.strategies import numbers

Array = np.ndarray[Any, Any]
Place = tuple[dict[str, Array], Array, tuple[Array, ...]]

COMPLEX_STEP = 1e-30
DIFFERENCE = 6e-6
"""About the cube root of float64's precision."""


def place(cell: Cell, seed: int = 0, **sizes: int) -> Place:
    """Parameters, the input and the state of one unbatched step."""
    params, inputs, state = numbers(cell, T=1, B=None, seed=seed, **sizes)
    return params, inputs[0], state


def pairs(cell: Cell) -> Iterator[tuple[str, str]]:
    """Every state and the output by every state, the input and every parameter."""
    shown = [] if cell.output is None or cell.output in cell.states else [cell.output]
    for of in (*cell.states, *shown):
        for wrt in (*cell.states, *cell.inputs, *cell.parameters):
            yield of, wrt


def moved(cell: Cell, at: Place, wrt: str, change: Array) -> Place:
    params, x, state = at
    if wrt in cell.states:
        k = cell.states.index(wrt)
        return params, x, (*state[:k], state[k] + change, *state[k + 1 :])
    if wrt in cell.inputs:
        return params, x + change, state
    return params | {wrt: params[wrt] + change}, x, state


def shape(cell: Cell, at: Place, wrt: str) -> tuple[int, ...]:
    params, x, state = at
    if wrt in cell.states:
        return state[cell.states.index(wrt)].shape
    return x.shape if wrt in cell.inputs else params[wrt].shape


def by_complex_step(cell: Cell, of: str, wrt: str, at: Place) -> Array:
    """Exact to rounding; (of's shape, wrt's shape)."""

    def column(unit: Array) -> Array:
        return step(cell, *moved(cell, at, wrt, 1j * COMPLEX_STEP * unit))[of].imag / COMPLEX_STEP

    return _columns(column, shape(cell, at, wrt))


def by_differences(cell: Cell, of: str, wrt: str, at: Place) -> Array:
    def column(unit: Array) -> Array:
        above, below = (step(cell, *moved(cell, at, wrt, h * unit))[of] for h in (DIFFERENCE, -DIFFERENCE))
        return (above - below) / (2 * DIFFERENCE)

    return _columns(column, shape(cell, at, wrt))


def of_a_run(cell: Cell, params: dict[str, Array], inputs: Array, state: tuple[Array, ...]) -> Array:
    """The last state by the first, all states stacked, by complex step through the whole run."""
    sizes = [v.size for v in state]

    def column(unit: Array) -> Array:
        parts = np.split(1j * COMPLEX_STEP * unit, np.cumsum(sizes)[:-1])
        start = tuple(v + p.reshape(v.shape) for v, p in zip(state, parts, strict=True))
        _, last = evaluate(cell, params, inputs, start)
        return np.concatenate([v.imag.ravel() for v in last]) / COMPLEX_STEP

    return _columns(column, (sum(sizes),))


def _columns(column: Any, shape: tuple[int, ...]) -> Array:
    units = np.eye(int(np.prod(shape))).reshape(-1, *shape)
    columns = [column(unit) for unit in units]
    return np.moveaxis(np.array(columns), 0, -1).reshape(*columns[0].shape, *shape)


def error(found: Array, expected: Array) -> float:
    """The largest difference, relative to the largest entry, at least 1."""
    assert found.shape == expected.shape
    scale = max(1.0, float(np.max(np.abs(expected), initial=0.0)))
    return float(np.max(np.abs(found - expected), initial=0.0)) / scale
