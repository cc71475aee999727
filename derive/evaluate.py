"""The reference evaluator: walks the equations in NumPy float64.  Slow, obvious, and a page long.

Complex parameters, inputs or states are kept complex, so that gradients can be taken by complex step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy

from derive.errors import EvaluationError, nearest
from derive.symbols import Activated, Input, Linear, MeanMap, Previous, Quantity
from derive.wellformed import axes_of

if TYPE_CHECKING:
    from derive.cell import Cell

Array = np.ndarray[Any, Any]


def value(expr: sympy.Expr, env: Mapping[Quantity, Array]) -> Any:
    """The value of an expression; vectors in ``env`` may have leading batch axes."""
    if isinstance(expr, Quantity):
        return env[expr]
    if isinstance(expr, Linear):
        vector = value(expr.vector, env)
        axes = axes_of(expr.vector)
        axis = axes.index(expr.map.axes[1]) - len(axes)  # counted from the end: batch axes lead
        if isinstance(expr.map, MeanMap):
            return np.broadcast_to(vector.mean(axis, keepdims=True), vector.shape)
        return np.moveaxis(np.moveaxis(vector, axis, -1) @ env[expr.map].T, -1, axis)
    if isinstance(expr, Activated):
        return expr.activation.numpy(value(expr.argument, env))
    if expr.is_Number:
        return float(expr)
    parts = [value(arg, env) for arg in expr.args]
    if expr.is_Add:
        return sum(parts[1:], parts[0])
    if expr.is_Pow:
        return parts[0] ** parts[1]
    return np.prod(np.broadcast_arrays(*parts), axis=0)


def step(cell: Cell, params: Mapping[str, Any], x: Any, state: Sequence[Any]) -> dict[str, Array]:
    """Every vector of one step by name: x (..., m), states (..., n) in ``cell.states`` order.

    A cell without input takes any x.
    """
    env: dict[Quantity, Array] = {cell.symbols[name]: _number(params[name]) for name in cell.parameters}
    env |= {cell.symbols[name]: _number(x) for name in cell.inputs}
    env |= {Previous(s, *cell.axes(s)): _number(v) for s, v in zip(cell.states, state, strict=True)}
    batch = np.broadcast_shapes(*(v.shape[: v.ndim - len(q.axes)] for q, v in env.items() if _flows(q)))
    for symbol, expr in cell.equations.items():
        result = value(expr, env)
        own = np.shape(result)[np.ndim(result) - len(symbol.axes) :]
        # what reads neither state nor input, such as tanh(b), is the same in the whole batch
        env[symbol] = np.array(np.broadcast_to(result, (*batch, *own)))
    return {symbol.name: env[symbol] for symbol in cell.equations}


def evaluate(
    cell: Cell, params: Mapping[str, Any], inputs: Any, state: Any = None
) -> tuple[Array, tuple[Array, ...]]:
    """Run a cell over time: ``(outputs, final state)``, float64.

    ``inputs`` is (T, B, m) or (T, m), time first; a cell without input looks at T and B alone, so (T, B, 0)
    will do.  ``state`` is a tuple in ``cell.states`` order of (B, n) or (n,), zeros if None.  Outputs are
    (T, B, n) or (T, n); a cell without output gives a last axis of length 0.  Raises
    :class:`~derive.errors.EvaluationError` on missing or misshapen numbers.
    """
    inputs = _number(inputs)
    if inputs.ndim not in (2, 3):
        raise EvaluationError(f"{cell.name}: inputs have shape {inputs.shape}, expected (T, B, m) or (T, m)")
    batch = inputs.shape[1:-1]
    if state is None:
        sizes = check_shapes(cell, params, inputs)
        state = [np.zeros((*batch, *(sizes[a] for a in cell.axes(s)))) for s in cell.states]
    elif not isinstance(state, tuple | list) or len(state) != len(cell.states):
        sized = isinstance(state, tuple | list)
        given = f"a tuple of {len(state)}" if sized else f"of type {type(state).__name__}"
        raise EvaluationError(f"{cell.name}: state is {given}, expected a tuple of {cell.states}")
    state = tuple(_number(s) for s in state)
    sizes = check_shapes(cell, params, inputs, state)
    outputs = []
    for x in inputs:
        vectors = step(cell, params, x, state)
        state = tuple(vectors[s] for s in cell.states)
        outputs.append(vectors[cell.output] if cell.output is not None else np.zeros((*batch, 0)))
    shape = (0, *batch, *(sizes[a] for a in cell.axes(cell.output))) if cell.output else (0, *batch, 0)
    return np.stack(outputs) if outputs else np.zeros(shape), state


def check_shapes(
    cell: Cell, params: Mapping[str, Any], inputs: Array, state: Sequence[Array] | None = None
) -> dict[str, int]:
    """The size of every named axis, as the parameters, the inputs and the state agree on it."""
    missing = [name for name in cell.parameters if name not in params]
    unknown = [name for name in params if name not in cell.parameters]
    if missing or unknown:
        near = nearest(unknown[0], cell.parameters, none="") if unknown else ""
        complaints = [f"missing parameters {missing}"] if missing else []
        complaints += [f"unknown parameters {unknown}{near}"] if unknown else []
        expected = ", ".join(f"{name} ({', '.join(axes)})" for name, axes in cell.parameters.items())
        raise EvaluationError(f"{cell.name}: {', '.join(complaints)}\n  expected {expected}")
    batch = inputs.shape[1:-1]
    found = [(name, (), cell.parameters[name], np.shape(params[name])) for name in cell.parameters]
    found += [(name, batch, cell.axes(name), inputs.shape[1:]) for name in cell.inputs]
    given = zip(cell.states, state or (), strict=False)
    found += [(f"state {s}", batch, cell.axes(s), v.shape) for s, v in given]
    sizes: dict[str, int] = {}
    for name, lead, axes, shape in found:
        known = dict(sizes)
        own = shape[len(lead) :]
        fits = shape[: len(lead)] == lead and len(own) == len(axes)
        if not fits or any(sizes.setdefault(a, k) != k for a, k in zip(axes, own, strict=True)):
            wanted = ", ".join([*map(str, lead), *(f"{a}={known[a]}" if a in known else a for a in axes)])
            raise EvaluationError(f"{cell.name}: {name} has shape {shape}, expected ({wanted})")
    unsized = sorted({a for s in cell.states for a in cell.axes(s)} - set(sizes))
    if unsized:
        problem = f"no parameter has the axis {unsized[0]}; pass a state to give its size"
        raise EvaluationError(f"{cell.name}: {problem}")
    return sizes


def _flows(q: Quantity) -> bool:
    return isinstance(q, Previous | Input)


def _number(array: Any) -> Array:
    array = np.asarray(array)
    return array if np.iscomplexobj(array) else array.astype(np.float64, copy=False)
