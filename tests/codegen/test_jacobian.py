"""Symbolic Jacobians against ``torch.func.jacrev`` of the emitted code: they share the equations alone."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import codegen
import derive
from derive import Cell, jacobian
from tests.codegen.unusual_cells import UNUSUAL
from tests.derive.calculus.perturbed import Array, Place, error, pairs, place
from tests.strategies import smooth_cells

TOLERANCE = 1e-9
CATALOGUE = [derive.cell(name) for name in derive.catalogue()]


class _Step(nn.Module):
    """One step of the emitted cell: every vector by its name."""

    def __init__(self, cell: Cell, at: Place) -> None:
        super().__init__()
        _, x, state = at
        sizes = {axis: 4 for q in cell.symbols.values() for axis in q.axes if axis not in ("n", "m")}
        self.layer = codegen.build(
            cell, len(x), len(state[0]), backend="eager", dtype=torch.float64, sizes=sizes or None
        )

    def forward(self, x: Tensor, state: tuple[Tensor, ...]) -> dict[str, Tensor]:
        first = tuple(v[None] for v in state)  # a layer of one
        vectors = self.layer.trace(x[None], first if len(first) > 1 else first[0])
        return {name: v[0] for name, v in vectors.items()}


def jacrev(cell: Cell, at: Place, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], Array]:
    """The Jacobians of the wanted pairs (of, wrt) by reverse mode through the emitted code."""
    module = _Step(cell, at)
    params, x, state = at
    names = {name: f"layer.l0.cell.{name}" for name in params}
    values = {name: torch.tensor(v) for name, v in params.items()}
    by = {wrt for _, wrt in wanted}

    def vectors(moving: dict[str, Tensor], x: Tensor, state: tuple[Tensor, ...]) -> dict[str, Tensor]:
        used = {names[name]: (values | moving)[name] for name in names}
        found = torch.func.functional_call(module, used, (x, state))
        return {of: found[of] for of, _ in wanted}

    moving = {name: v for name, v in values.items() if name in by}
    arguments = (moving, torch.tensor(x), tuple(map(torch.tensor, state)))
    rows = torch.func.jacrev(vectors, argnums=(0, 1, 2))(*arguments)

    def block(of: str, wrt: str) -> Array:
        by_parameter, by_input, by_state = rows[of]
        if wrt in cell.states:
            return by_state[cell.states.index(wrt)].numpy()
        return (by_input if wrt in cell.inputs else by_parameter[wrt]).numpy()

    return {(of, wrt): block(of, wrt) for of, wrt in wanted}


def compare(cell: Cell, at: Place, wanted: set[tuple[str, str]]) -> None:
    for (of, wrt), expected in jacrev(cell, at, wanted).items():
        found = jacobian(cell, of, wrt).evaluate(*at)
        assert error(found, expected) < TOLERANCE, (of, wrt)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("cell", CATALOGUE, ids=lambda cell: cell.name)
def test_catalogue(cell: Cell, seed: int) -> None:
    """Every state and the output by every state, the input and every parameter."""
    compare(cell, place(cell, seed), set(pairs(cell)))


@pytest.mark.parametrize("cell", UNUSUAL, ids=lambda cell: cell.name)
def test_unusual_cells(cell: Cell) -> None:
    compare(cell, place(cell, seed=3), set(pairs(cell)))


def test_the_comparison_can_fail() -> None:
    gru = derive.cell("gru")
    params, x, state = place(gru)
    with pytest.raises(AssertionError):
        compare(gru, (params, x, (state[0] * np.nan,)), {("s", "s")})
    (expected,) = jacrev(gru, (params, x, state), {("s", "s")}).values()
    shut = jacobian(gru, "s", "s").substituted({"r": 0})
    assert error(shut.evaluate(params, x, state), expected) > 1e-3


@settings(max_examples=200)
@given(cell=smooth_cells(), seed=st.integers(0, 99), data=st.data())
def test_random_cells(cell: Cell, seed: int, data: Any) -> None:
    """All states by all states, and one more pair.

    Of smooth cells: at a kink neither the Jacobian nor autograd's answer means anything, and a random cell
    can sit on one exactly (a relu of a relu).
    """
    at = place(cell, seed, n=2, m=2)
    states = {(of, wrt) for of in cell.states for wrt in cell.states}
    compare(cell, at, states | {data.draw(st.sampled_from(list(pairs(cell))))})
