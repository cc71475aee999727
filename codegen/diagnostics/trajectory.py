"""A run of a cell in float64: the values of all quantities at every step, and the Jacobian of each step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from derive.calculus import Jacobian, Word, step_jacobian
from derive.calculus.jacobian import environment
from derive.cell import Cell
from derive.evaluate import value
from derive.symbols import MeanMap, Quantity

Array = np.ndarray[Any, Any]
Environment: TypeAlias = Mapping[Quantity, Array]


def trajectory(
    cell: Cell, params: Mapping[str, Array], inputs: Iterable[Array], state: tuple[Array, ...]
) -> list[Environment]:
    """The value of every quantity at every step: parameters, input, past states, vectors.

    ``inputs`` gives (m,) for each step, ``state`` is a tuple of (n,) in ``cell.states`` order.
    """
    steps: list[Environment] = []
    for x in inputs:
        env = environment(cell, params, x, state)
        state = tuple(env[cell.symbols[name]] for name in cell.states)
        steps.append(env)
    return steps


def step_matrix(cell: Cell, env: Environment) -> Array:
    """∂s_t/∂s_{t−1} at one step, all states stacked in ``cell.states`` order: (N, N).

    The same numbers as :meth:`derive.calculus.StepJacobian.at`, for less: a word's diagonals scale rows or
    columns, so that of its k maps only k - 1 cost a product of matrices, where ``at`` applies all of them to
    the columns of the identity.
    """
    blocks = step_jacobian(cell).blocks
    return np.block([[_block(block, env) for block in row] for row in blocks])


def _block(jacobian: Jacobian, env: Environment) -> Array:
    total = np.zeros((env[jacobian.of].size, env[jacobian.wrt].size))
    for word in jacobian.words:
        if word.is_diagonal:
            np.einsum("ii->i", total)[:] += value(word.leading, env)  # a view of the diagonal
        else:
            total += _product(word, env, total.shape[1])
    return total


def _product(word: Word, env: Environment, columns: int) -> Array:
    """diag(a₀) W₁ diag(a₁) … Wₖ diag(aₖ) with k ≥ 1, multiplied from the right."""
    first, *inner, last = (np.reshape(value(a, env), (-1, 1)) for a in word.coefficients)
    product = _map(word.maps[-1], env, columns) * last.T
    for linear, coefficient in zip(word.maps[-2::-1], inner[::-1], strict=True):
        product = _map(linear, env, len(product)) @ (coefficient * product)
    return np.asarray(first * product)


def _map(linear: Quantity, env: Environment, size: int) -> Array:
    """The matrix of a linear map of vectors of ``size`` units."""
    return np.full((size, size), 1 / size) if isinstance(linear, MeanMap) else env[linear]
