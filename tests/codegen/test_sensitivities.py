"""Gradients carried forward against torch's backpropagation through the emitted code, without truncation."""

from typing import Any

import numpy as np
import pytest
import torch

import codegen
import derive
from derive import Cell
from derive.learning import Sensitivities
from tests.codegen.unusual_cells import UNUSUAL
from tests.strategies import numbers

Array = np.ndarray[Any, Any]
CELLS = [*(derive.cell(name) for name in derive.catalogue()), *(c for c in UNUSUAL if c.output is not None)]


def backpropagated(
    cell: Cell, params: dict[str, Array], inputs: Array, state: tuple[Array, ...], d: Array
) -> dict[str, Array]:
    """The gradient of Σ d · o by autograd."""
    sizes = {axis: 4 for q in cell.symbols.values() for axis in q.axes if axis not in ("n", "m")}
    m, n = inputs.shape[-1], state[0].shape[-1]
    layer = codegen.build(cell, m, n, backend="eager", dtype=torch.float64, sizes=sizes or None)
    for name, tensor in layer.equation_parameters().items():
        tensor.copy_(torch.from_numpy(params[name]))
    first = tuple(torch.from_numpy(s)[None] for s in state)
    output, _ = layer(torch.from_numpy(inputs), first if len(first) > 1 else first[0])
    if params:
        (output * torch.from_numpy(d)).sum().backward()
    return {name: g.numpy() for name, g in layer.equation_parameters(grad=True).items() if g is not None}


def carried_forward(
    cell: Cell, params: dict[str, Array], inputs: Array, state: tuple[Array, ...], d: Array
) -> dict[str, Array]:
    run = Sensitivities(cell, params, inputs.shape[1], state=state)
    total = {name: np.zeros(value.shape) for name, value in params.items()}
    for x, weights in zip(inputs, d, strict=True):
        run.step(x)
        for name, part in run.gradient(weights).items():
            total[name] += part
    return total


def compare(cell: Cell, **sizes: int) -> None:
    params, inputs, state = numbers(cell, **sizes)
    d = np.random.default_rng(1).normal(size=(*inputs.shape[:2], state[0].shape[-1]))
    expected = backpropagated(cell, params, inputs, state, d)
    found = carried_forward(cell, params, inputs, state, d)
    assert found.keys() == expected.keys()
    for name, g in expected.items():
        np.testing.assert_allclose(found[name], g, rtol=1e-8, atol=1e-10 * np.abs(g).max(), err_msg=name)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_every_entry(cell: Cell) -> None:
    compare(cell, n=4, m=3, T=6)


@pytest.mark.parametrize("name", ["vanilla", "lstm"])
def test_a_long_run(name: str) -> None:
    compare(derive.cell(name), n=3, m=2, T=80, B=1)
