"""The derivatives of one step in numbers, for a batch of rows at once: sums of words become arrays.

:meth:`derive.Jacobian.evaluate` gives the same numbers for one row.  Here a derivative by a matrix is not
spelled out: every word of it ends in ``δ v``, so it is an outer product with v, and is kept as its factors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from derive.calculus.jacobian import Array, jacobian
from derive.calculus.words import Word
from derive.cell import Cell
from derive.evaluate import check_shapes, step, value
from derive.symbols import Previous, Quantity, State
from derive.wellformed import axes_of


@dataclass(frozen=True)
class Outer:
    """One word of ∂⁺v/∂θ at every row z: Σ_r left[z, :, p, r] right[z, r, q] is the derivative by θ[p, q].

    ``left`` is (B, F, P, R), with F the size of v and P that of θ's first axis; ``right`` is (B, R, Q), or
    (1, R, Q) where all rows share it, with Q the size of θ's other axes.
    """

    left: Array
    right: Array

    def entries(self, units: slice) -> Array:
        """The derivative of some units by the entries of θ that feed them, (B, units, units, Q)."""
        return self.left[:, units, units] @ self.right[:, None]

    def pulled_back(self, d: Array) -> Array:
        """Σ_z d[z] · ∂⁺v/∂θ for d of shape (B, F): (P, Q)."""
        through = np.einsum("zf,zfpr->zpr", d, self.left)
        return np.einsum("zpr,zrq->pq", through, np.broadcast_to(self.right, (len(d), *self.right.shape[1:])))


@dataclass(frozen=True)
class Differential:
    """The derivatives of a vector v of size F within one step, past states and parameters independent.

    ``by_states`` is ∂v/∂(all past states, flattened and stacked), (B, F, N); ``by_parameter`` has the words
    of ∂⁺v/∂θ under the name of θ.
    """

    by_states: Array
    by_parameter: Mapping[str, tuple[Outer, ...]]


class Moment:
    """Every quantity of one step of a batch, and the derivatives there.

    Args:
        params: arrays by name.
        x: the input, (B, m).
        state: the past states, each (B, n), in ``cell.states`` order.

    Raises:
        EvaluationError: the shapes do not fit.
    """

    def __init__(self, cell: Cell, params: Mapping[str, Array], x: Array, state: Sequence[Array]) -> None:
        self.cell, self.batch = cell, len(x)
        self._sizes = check_shapes(cell, params, x[None], state)
        self.vectors = step(cell, params, x, state)
        known: dict[str, Array] = {**params, **dict.fromkeys(cell.inputs, x), **self.vectors}
        self._env: dict[Quantity, Array] = {
            q: known[name] for name, q in cell.symbols.items() if name in known
        }
        self._env |= {Previous(s, *cell.axes(s)): v for s, v in zip(cell.states, state, strict=True)}
        self._matrices: dict[tuple[Any, ...], Array] = {}

    def differential(self, of: str) -> Differential:
        """The derivatives of a vector of the cell by all past states and all parameters."""
        by_states = [self._by_state(of, wrt) for wrt in self.cell.states]
        return Differential(
            np.concatenate(by_states, axis=2),
            {
                name: tuple(self._outer(word, name) for word in jacobian(self.cell, of, name).words)
                for name in self.cell.parameters
            },
        )

    def _by_state(self, of: str, wrt: str) -> Array:
        shape = (self.batch, prod(self._shape(self.cell.axes(of))), prod(self._shape(self.cell.axes(wrt))))
        words = jacobian(self.cell, of, wrt).words
        return sum((self._matrix(word, self.cell.axes(wrt)) for word in words), np.zeros(shape))

    def _outer(self, word: Word, name: str) -> Outer:
        to, *others = self.cell.axes(name)
        rows, columns = self._sizes[to], prod(self._shape(others))
        if word.operand is None:  # the entries themselves are perturbed: no v to share
            left = self._matrix(word, (to, *others))
            return Outer(left.reshape(*left.shape[:2], rows, columns), np.eye(columns)[None])
        (source,) = others
        axes = axes_of(word.operand)
        place = axes.index(source)
        v = np.broadcast_to(value(word.operand, self._env), (self.batch, *self._shape(axes)))
        right = np.moveaxis(v, 1 + place, -1).reshape(self.batch, -1, columns)
        perturbed = (*axes[:place], to, *axes[place + 1 :])
        left = self._matrix(word, perturbed)
        left = np.moveaxis(left.reshape(*left.shape[:2], *self._shape(perturbed)), 2 + place, 2)
        return Outer(left.reshape(*left.shape[:2], rows, -1), right)

    def _matrix(self, word: Word, axes: Sequence[str]) -> Array:
        """The word as a matrix (B, F, D): it is applied to the D unit perturbations of such a vector.

        The parameters of one gate share theirs, so it is computed once.
        """
        key = (word.coefficients, word.maps, tuple(axes))
        if key not in self._matrices:
            shape = self._shape(axes)
            δ = State("∂", *axes)  # no identifier, so no quantity of a cell has that name
            units = np.eye(prod(shape)).reshape(-1, 1, *shape)
            image = value(word.applied(δ), {**self._env, δ: units})
            image = np.broadcast_to(image, (len(units), self.batch, *image.shape[2:]))
            self._matrices[key] = np.moveaxis(image.reshape(*image.shape[:2], -1), 0, -1)
        return self._matrices[key]

    def _shape(self, axes: Sequence[str]) -> tuple[int, ...]:
        return tuple(self._sizes[axis] for axis in axes)
