"""Which backends and cells these tests go through, and layers beside their eager twins."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

import codegen
import derive
from codegen import RecurrentLayer
from codegen.backends import backend, refusal
from codegen.backends.base import Use
from derive import Cell, Input, State, Vector, affine_parameters, sigmoid, tanh
from tests.codegen.unusual_cells import UNUSUAL

T, B, M, N = 5, 3, 2, 4

s, z, x = State("s"), Vector("z"), Input("x")
W, U, b = affine_parameters()
W_z, U_z, b_z = affine_parameters("z")
LINEAR = Cell(
    "unread-gate",
    {z: sigmoid(U_z @ x + b_z), s: z * s.prev + (1 - z) * tanh(U @ x + b)},
    output=s,
)
"""A recurrence that is linear and diagonal: some backends take nothing else."""

GRU, LSTM, PEEPHOLES = map(derive.cell, ("gru", "lstm", "peephole-lstm"))
NORMALIZED = next(cell for cell in UNUSUAL if cell.name == "layer-normalized")
BACKENDS = tuple(name for name, availability in codegen.backends().items() if availability)


def serves(name: str, cell: Cell, dtype: str = "float64") -> bool:
    return refusal(backend(name), cell, Use("cpu", dtype)) is None


def pairs(*cells: Cell) -> list[tuple[str, Cell]]:
    """The backends that can run here, each with those of the cells that it takes."""
    return [(name, cell) for name in BACKENDS for cell in cells if serves(name, cell)]


FIRST = [next(pair for pair in pairs(GRU, LINEAR) if pair[0] == name) for name in BACKENDS]
"""Every backend with one cell, for what takes long."""
PAIRS = [
    *(pair for pair in FIRST if pair[0] == "eager"),  # the others are compared with it
    *(pair for pair in pairs(LSTM, NORMALIZED) if pair[0] != "eager"),
    *(pair for pair in FIRST if pair[1] is LINEAR),
]
"""Every backend with cells of two states, with means, or without products in the loop."""
OTHERS = [pair for pair in pairs(GRU, PEEPHOLES, LINEAR) if pair[0] != "eager"]
"""The backends to compare with eager, with further cells."""


def label(value: Any) -> str:
    return value.name if isinstance(value, Cell) else str(value)


def twins(
    name: str, cell: Cell, dtype: torch.dtype = torch.float64, **options: Any
) -> tuple[RecurrentLayer, RecurrentLayer]:
    """A layer of the backend, and eager's with the same parameters."""
    torch.manual_seed(7)
    layer = codegen.build(cell, M, N, backend=name, dtype=dtype, **options)
    twin = codegen.build(cell, M, N, backend="eager", dtype=dtype, **options)
    twin.load_state_dict(layer.state_dict())
    return layer, twin


def sample(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape or (T, B, M), dtype=dtype, generator=torch.Generator().manual_seed(11))


def flat(result: tuple[Any, Any]) -> list[Tensor]:
    """The output and the last states."""
    output, state = result
    data = output if isinstance(output, Tensor) else output.data
    return [data, *((state,) if isinstance(state, Tensor) else state)]


def loss(result: tuple[Any, Any]) -> Tensor:
    """One number that depends on everything, in another way on each."""
    values = flat(result)
    return sum(((k + 1) * v.sin().sum() for k, v in enumerate(values)), start=values[0].new_zeros(()))


def assert_close(found: Iterable[Any], expected: Iterable[Any], tolerance: float = 1e-12) -> None:
    for a, e in zip(found, expected, strict=True):
        assert (a is None) == (e is None)
        if a is not None:
            assert a.shape == e.shape
            assert a.dtype == e.dtype
            assert torch.allclose(a, e, rtol=tolerance, atol=tolerance), (a - e).abs().max()


def assert_same(layer: RecurrentLayer, twin: RecurrentLayer, *arguments: Any) -> None:
    """Values, and gradients of the parameters and of whatever among the arguments asks for one."""
    results = [module(*arguments) for module in (layer, twin)]
    assert_close(*(map(torch.Tensor.detach, flat(r)) for r in results))
    leaves = [a for argument in arguments for a in _tensors(argument) if a.requires_grad]
    found = [
        torch.autograd.grad(loss(result), [*leaves, *module.parameters()])
        for result, module in zip(results, (layer, twin), strict=True)
    ]
    assert_close(*found)


def _tensors(argument: Any) -> list[Tensor]:
    return list(argument) if isinstance(argument, tuple) else [argument]


def states(layer: RecurrentLayer, make: Callable[..., Tensor] = sample, batch: int = B) -> Any:
    """Initial states of a one-layer layer, each (1, B, n)."""
    found = tuple(make(1, batch, layer.hidden_size) / (k + 1) for k, _ in enumerate(layer.cell.states))
    return found[0] if len(found) == 1 else found
