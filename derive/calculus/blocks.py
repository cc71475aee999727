"""The Jacobian of a whole step: one block for each pair of states, in ``cell.states`` order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from derive.calculus.jacobian import Array, Evaluator, Jacobian, environment, jacobian
from derive.catalogue import cell as catalogued
from derive.cell import Cell
from derive.errors import DeriveError, nearest
from derive.evaluate import value
from derive.symbols import Quantity


@dataclass(frozen=True)
class StepJacobian:
    """∂(all states now)/∂(all states one step earlier): ``blocks[i][j]`` is that of state i by state j."""

    cell: Cell
    blocks: tuple[tuple[Jacobian, ...], ...]

    def __iter__(self) -> Iterator[Jacobian]:
        return (block for row in self.blocks for block in row)

    def block(self, of: str, wrt: str) -> Jacobian:
        """The block of one state by one state, by name; other names raise DeriveError."""
        order = self.cell.states
        for name in (of, wrt):
            if name not in order:
                known = f"States: {', '.join(order)}"
                raise DeriveError(f"{self.cell.name} has no state {name!r}{nearest(name, order)} {known}")
        return self.blocks[order.index(of)][order.index(wrt)]

    def substituted(self, values: Mapping[Any, Any]) -> StepJacobian:
        """Values put into the coefficients of all blocks (:meth:`Jacobian.substituted`)."""
        rows = (tuple(block.substituted(values) for block in row) for row in self.blocks)
        return StepJacobian(self.cell, tuple(rows))

    def evaluate(self, params: Mapping[str, Any], inputs: Any, state: Sequence[Any]) -> Array:
        """The numbers at one step, all states stacked and flattened: (N, N)."""
        return self.at(environment(self.cell, params, inputs, state))

    def at(self, env: Mapping[Quantity, Array], evaluator: Evaluator = value) -> Array:
        """The numbers, given the value of every quantity of the step (as :meth:`Jacobian.at`)."""
        rows = []
        for row in self.blocks:
            sizes = [(np.size(env[b.of]), np.size(env[b.wrt])) for b in row]
            rows.append([b.at(env, evaluator).reshape(size) for b, size in zip(row, sizes, strict=True)])
        return np.block(rows)

    def __str__(self) -> str:
        return "\n".join(str(block) for block in self)


def step_jacobian(cell: Cell | str) -> StepJacobian:
    """The block Jacobian of one step by the states."""
    return _step_jacobian(catalogued(cell))


@lru_cache(maxsize=1024)
def _step_jacobian(cell: Cell) -> StepJacobian:
    return StepJacobian(
        cell, tuple(tuple(jacobian(cell, of, wrt) for wrt in cell.states) for of in cell.states)
    )
