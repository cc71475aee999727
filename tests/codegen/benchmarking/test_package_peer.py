"""torchrecurrent's cells as they are stated here; against the package itself where it is installed."""

from __future__ import annotations

import sys

import pytest
import torch

import derive
from codegen.benchmarking import package_peer
from codegen.benchmarking.agreement import disagreement
from codegen.benchmarking.ours import in_backends, layer_of
from codegen.benchmarking.package_peer import PackageCell, find, of_the_package, package_cells
from codegen.benchmarking.setting import Setting

SETTING = Setting(time=3, batch=2, units=4, features=3, dtype=torch.float64)


@pytest.mark.parametrize("entry", package_cells(), ids=lambda entry: entry.layer)
def test_a_stated_cell_is_what_the_package_computes(entry: PackageCell) -> None:
    pytest.importorskip("torchrecurrent")
    eager = layer_of(entry.cell, SETTING)
    [reference], _ = in_backends(entry.cell, SETTING, eager, ["eager"])
    [found], skipped = of_the_package(entry.cell, SETTING, eager)
    assert (found.name, found.same_cell, skipped) == (f"torchrecurrent.{entry.layer}", True, {})
    results, expected = found.results(), reference.results()
    assert {"output 0", "∂x"} <= results.keys() & expected.keys()
    assert disagreement(results, expected, torch.float64) is None


def test_any_other_cell_gets_the_yardstick() -> None:
    pytest.importorskip("torchrecurrent")
    cell = derive.cell("gru")
    [found], _ = of_the_package(cell, SETTING, layer_of(cell, SETTING))
    assert (found.name, found.same_cell) == ("torchrecurrent.PeepholeLSTM", False)
    assert found()[0].shape == (3, 2, 3)


@pytest.mark.parametrize("entry", package_cells(), ids=lambda entry: entry.layer)
def test_each_is_found_by_its_equations_and_stacks_every_parameter(entry: PackageCell) -> None:
    found = find(entry.cell)
    assert found is not None
    assert found[0] is entry
    stacked = [name for names in entry.stacks().values() for name in names]
    assert sorted(stacked) == sorted(entry.cell.parameters)
    assert find(derive.cell("lstm")) is None


def test_where_the_package_is_not_installed_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchrecurrent", None)
    cell = derive.cell("vanilla")
    found, skipped = of_the_package(cell, SETTING, layer_of(cell, SETTING))
    assert found == []
    assert "pip install 'cellwright[bench]'" in skipped[package_peer.NAME]
