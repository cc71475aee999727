"""torch's layers and compilers: the same results, or a reason."""

from __future__ import annotations

import pytest
import torch

import derive
from codegen.benchmarking import peers
from codegen.benchmarking.agreement import disagreement
from codegen.benchmarking.ours import in_backends, layer_of
from codegen.benchmarking.setting import Setting
from derive import Cell
from tests.codegen.unusual_cells import UNUSUAL

SETTING = Setting(time=3, batch=2, units=4, features=3, dtype=torch.float64)


@pytest.mark.parametrize("name", ["lstm", "vanilla"])
def test_torchs_own_layer_has_the_weights_and_agrees(name: str) -> None:
    cell = derive.cell(name)
    eager = layer_of(cell, SETTING)
    own, *others = peers.torch_layers(cell, SETTING, eager)
    assert own.name == peers.torch_layer_of(cell) == {"lstm": "nn.LSTM", "vanilla": "nn.RNN"}[name]
    [reference], _ = in_backends(cell, SETTING, eager, ["eager"])
    expected, found = reference.results(), own.results()
    assert len(expected.keys() & found.keys()) == 2
    assert disagreement(found, expected, torch.float64) is None
    assert not any(c.same_cell for c in others)
    assert sorted([own.name, *(c.name for c in others)]) == sorted({own.name, "nn.LSTM", "nn.GRU"})


def test_a_cell_that_torch_has_not_gets_yardsticks() -> None:
    cell = derive.cell("gru")  # the article's: reset before the product
    found = peers.torch_layers(cell, SETTING, layer_of(cell, SETTING))
    assert [(c.name, c.same_cell) for c in found] == [("nn.LSTM", False), ("nn.GRU", False)]
    assert found[0]()[0].shape == (3, 2, 3)


@pytest.mark.parametrize("cell", [derive.cell("gru"), UNUSUAL[0], UNUSUAL[-1]], ids=lambda cell: cell.name)
def test_torchscript_agrees(cell: Cell) -> None:
    eager = layer_of(cell, SETTING)
    [reference], _ = in_backends(cell, SETTING, eager, ["eager"])
    [scripted], skipped = peers.scripted(cell, SETTING, eager)
    assert skipped == {}
    for _ in range(3):  # it specializes after the first
        assert disagreement(scripted.results(), reference.results(), torch.float64) is None


def test_what_cannot_be_scripted_or_compiled_is_left_out_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("\nno compiler here\nmore")

    cell = derive.cell("vanilla")
    eager = layer_of(cell, SETTING)
    for name, peer in (("script", peers.scripted), ("compile", peers.compiled)):
        monkeypatch.setattr(torch.jit if name == "script" else torch, name, fail)
        [(who, why)] = peer(cell, SETTING, eager)[1].items()
        assert (name in who, why) == (True, "RuntimeError: no compiler here")


def test_what_is_compiled_is_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler itself takes half a minute; here it hands back what it is given."""
    monkeypatch.setattr(torch, "compile", lambda module, **_: module)
    cell = derive.cell("gru")
    eager = layer_of(cell, SETTING)
    [reference], _ = in_backends(cell, SETTING, eager, ["eager"])
    [compiled], _ = peers.compiled(cell, SETTING, eager)
    assert disagreement(compiled.results(), reference.results(), torch.float64) is None
    assert compiled.seconds_first is not None
