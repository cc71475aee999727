"""The generated classes of a cell, by backend, and how a layer changes from one backend's to another's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType

import torch
from torch import Tensor, nn

from codegen.backends import backend, choose
from codegen.backends.base import Use
from codegen.load import PREFIX, load
from codegen.lowering import lower
from codegen.plan import Plan
from codegen.writing.names import class_name
from derive.cell import Cell

AUTOCAST = (torch.bfloat16, torch.float16)
Computing = tuple[str, torch.dtype]
"""A device type and a dtype."""


@dataclass(frozen=True)
class Generated:
    """What a backend made of a cell, and why it was that backend."""

    backend: str
    why: str
    source: str
    layer: type[nn.Module]
    cell: type[nn.Module]


def generate(name: str, cell: Cell, use: Use) -> Generated:
    """The classes of a cell by the backend of that name, or by the one that ``auto`` takes for the use.

    Raises :class:`~codegen.errors.UnknownBackend` and :class:`~codegen.errors.Unsupported`.
    """
    writer, why = choose(name, cell, use)
    source, module = _module(cell, writer.name)
    title = class_name(cell)
    return Generated(writer.name, why, source, getattr(module, title), getattr(module, f"{title}Cell"))


@lru_cache(maxsize=64)
def lowered(cell: Cell) -> Plan:
    """The plan of a cell; remembered, since sizes do not enter it."""
    return lower(cell)


@lru_cache(maxsize=256)
def _module(cell: Cell, name: str) -> tuple[str, ModuleType]:
    source = backend(name).module(lowered(cell))
    return source, load(source, f"{cell.name}_{name}")


def computes_in(like: Tensor) -> Computing:
    """The device type and the dtype of steps on such tensors.

    Under autocast its dtype, unless that would lose float64's: as torch.nn.LSTM.
    """
    device, dtype = like.device.type, like.dtype
    if device == "meta" or dtype == torch.float64 or not torch.is_autocast_enabled(device):
        return device, dtype
    return device, torch.get_autocast_dtype(device)


def use(found: Computing, hidden_size: int) -> Use:
    """As backends are asked about it."""
    device, dtype = found
    return Use(device, str(dtype).removeprefix("torch."), hidden_size)


def alike(computing: Computing) -> Iterator[Computing]:
    """That, and what it may turn into under autocast."""
    device, dtype = computing
    yield computing
    if dtype != torch.float64:
        yield from ((device, other) for other in AUTOCAST if other != dtype)


def become(layer: nn.Module, new: Generated) -> None:
    """Make a generated layer one of another backend in place.

    Instances of all backends hold the same attributes, so a change of classes is all: parameters, hooks,
    attached modules and parametrizations stay the very objects they were.
    """
    inner = layer.get_submodule("cell")
    layer.__class__ = _rebased(type(layer), new.layer)
    inner.__class__ = _rebased(type(inner), new.cell)


def _rebased(kind: type, generated: type) -> type:
    """A class with the generated class that it is, or is derived from, exchanged.

    ``torch.nn.utils.parametrize`` and FSDP derive a class of their own for each module.
    """
    if kind.__module__.startswith(PREFIX):
        return generated
    if not any(base.__module__.startswith(PREFIX) for base in kind.__mro__):
        return kind
    bases = tuple(_rebased(base, generated) for base in kind.__bases__)
    own = {name: value for name, value in vars(kind).items() if name not in ("__dict__", "__weakref__")}
    return type(kind)(kind.__name__, bases, own)
