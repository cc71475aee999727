"""Checks of what users pass to a layer; the errors are of the kinds that ``torch.nn.LSTM`` raises."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from codegen.errors import UnknownName, Unsupported
from derive.cell import Cell
from derive.errors import nearest
from derive.symbols import INPUT_AXIS, STATE_AXIS


def check_sizes(
    cell: Cell, input_size: Any, hidden_size: Any, num_layers: Any, flags: Mapping[str, Any]
) -> None:
    """TypeError for the wrong kinds, ValueError for sizes that no layer has."""
    for name, value in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{name} should be of type int, got: {type(value).__name__}")
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            raise TypeError(f"{name} should be of type bool, got: {type(flag).__name__}")
    if cell.inputs and input_size <= 0:
        raise ValueError(f"input_size must be greater than zero, got {input_size}")
    if not cell.inputs and input_size != 0:
        raise ValueError(f"{cell.name} has no input: input_size must be 0, got {input_size}")
    if hidden_size <= 0:
        raise ValueError(f"hidden_size must be greater than zero, got {hidden_size}")
    if num_layers <= 0:
        raise ValueError(f"num_layers must be greater than zero, got {num_layers}")
    if num_layers > 1 and not (cell.inputs and cell.output):
        raise Unsupported(f"{cell.name} cannot be stacked, since it lacks an input or an output")


def check_dropout(dropout: Any, num_layers: int) -> None:
    """ValueError outside [0, 1]; a warning, as in torch, where there are no layers to drop out between."""
    if not isinstance(dropout, numbers.Number) or isinstance(dropout, bool) or not 0 <= dropout <= 1:  # type: ignore[operator]
        raise ValueError(
            f"dropout should be a number in range [0, 1], the probability of zeroing, got {dropout!r}"
        )
    if dropout > 0 and num_layers == 1:  # type: ignore[operator]
        warnings.warn(
            "dropout is applied between layers, so a non-zero dropout expects num_layers greater than 1, "
            f"but got dropout={dropout} and num_layers={num_layers}",
            stacklevel=4,
        )


def axis_sizes(cell: Cell, input_size: int, hidden_size: int, sizes: Mapping[str, int]) -> dict[str, int]:
    """The size of every named axis of the cell; ``sizes`` gives those other than n and m."""
    known = {STATE_AXIS: hidden_size, INPUT_AXIS: input_size, **sizes}
    used = {axis for quantity in cell.symbols.values() for axis in quantity.axes}
    missing = sorted(used - known.keys())
    foreign = sorted(set(sizes) - (used - {STATE_AXIS, INPUT_AXIS}))
    if missing:
        raise UnknownName(
            f"{cell.name} has axes {missing} besides n and m: pass sizes={{{missing[0]!r}: ...}}"
        )
    if foreign:
        raise UnknownName(
            f"{cell.name} has no axis {foreign[0]!r}{nearest(foreign[0], used)} "
            f"Axes: {', '.join(sorted(used))}"
        )
    if cell.inputs and (features := known[cell.axes(cell.inputs[0])[0]]) != input_size:
        axis = cell.axes(cell.inputs[0])[0]
        raise ValueError(
            f"the input of {cell.name} has axis {axis}: input_size must be {features}, got {input_size}"
        )
    return {axis: known[axis] for axis in known}


def check_biases(cell: Cell, biases: Mapping[str, Any]) -> None:
    """Initial values are for biases that the cell has."""
    for name in biases:
        if name not in cell.biases:
            have = f"Its biases: {', '.join(cell.biases)}" if cell.biases else "It has none"
            raise UnknownName(f"{cell.name} has no bias {name!r}{nearest(name, cell.biases)} {have}")


def check_init(init: Any, known: Iterable[str]) -> None:
    """UnknownName for what is no initialization scheme."""
    if init not in tuple(known):
        raise UnknownName(f"no init {init!r}{nearest(init, known)} There are: {', '.join(known)}")


def check_memory(memory: Any) -> None:
    """ValueError for what is neither a number of steps above 1 nor a pair of such, the shorter one first."""
    lengths = memory if isinstance(memory, tuple) else (memory, memory)
    real = all(isinstance(length, numbers.Real) and not isinstance(length, bool) for length in lengths)
    if not real or len(lengths) != 2 or not 1 < lengths[0] <= lengths[1] < math.inf:
        raise ValueError(
            "memory should be a number of steps above 1, or a pair (shortest, longest) of such, "
            f"got {memory!r}"
        )


def check_input(
    x: Tensor, dims: Sequence[int], input_size: int, dtype: torch.dtype | None, name: str
) -> None:
    """The number of axes (ValueError), the number of features (RuntimeError), the dtype (ValueError)."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}: expected a Tensor or PackedSequence, got {type(x).__name__}")
    if x.dim() not in dims:
        wanted = " or ".join(f"{d}D" for d in dims)
        raise ValueError(f"{name}: Expected input to be {wanted}, got {x.dim()}D tensor instead")
    if x.shape[-1] != input_size:
        raise RuntimeError(
            f"input.size(-1) must be equal to input_size. Expected {input_size}, got {x.shape[-1]}"
        )
    if dtype is not None and x.dtype != dtype and not torch.is_autocast_enabled(x.device.type):
        raise ValueError(
            f"input dtype ({x.dtype}) does not match weight dtype ({dtype}). "
            f"Convert input: input.to({dtype}), or convert model: model.to({x.dtype})"
        )


def check_state(state: Any, names: Sequence[str], expected: Sequence[tuple[int, ...]]) -> tuple[Tensor, ...]:
    """The state as a tuple; a wrong number of tensors, or a wrong shape, is a RuntimeError as in torch."""
    values = (state,) if isinstance(state, Tensor) else tuple(state)
    if len(values) != len(names) or not all(isinstance(v, Tensor) for v in values):
        kind = "one tensor" if len(names) == 1 else f"a tuple of {len(names)} tensors"
        raise RuntimeError(f"Expected the state ({', '.join(names)}) as {kind}, got {_kinds(state)}")
    for name, value, shape in zip(names, values, expected, strict=True):
        if value.dim() != len(shape):
            batch = "batched 3-D" if len(shape) == 3 else "unbatched 2-D"
            raise RuntimeError(
                f"For {batch} input, {name} should also be {len(shape)}-D but got {value.dim()}-D tensor"
            )
        if tuple(value.shape) != shape:
            raise RuntimeError(f"Expected hidden size {shape} for {name}, got {list(value.shape)}")
    return values


def _kinds(state: Any) -> str:
    if isinstance(state, Tensor):
        return "one tensor"
    return f"{type(state).__name__} of {', '.join(type(v).__name__ for v in state) or 'nothing'}"
