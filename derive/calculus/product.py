"""The Jacobian over k steps: a product of one-step Jacobians, each at its own time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np

from derive.calculus.blocks import StepJacobian, step_jacobian
from derive.calculus.jacobian import Array, environment
from derive.calculus.words import Word
from derive.cell import Cell
from derive.errors import DeriveError
from derive.evaluate import step
from derive.show.text import TextNotation


@dataclass(frozen=True)
class KStepJacobian:
    """∂(state at t + k)/∂(state at t) = J_{t+k} … J_{t+1}.

    Its words are one word of each step, the last step's first; their number grows as the power of k, so they
    come one by one.
    """

    one: StepJacobian
    steps: int

    def words(self, of: str, wrt: str) -> Iterator[tuple[Word, ...]]:
        """The words of one block: tuples of ``steps`` words, the last step's first."""
        names = self.one.cell.states
        for between in product(names, repeat=self.steps - 1):
            way = (of, *between, wrt)
            yield from product(*(self.one.block(a, b).words for a, b in pairwise(way)))

    def spelled(self, of: str, wrt: str, most: int = 20) -> str:
        """The first words of a block, the time of each step in brackets."""
        notation = TextNotation(self.one.cell.equations)
        lines = []
        for number, word in enumerate(self.words(of, wrt)):
            if number == most:
                lines.append("…")
                break
            times = range(self.steps, 0, -1)
            parts = (f"[{w.spelled(notation)}]_(t+{k})" for w, k in zip(word, times, strict=True))
            lines.append(" ".join(parts))
        return "\n+ ".join(lines) or "0"

    def evaluate(self, params: Mapping[str, Any], inputs: Any, state: Any) -> Array:
        """The numbers along a run: inputs (steps, m), ``state`` the state before it; (N, N)."""
        cell = self.one.cell
        xs = np.asarray(inputs, dtype=np.float64)
        if len(xs) != self.steps:
            raise DeriveError(f"{cell.name}: {len(xs)} inputs for a Jacobian over {self.steps} steps")
        total: Array | None = None
        for x in xs:
            now = self.one.at(environment(cell, params, x, state))
            total = now if total is None else now @ total
            vectors = step(cell, params, x, state)
            state = tuple(vectors[s] for s in cell.states)
        assert total is not None  # steps >= 1
        return total


def k_step_jacobian(cell: Cell | str, steps: int) -> KStepJacobian:
    """The Jacobian over ``steps`` ≥ 1 steps."""
    if not isinstance(steps, int) or steps < 1:
        raise DeriveError(f"a Jacobian over {steps!r} steps; expected a whole number, 1 or more")
    return KStepJacobian(step_jacobian(cell), steps)
