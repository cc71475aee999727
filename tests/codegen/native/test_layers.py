"""Layers of the native backend against fused ones: the input's products inside the steps and outside."""

import pytest
import torch
from torch import Tensor

import codegen
import derive
from codegen.native.runtime import FEW_ROWS
from derive import Cell
from tests.codegen.unusual_cells import UNUSUAL

pytestmark = pytest.mark.skipif(not codegen.backends()["native"], reason="no C compiler here")

SIZES = {"k": 4, "l": 6}
CELLS = [
    *(derive.cell(name) for name in ("gru", "lstm", "pseudo-lstm", "normalized-prototype", "peephole-lstm")),
    *(c for c in UNUSUAL if c.name in ("layer-normalized", "nested", "shared-matrix", "input-in-output")),
]


def passes(cell: Cell, backend: str, batch: int, steps: int = 4) -> list[Tensor]:
    """Outputs, last states and all gradients, the same numbers for every backend."""
    torch.manual_seed(0)
    layer = codegen.build(cell, 3, 5, backend=backend, dtype=torch.float64)
    x = torch.randn(steps, batch, 3, dtype=torch.float64, requires_grad=True)
    state = tuple(torch.randn(1, batch, 5, dtype=torch.float64, requires_grad=True) for _ in cell.states)
    output, last = layer(x, state[0] if len(state) == 1 else state)
    lasts = (last,) if isinstance(last, Tensor) else last
    weights = torch.randn(output.shape, dtype=torch.float64)
    loss = (output * weights).sum() + sum((k + 2) * s.square().sum() for k, s in enumerate(lasts))
    return [output, *lasts, *torch.autograd.grad(loss, [x, *state, *layer.parameters()])]


@pytest.mark.parametrize("batch", [FEW_ROWS - 1, FEW_ROWS + 3], ids=["outside", "inside"])
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_equals_fused(cell: Cell, batch: int) -> None:
    for ours, theirs in zip(passes(cell, "native", batch), passes(cell, "fused", batch), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("batch", [FEW_ROWS - 1, FEW_ROWS + 3])
def test_an_input_without_gradient_changes_no_other(batch: int) -> None:
    layer = codegen.build("lstm", 3, 5, backend="native", dtype=torch.float64)
    x = torch.randn(4, batch, 3, dtype=torch.float64)
    parameters = list(layer.parameters())
    without = torch.autograd.grad(layer(x)[0].square().sum(), parameters)
    x.requires_grad_()
    whole = torch.autograd.grad(layer(x)[0].square().sum(), [x, *parameters])
    for one, other in zip(without, whole[1:], strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("batch", [FEW_ROWS - 1, 2 * FEW_ROWS + 1])
def test_second_derivatives(batch: int) -> None:
    """Through the plain steps, which make the input's products as the kernel does."""
    found = []
    for backend in ("native", "eager"):
        torch.manual_seed(0)
        layer = codegen.build("gru", 2, 3, backend=backend, dtype=torch.float64)
        x = torch.randn(2, batch, 2, dtype=torch.float64, requires_grad=True)
        first = torch.autograd.grad(layer(x)[0].pow(3).sum(), x, create_graph=True)[0]
        found.append(torch.autograd.grad(first.square().sum(), [x, *layer.parameters()]))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-11)


def test_threads_change_no_bit() -> None:
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            torch.manual_seed(0)
            layer = codegen.build("lstm", 7, 9, backend="native")
            with torch.no_grad():
                results.append(layer(torch.randn(5, 20, 7))[0])
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*results)
