"""The cells of the package torchrecurrent, as its documentation states them, and how its weights are stacked.

The package is the extra ``bench``.  It is used where it has a cell that is equivalent to the one measured
(:func:`derive.equivalence.equivalent`), with the same weights; otherwise its peephole LSTM is a yardstick.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from codegen.benchmarking.contender import Contender, input_of
from codegen.benchmarking.ours import Skipped, equation_parameters
from codegen.benchmarking.setting import Setting
from codegen.layer import RecurrentLayer
from derive.activations import sigmoid, tanh
from derive.cell import Cell
from derive.equivalence import Equivalence, equivalent
from derive.symbols import Input, Parameter, State, Vector, affine_parameters

NAME = "torchrecurrent"


@dataclass(frozen=True)
class PackageCell:
    """A cell of the package: its equations, its layer's class, and the order of the gates in its weights."""

    layer: str
    cell: Cell
    gates: tuple[str, ...]
    peepholes: tuple[str, ...] = ()

    def stacks(self) -> dict[str, list[str]]:
        """The package's parameter → the equations' parameters whose rows it stacks."""
        found = {
            "weight_ih": [f"U_{gate}" for gate in self.gates],
            "weight_hh": [f"W_{gate}" for gate in self.gates],
            "bias_ih": [f"b_{gate}" for gate in self.gates],
        }
        return found | ({"weight_ph": [f"P_{gate}" for gate in self.peepholes]} if self.peepholes else {})


@cache
def package_cells() -> tuple[PackageCell, ...]:
    """Those of its cells that are stated here; the first one is the yardstick."""
    return (_peephole_lstm(), _minimal_gated_unit(), _update_gate())


def _peephole_lstm() -> PackageCell:
    h, c, x = State("h"), State("c"), Input("x")
    gates = {name: Vector(name) for name in "ifgo"}
    i, f, g, o = gates.values()

    def total(name: str) -> Any:
        W, U, b = affine_parameters(name)
        return W @ h.prev + U @ x + b

    def peephole(name: str) -> Parameter:
        return Parameter(f"P_{name}", "n")

    equations = {
        i: sigmoid(total("i") + peephole("i") * c.prev),
        f: sigmoid(total("f") + peephole("f") * c.prev),
        g: tanh(total("g")),
        c: f * c.prev + i * g,
        o: sigmoid(total("o") + peephole("o") * c),
        h: o * tanh(c),
    }
    cell = Cell("torchrecurrent-peephole-lstm", equations, output=h, states=("h", "c"))
    return PackageCell("PeepholeLSTM", cell, tuple("ifgo"), tuple("ifo"))


def _minimal_gated_unit() -> PackageCell:
    s, x, f, g = State("s"), Input("x"), Vector("f"), Vector("g")
    W_f, U_f, b_f = affine_parameters("f")
    W_g, U_g, b_g = affine_parameters("g")
    equations = {
        f: sigmoid(W_f @ s.prev + U_f @ x + b_f),
        g: tanh(W_g @ (f * s.prev) + U_g @ x + b_g),
        s: (1 - f) * s.prev + f * g,
    }
    return PackageCell("MGU", Cell("torchrecurrent-mgu", equations, output=s), ("f", "g"))


def _update_gate() -> PackageCell:
    s, x, z, g = State("s"), Input("x"), Vector("z"), Vector("g")
    W_z, U_z, b_z = affine_parameters("z")
    W_g, U_g, b_g = affine_parameters("g")
    equations = {
        g: tanh(W_g @ s.prev + U_g @ x + b_g),
        z: sigmoid(W_z @ s.prev + U_z @ x + b_z),
        s: z * s.prev + (1 - z) * g,
    }
    return PackageCell("UGRNN", Cell("torchrecurrent-ugrnn", equations, output=s), ("g", "z"))


@lru_cache(maxsize=64)
def find(cell: Cell) -> tuple[PackageCell, Equivalence] | None:
    """The package's cell that computes the same, with its parameters in the cell's, or None."""
    for entry in package_cells():
        if found := equivalent(entry.cell, cell):
            return entry, found
    return None


def of_the_package(cell: Cell, setting: Setting, eager: RecurrentLayer) -> tuple[list[Contender], Skipped]:
    """torchrecurrent's layer for the cell, or its yardstick, or why there is none."""
    try:
        package = importlib.import_module("torchrecurrent")
    except ModuleNotFoundError:
        return [], {NAME: "it is not installed: pip install 'cellwright[bench]'"}
    found = find(cell)
    entry, same = found or (package_cells()[0], None)
    features = setting.features if same is None else eager.input_size
    make = getattr(package, entry.layer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(setting.seed)
        module: nn.Module = make(
            features, setting.units, recurrent_bias=False, device=setting.device, dtype=setting.dtype
        )
    if same is not None:
        values = {name: p.detach().cpu().double().numpy() for name, p in equation_parameters(eager).items()}
        _fill(module, entry, same.map_parameters(values))

    def run(x: Tensor) -> tuple[Tensor, ...]:
        output, _ = module(x)
        return (output,)

    about = "the same cell, the same weights" if same is not None else "another cell: a yardstick"
    x = input_of(setting, features)
    name = f"{NAME}.{entry.layer}"
    return [Contender(name, run, x, dict(module.named_parameters()), setting, about, same is not None)], {}


def _fill(module: nn.Module, entry: PackageCell, values: dict[str, np.ndarray[Any, Any]]) -> None:
    with torch.no_grad():
        for key, names in entry.stacks().items():
            stacked: Sequence[Any] = [values[name] for name in names]
            module.get_parameter(f"cells.0.{key}").copy_(torch.as_tensor(np.concatenate(stacked)))
