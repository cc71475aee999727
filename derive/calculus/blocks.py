"""The Jacobian of a whole step: one block for each pair of states, in ``cell.states`` order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from derive.calculus.jacobian import Array, Jacobian, environment, jacobian
from derive.catalogue import cell as catalogued
from derive.cell import Cell
from derive.symbols import Quantity


@dataclass(frozen=True)
class StepJacobian:
    """∂(all states now)/∂(all states one step earlier): ``blocks[i][j]`` is that of state i by state j."""

    cell: Cell
    blocks: tuple[tuple[Jacobian, ...], ...]

    def __iter__(self) -> Iterator[Jacobian]:
        return (block for row in self.blocks for block in row)

    def block(self, of: str, wrt: str) -> Jacobian:
        """The block of one state by one state, by name."""
        order = self.cell.states
        return self.blocks[order.index(of)][order.index(wrt)]

    def evaluate(self, params: Mapping[str, Any], inputs: Any, state: Sequence[Any]) -> Array:
        """The numbers at one step, all states stacked and flattened: (N, N)."""
        return self.at(environment(self.cell, params, inputs, state))

    def at(self, env: Mapping[Quantity, Array]) -> Array:
        """The numbers, given the value of every quantity of the step."""
        rows = []
        for row in self.blocks:
            sizes = [(np.size(env[b.of]), np.size(env[b.wrt])) for b in row]
            rows.append([b.at(env).reshape(size) for b, size in zip(row, sizes, strict=True)])
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
