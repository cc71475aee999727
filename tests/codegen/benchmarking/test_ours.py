"""The cell in the backends and as a loop, with one and the same weights."""

from __future__ import annotations

import pytest
import torch

import derive
from codegen.backends import Availability, backends
from codegen.benchmarking import ours
from codegen.benchmarking.agreement import disagreement
from codegen.benchmarking.ours import equation_parameters, in_backends, layer_of, naive
from codegen.benchmarking.setting import Setting
from derive import Cell
from tests.codegen.unusual_cells import UNUSUAL

SETTING = Setting(time=3, batch=2, units=4, features=3, dtype=torch.float64)
CELLS = [derive.cell("gru"), derive.cell("pseudo-lstm"), *UNUSUAL]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_the_loop_agrees_with_eager_on_values_and_gradients(cell: Cell) -> None:
    eager = layer_of(cell, SETTING)
    [contender], _ = in_backends(cell, SETTING, eager, ["eager"])
    expected = contender.results()
    assert set(expected) == {"output 0", "∂x", *(f"∂{p}" for p in cell.parameters)} or cell.output is None
    assert disagreement(naive(cell, SETTING, eager).results(), expected, torch.float64) is None


def test_every_backend_takes_part_or_says_why() -> None:
    cell = derive.cell("lstm")
    found, skipped = in_backends(cell, SETTING, layer_of(cell, SETTING))
    assert {c.name for c in found} | set(skipped) == set(backends())
    assert all(skipped.values())
    expected = next(c for c in found if c.name == "eager").results()
    assert all(disagreement(c.results(), expected, torch.float64) is None for c in found)
    assert list(in_backends(cell, SETTING, layer_of(cell, SETTING), ["eager"])[1]) == []


def test_all_have_eagers_weights_as_they_are_now() -> None:
    cell = derive.cell("vanilla")
    eager = layer_of(cell, SETTING)
    with torch.no_grad():
        for parameter in eager.parameters():
            parameter.mul_(3)
    for contender in [naive(cell, SETTING, eager), *in_backends(cell, SETTING, eager)[0]]:
        assert torch.equal(contender.parameters["W"], equation_parameters(eager)["W"])


def test_a_backend_that_cannot_run_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = derive.cell("vanilla")
    eager = layer_of(cell, SETTING)
    monkeypatch.setattr(ours, "backends", lambda: {"eager": Availability(False, "no such machine")})
    assert in_backends(cell, SETTING, eager) == ([], {"eager": "no such machine"})


def test_weights_are_those_of_the_seed() -> None:
    state = torch.random.get_rng_state()
    one, two = (equation_parameters(layer_of(derive.cell("gru"), SETTING)) for _ in range(2))
    assert list(one) == list(derive.cell("gru").parameters)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert torch.equal(torch.random.get_rng_state(), state)
