"""The floor has the products that a layer has, all of them and no other."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from torch.utils.flop_counter import FlopCounterMode

import derive
from codegen.benchmarking.floor import Floor, bare_products
from codegen.benchmarking.ours import layer_of
from codegen.benchmarking.setting import Setting
from codegen.generated import lowered
from derive import Cell
from tests.codegen.unusual_cells import UNUSUAL
from tests.strategies import cells

SETTING = Setting(time=3, batch=2, units=5, features=4)
SIZES = {"n": 5, "m": 4, "w": 5}
NAMED = {cell.name: cell for cell in [*map(derive.cell, derive.catalogue()), *UNUSUAL]}


def forward(cell: Cell, sizes: dict[str, int]) -> int:
    """What the plan counts for T·B steps, and once for what reads parameters alone."""
    plan = lowered(cell)

    def number(polynomial: object) -> int:
        return int(polynomial.subs({s: sizes[s.name] for s in polynomial.free_symbols}))  # type: ignore[attr-defined]

    return SETTING.rows * number(plan.counts.multiply_adds) + number(plan.once.counts.multiply_adds)


@settings(max_examples=15)
@given(cells())
def test_forward_has_the_multiply_adds_of_the_plan(cell: Cell) -> None:
    alone = dataclasses.replace(SETTING, forward_only=True)
    products = bare_products(lowered(cell), SIZES, alone)
    assert sum(p.multiply_adds for p in products) == forward(cell, SIZES)
    assert {p.role for p in products} <= {"forward"}


def test_the_numbers_of_the_lstm() -> None:
    products = bare_products(lowered(derive.cell("lstm")), {"n": 5, "m": 4}, SETTING)
    shapes = [(p.phase, p.role, p.times, p.rows, p.inner, p.columns) for p in products]
    assert shapes == [
        ("before", "forward", 1, 6, 4, 20),
        ("before", "operand gradient", 1, 6, 20, 4),
        ("before", "matrix gradient", 1, 20, 6, 4),
        ("step", "forward", 3, 2, 5, 20),
        ("step", "operand gradient", 3, 2, 20, 5),
        ("step", "matrix gradient", 1, 20, 6, 5),
    ]
    assert sum(p.multiply_adds for p in products) == 3 * 6 * 20 * (4 + 5)
    without = bare_products(
        lowered(derive.cell("lstm")),
        {"n": 5, "m": 4},
        dataclasses.replace(SETTING, input_gradient=False),
    )
    assert [p for p in products if p not in without] == [products[1]]


@pytest.mark.parametrize("input_gradient", [True, False])
@pytest.mark.parametrize("name", ["gru", "peephole-lstm", "pseudo-lstm-d2", "nested", "input-in-output"])
def test_a_layer_under_autograd_does_the_same_multiply_adds(name: str, input_gradient: bool) -> None:
    """Counted by torch itself, in eager code, with the gradients of the initial states."""
    cell = NAMED[name]
    setting = dataclasses.replace(SETTING, input_gradient=input_gradient)
    layer = layer_of(cell, setting)
    x = torch.randn(setting.time, setting.batch, layer.input_size, requires_grad=input_gradient)
    shape = (1, setting.batch, setting.units)
    states = tuple(torch.randn(shape, requires_grad=True) for _ in cell.states)
    with FlopCounterMode(display=False) as counter:
        output, _ = layer(x, states if len(states) > 1 else states[0])
        output.sum().backward()
    floor = Floor(lowered(cell), layer.sizes, setting)
    assert counter.get_total_flops() == 2 * floor.multiply_adds > 0


@pytest.mark.parametrize("cell", UNUSUAL, ids=lambda cell: cell.name)
def test_what_runs_is_what_is_counted(cell: Cell) -> None:
    floor = Floor(lowered(cell), SIZES, SETTING)
    with FlopCounterMode(display=False) as counter:
        floor()
    assert counter.get_total_flops() == 2 * floor.multiply_adds
    assert len(floor._calls) == sum(p.times for p in floor.products)


def test_every_call_computes_its_product() -> None:
    """Both layouts: whichever is taken, the result is what the operands say."""
    floor = Floor(lowered(derive.cell("gru")), SIZES, SETTING)
    floor()
    assert floor._calls
    for first, second, result in floor._calls:
        assert torch.allclose(result, first @ second, atol=1e-5)
