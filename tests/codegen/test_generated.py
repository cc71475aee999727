"""A layer whose backend is chosen follows when it moves: the same parameters and hooks, another class."""

from __future__ import annotations

import sys
from types import MappingProxyType

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import codegen
from codegen import Unsupported
from codegen.backends import base
from codegen.backends.eager import Eager
from codegen.backends.fused import Fused
from codegen.generated import alike, computes_in
from derive import Cell

registry = sys.modules["codegen.backends"]
T, B, M, N = 4, 3, 2, 5


class Single(Fused):
    """A backend for float32 on the CPU, that would be preferred."""

    name = "single"

    def refusal(self, cell: Cell, use: base.Use | None = None) -> str | None:
        if use is not None and (use.device, use.dtype) != ("cpu", "float32"):
            return "only float32 on the CPU"
        return None

    def preference(self, cell: Cell, use: base.Use) -> int:
        return 50


@pytest.fixture(autouse=True)
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    found = MappingProxyType({"single": Single(), "eager": Eager()})
    monkeypatch.setattr(registry, "found", lambda: found)


@pytest.mark.parametrize("move", [nn.Module.double, nn.Module.bfloat16, lambda m: m.to("meta")])
def test_auto_chooses_anew(move) -> None:
    model = nn.Sequential(codegen.build("gru", M, N, num_layers=2, bidirectional=True))
    layer = model[0]
    assert layer.options.backend == "single"
    assert "single backend" in layer.source
    move(model)  # of a module around it
    assert layer.options.backend == "eager"
    assert "not single: only float32 on the CPU" in repr(layer)
    assert "eager backend" in layer.source
    assert all("_eager_" in type(m).__module__ for m in (layer.l0, layer.l1_reverse.cell))


def test_there_and_back_nothing_is_exchanged_but_the_classes() -> None:
    layer = codegen.build("lstm", M, N)
    calls: list[str] = []
    layer.l0.register_forward_hook(lambda *_: calls.append("layer"))
    layer.l0.attached = nn.Linear(1, 1)
    before = dict(layer.named_parameters())
    modules = list(layer.modules())
    kinds = [type(m) for m in modules]
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    x = torch.randn(T, B, M)
    single = layer(x)[0]
    layer.double()
    double = layer(x.double())[0]
    assert torch.allclose(single.double(), double, atol=1e-6)
    double.sum().backward()
    optimizer.step()
    layer.float()
    assert layer.options.backend == "single"
    assert [type(m) for m in modules] == kinds
    assert list(layer.modules()) == modules
    assert all(before[name] is parameter for name, parameter in layer.named_parameters())
    assert not torch.allclose(layer(x)[0], single, atol=1e-6)  # the optimizer's step counts
    assert calls == ["layer"] * 3


def test_a_parametrized_cell_moves_too() -> None:
    layer = codegen.build("gru", M, N)
    parametrizations.weight_norm(layer.l0.cell, "W")
    x = torch.randn(T, B, M)
    before = layer(x)[0]
    layer.double()
    assert "_eager_" in type(layer.l0.cell).__mro__[1].__module__
    assert torch.allclose(layer(x.double())[0].float(), before, atol=1e-6)
    torch.nn.utils.parametrize.remove_parametrizations(layer.l0.cell, "W")
    assert torch.allclose(layer(x.double())[0].float(), before, atol=1e-6)


def test_autocast_is_a_move_for_the_length_of_a_call() -> None:
    layer = codegen.build("gru", M, N)
    x = torch.randn(T, B, M)
    with torch.autocast("cpu", torch.bfloat16):
        layer(x)
        assert layer.options.backend == "eager"
    layer(x)
    assert layer.options.backend == "single"


def test_parameters_exchanged_behind_its_back() -> None:
    """load_state_dict with assign=True does not tell the module that it moved."""
    layer = codegen.build("gru", M, N)
    layer.load_state_dict({k: v.double() for k, v in layer.state_dict().items()}, assign=True)
    assert layer(torch.randn(T, B, M).double())[0].dtype == torch.float64
    assert layer.options.backend == "eager"


def test_a_backend_asked_for_stays_and_says_at_the_call_why_it_cannot() -> None:
    layer = codegen.build("gru", M, N, backend="single").double()
    assert layer.options.backend == "single"
    x = torch.randn(T, B, M)
    with pytest.raises(
        Unsupported, match="single backend cannot run gru for cpu, float64, n = 5: only float32"
    ):
        layer(x.double())
    layer.float()
    assert layer(x)[0].shape == (T, B, N)
    with pytest.raises(Unsupported, match="bfloat16"), torch.autocast("cpu", torch.bfloat16):
        layer(x)
    with pytest.raises(Unsupported, match="float64"):
        codegen.build("gru", M, N, backend="single", dtype=torch.float64)


def test_what_a_call_computes_in() -> None:
    single, double = torch.zeros(1), torch.zeros(1).double()
    with torch.autocast("cpu", torch.bfloat16):
        assert computes_in(single) == ("cpu", torch.bfloat16)
        assert computes_in(double) == ("cpu", torch.float64)
    assert computes_in(single) == ("cpu", torch.float32)
    assert computes_in(single.to("meta")) == ("meta", torch.float32)
    assert list(alike(("cpu", torch.float64))) == [("cpu", torch.float64)]
    assert len(set(alike(("cpu", torch.bfloat16)))) == 2
