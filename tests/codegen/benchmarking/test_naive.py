"""The naive loop computes the cell, and nothing in it is stacked or hoisted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch.utils.flop_counter import FlopCounterMode

import derive
from codegen.benchmarking.naive import naive_loop, naive_source, zero_states
from codegen.checking.gradients import by_complex_step
from codegen.checking.report import error
from codegen.checking.sample import draw
from derive import Cell, Input, State, affine_parameters, tanh
from tests.codegen.unusual_cells import UNUSUAL
from tests.strategies import cells


def compare(cell: Cell) -> None:
    """Values with the evaluator's, gradients with its complex step's."""
    sample = draw(cell, seed=0)
    module = naive_loop(cell, {name: torch.tensor(v) for name, v in sample.parameters.items()})
    x = torch.tensor(sample.inputs, requires_grad=True)
    states = tuple(torch.tensor(s, requires_grad=True) for s in sample.state)
    output, *last = module(x, *states)
    expected, expected_last = sample.values()
    assert error(output.detach().numpy(), expected) < 1e-10
    assert max(error(a.detach().numpy(), b) for a, b in zip(last, expected_last, strict=True)) < 1e-10
    weighted = [(output, sample.out_weight), *zip(last, sample.state_weight, strict=True)]
    loss = sum((torch.tensor(weight) * value).sum() for value, weight in weighted)
    leaves = [*(module.get_parameter(name) for name in cell.parameters), x, *states]
    found = torch.autograd.grad(loss, leaves, allow_unused=True)
    exact = by_complex_step(sample)
    wanted = [*(exact.parameters[name] for name in cell.parameters), exact.inputs, *exact.state]
    for gradient, right in zip(found, wanted, strict=True):
        assert error(np.zeros_like(right) if gradient is None else gradient.numpy(), right) < 1e-10


@pytest.mark.parametrize("name", ["gru", "pseudo-lstm", "normalized-prototype", "peephole-lstm"])
def test_the_catalogue(name: str) -> None:
    compare(derive.cell(name))


@pytest.mark.parametrize("cell", UNUSUAL, ids=lambda cell: cell.name)
def test_unusual_cells(cell: Cell) -> None:
    compare(cell)


def test_a_state_that_reads_parameters_alone_has_a_batch_axis() -> None:
    s, c, x = State("s"), State("c"), Input("x")
    W, U, b = affine_parameters()
    compare(Cell("fixed-state", {c: tanh(b), s: tanh(W @ s.prev + U @ x) + c.prev}, output=s))


@settings(max_examples=10)
@given(cells())
def test_any_cell(cell: Cell) -> None:
    compare(cell)


def test_every_matrix_is_a_product_of_its_own_at_every_step() -> None:
    cell = derive.cell("gru")
    source = naive_source(cell)
    assert source.count("F.linear(") == 6
    assert "torch.cat" not in source
    parameters = {name: torch.randn([3] * len(axes)) for name, axes in cell.parameters.items()}
    x = torch.randn(4, 2, 3)
    with FlopCounterMode(display=False) as counter:
        naive_loop(cell, parameters)(x, *zero_states(cell, x, {"n": 3}))
    assert counter.get_total_flops() == 2 * 4 * 2 * 6 * 3 * 3


def test_a_shared_subexpression_is_computed_once_a_step() -> None:
    assert naive_source(derive.cell("pseudo-lstm")).count("torch.tanh(s_prev)") == 1


def test_the_parameters_are_copies() -> None:
    cell = derive.cell("vanilla")
    given = {name: torch.randn([2] * len(axes)) for name, axes in cell.parameters.items()}
    module = naive_loop(cell, given)
    with torch.no_grad():
        module.get_parameter("W").zero_()
    assert given["W"].abs().sum() > 0
    assert [name for name, _ in module.named_parameters()] == list(cell.parameters)
