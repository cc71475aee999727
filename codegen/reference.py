"""torch's own recurrent cells, as its documentation states them, and how its stacked weights map to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from codegen.errors import Unsupported
from derive.activations import Activation, relu, sigmoid, tanh
from derive.cell import Cell
from derive.equivalence import Equivalence, equivalent
from derive.symbols import Input, Parameter, State, Vector

if TYPE_CHECKING:
    from codegen.layer import RecurrentLayer

Values = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class TorchCell:
    """A cell of torch: its equations, its module, and the gates whose rows are stacked in its weights."""

    cell: Cell
    module: type[nn.RNNBase]
    gates: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> dict[str, list[str]]:
        """torch's parameter, without the layer's suffix → the equations' names of its blocks of rows."""
        sides = {"ih": "i", "hh": "h"}
        found = {
            f"weight_{side}": [f"W_{letter}{gate}" for gate in self.gates] for side, letter in sides.items()
        }
        found |= {
            f"bias_{side}": [f"b_{letter}{gate}" for gate in self.gates] for side, letter in sides.items()
        }
        return {key: [name for name in names if name in self.cell.parameters] for key, names in found.items()}

    def is_module(self, module: nn.RNNBase) -> bool:
        """Whether a module of torch computes this cell."""
        return type(module) is self.module and all(getattr(module, k) == v for k, v in self.options.items())


def _affine(gate: str) -> tuple[Parameter, Parameter, Parameter, Parameter]:
    """W_i*, b_i*, W_h*, b_h* as torch names them."""
    return (
        Parameter(f"W_i{gate}", "n", "m"),
        Parameter(f"b_i{gate}", "n"),
        Parameter(f"W_h{gate}", "n", "n"),
        Parameter(f"b_h{gate}", "n"),
    )


def _rnn(activation: Activation) -> Cell:
    h, x = State("h"), Input("x")
    W_ih, b_ih, W_hh, b_hh = _affine("h")
    equations = {h: activation(W_ih @ x + b_ih + W_hh @ h.prev + b_hh)}
    return Cell(
        f"torch-rnn-{activation.name}", equations, output=h, title=f"torch.nn.RNN with {activation.name}"
    )


def _lstm() -> Cell:
    h, c, x = State("h"), State("c"), Input("x")
    gates = {name: Vector(name) for name in "ifgo"}
    i, f, g, o = gates.values()
    sums = {
        name: W_i @ x + b_i + W_h @ h.prev + b_h for name in "ifgo" for W_i, b_i, W_h, b_h in [_affine(name)]
    }
    equations = {i: sigmoid(sums["i"]), f: sigmoid(sums["f"]), g: tanh(sums["g"]), o: sigmoid(sums["o"])}
    equations |= {c: f * c.prev + i * g, h: o * tanh(c)}
    return Cell("torch-lstm", equations, output=h, states=("h", "c"), title="torch.nn.LSTM")


def _gru() -> Cell:
    h, x = State("h"), Input("x")
    r, z, n = Vector("r"), Vector("z"), Vector("n")
    sides = {
        name: (W_i @ x + b_i, W_h @ h.prev + b_h) for name in "rzn" for W_i, b_i, W_h, b_h in [_affine(name)]
    }
    equations = {
        r: sigmoid(sum(sides["r"])),
        z: sigmoid(sum(sides["z"])),
        n: tanh(
            sides["n"][0] + r * sides["n"][1]
        ),  # the reset gate after the product, unlike the article's GRU
        h: (1 - z) * n + z * h.prev,
    }
    return Cell("torch-gru", equations, output=h, title="torch.nn.GRU")


@cache
def torch_cells() -> tuple[TorchCell, ...]:
    """The cells that torch has modules for."""
    return (
        TorchCell(_rnn(tanh), nn.RNN, ("h",), {"nonlinearity": "tanh"}),
        TorchCell(_rnn(relu), nn.RNN, ("h",), {"nonlinearity": "relu"}),
        TorchCell(_lstm(), nn.LSTM, tuple("ifgo")),
        TorchCell(_gru(), nn.GRU, tuple("rzn")),
    )


def _with_bias_of(entry: TorchCell, bias: bool) -> TorchCell:
    return entry if bias else dataclasses.replace(entry, cell=entry.cell.without_biases())


def find(cell: Cell) -> tuple[TorchCell, Equivalence] | None:
    """The cell of torch that computes the same, with the map of the parameters, or None."""
    for entry in torch_cells():
        for candidate in (entry, _with_bias_of(entry, False)):
            if found := equivalent(cell, candidate.cell):
                return candidate, found
    return None


def read(module: nn.RNNBase, layer: RecurrentLayer) -> list[Values]:
    """A torch module's weights as values of the layer's parameters: a dict for each layer and direction."""
    entry = next((e for e in torch_cells() if e.is_module(module)), None)
    if entry is None:
        known = ", ".join(sorted({e.module.__name__ for e in torch_cells()}))
        raise Unsupported(f"weights can be read from torch's {known}, not from {type(module).__name__}")
    entry = _with_bias_of(entry, module.bias)
    for name in ("input_size", "hidden_size", "num_layers", "bidirectional"):
        if getattr(module, name) != getattr(layer, name):
            raise Unsupported(
                f"{name} differs: {getattr(module, name)} in torch's module, {getattr(layer, name)} here"
            )
    if module.proj_size:
        raise Unsupported("torch's module has a projection (proj_size), which no cell here has")
    found = equivalent(layer.cell, entry.cell)
    if not found:
        raise Unsupported(f"{layer.cell.name} does not compute what {entry.cell.title} does: {found.reason}")
    return [found.map_parameters(_split(entry, module, suffix)) for suffix in _suffixes(layer)]


def write(layer: RecurrentLayer, values: Sequence[Mapping[str, Tensor]]) -> nn.RNNBase:
    """A torch module with the layer's weights, given for each layer and direction."""
    found = find(layer.cell)
    if found is None:
        raise Unsupported(f"torch has no module that computes {layer.cell.name}")
    entry, _ = found
    some = next(iter(values[0].values()))
    make: Any = entry.module  # the subclasses of RNNBase leave out its first argument, the mode
    module: nn.RNNBase = make(
        layer.input_size,
        layer.hidden_size,
        num_layers=layer.num_layers,
        bias=bool(entry.cell.biases),
        batch_first=layer.batch_first,
        dropout=layer.dropout,
        bidirectional=layer.bidirectional,
        device=some.device,
        dtype=some.dtype,
        **entry.options,
    )
    to_torch = equivalent(entry.cell, layer.cell)
    with torch.no_grad():
        for suffix, named in zip(_suffixes(layer), values, strict=True):
            blocks = to_torch.map_parameters({name: _array(value) for name, value in named.items()})
            for key, names in entry.rows.items():
                if names:
                    stacked = np.concatenate([blocks[name] for name in names])
                    getattr(module, key + suffix).copy_(torch.as_tensor(stacked))
    return module


def state_order(entry: TorchCell, found: Equivalence, cell: Cell) -> list[int]:
    """For each state of torch's cell, its place among the cell's states."""
    here = {theirs: cell.states.index(ours) for ours, theirs in found.states.items()}
    return [here[name] for name in entry.cell.states]


def _suffixes(layer: RecurrentLayer) -> list[str]:
    directions = ("", "_reverse") if layer.bidirectional else ("",)
    return [f"_l{index}{direction}" for index in range(layer.num_layers) for direction in directions]


def _split(entry: TorchCell, module: nn.RNNBase, suffix: str) -> Values:
    found: Values = {}
    for key, names in entry.rows.items():
        if names:
            blocks = np.split(_array(getattr(module, key + suffix)), len(names))
            found |= dict(zip(names, blocks, strict=True))
    return found


def _array(tensor: Tensor) -> np.ndarray[Any, Any]:
    return tensor.detach().to("cpu", torch.float64).numpy()
