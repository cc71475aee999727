"""The functions written for a loop, loaded, beside the interpreter's numbers for the same arguments."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

import derive
from codegen.checking.sample import Array, draw
from codegen.loop import Loop, matrices
from codegen.lowering import lower
from codegen.lowering.loop import lower_loop
from codegen.writing.imports import imports
from codegen.writing.operator import Operator
from derive import Cell
from tests.codegen.unusual_cells import UNUSUAL
from tests.loops import LoopRun

CELLS = {cell.name: cell for cell in [*map(derive.cell, derive.catalogue()), *UNUSUAL]}


@dataclass(frozen=True)
class Steps:
    """A cell's functions and the run of the interpreter that they must reproduce."""

    loop: Loop
    run: LoopRun
    operator: Operator
    module: dict[str, Any]

    @property
    def inputs(self) -> list[Tensor]:
        """Blocks, first states, constants, stacked matrices: what every function takes."""
        run, loop = self.run, self.loop
        blocks = [np.concatenate([run.outside[q] for q in block.sources], -1) for block in loop.blocks]
        constants = [run.outside[source] for source in loop.constants.values()]
        stacked = [np.concatenate([run.matrices[m] for m in matrices(p)]) for p in loop.products]
        return [torch.tensor(v) for v in [*blocks, *run.initial.values(), *constants, *stacked]]

    @property
    def results(self) -> list[Array]:
        """What every step gives, and the last states."""
        return [*(self.run.at_all_steps[q] for q in self.loop.exports), *self.run.last]

    @property
    def kept(self) -> list[Array]:
        return [self.run.at_all_steps[q] for q in self.loop.kept]

    @property
    def number_of_steps(self) -> list[int]:
        """The argument that a loop needs which takes nothing in, and only that."""
        return [] if self.loop.blocks else [self.run.steps]

    def forward(self, *arguments: Any) -> tuple[Tensor, ...]:
        return self.module[f"{self.operator.stem}_steps"](*arguments)

    def backward(self, *arguments: Any) -> tuple[Tensor, ...]:
        return self.module[f"{self.operator.stem}_steps_backward"](*arguments)

    def operate(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return self.module[self.operator.call](self.run.steps, *inputs)

    def gradients(self, arriving: list[Array], carried: list[Array]) -> list[Array]:
        """The interpreter's, of everything in :attr:`inputs`."""
        loop = self.loop
        blocks, constants, of_matrices, states = self.run.back(
            dict(zip(loop.exports, arriving, strict=True)), dict(zip(loop.states, carried, strict=True))
        )
        found = [np.concatenate([blocks[q] for q in block.symbols], -1) for block in loop.blocks]
        found += [*(states[s] for s in loop.states), *(constants[q] for q in loop.constants)]
        return [*found, *(np.concatenate(of_matrices[p]) for p in loop.products)]

    def random(self, seed: int = 0) -> tuple[list[Array], list[Array]]:
        """Gradients of what is exported and of the last states."""
        rng = np.random.default_rng(seed)
        arriving = [rng.normal(size=self.run.at_all_steps[q].shape) for q in self.loop.exports]
        return arriving, [rng.normal(size=v.shape) for v in self.run.last]


@cache
def steps(name: str, *, sink: bool = False) -> Steps:
    return steps_of(CELLS[name], sink=sink)


def steps_of(cell: Cell, *, sink: bool = False) -> Steps:
    loop = lower_loop(lower(cell), sink=sink)
    operator = Operator(loop, "SomeCell")
    body = "\n".join(operator.lines())
    module: dict[str, Any] = {"__name__": f"steps_of_{cell.name}"}
    exec(compile("\n".join([*imports(body), body]), f"<{cell.name}>", "exec"), module)
    return Steps(loop, LoopRun(loop, draw(cell, seed=2, steps=3)), operator, module)


def assert_same(found: Any, expected: list[Array], what: str) -> None:
    """Equal up to rounding, also where what is found has one number a row."""
    for index, (mine, theirs) in enumerate(zip(found, expected, strict=True)):
        value = mine.detach().numpy()
        np.testing.assert_allclose(
            np.broadcast_to(value, theirs.shape), theirs, rtol=1e-11, atol=1e-12, err_msg=f"{what} {index}"
        )
