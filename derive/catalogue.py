"""The catalogue: one file in ``derive/cells`` for each published cell, found by looking into the folder."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any

from derive.cell import Cell
from derive.errors import UnknownCell, nearest

ROOT = "vanilla"


@dataclass(frozen=True)
class Published:
    """A published cell, and how the article gets there: rules applied to the parent, with their options."""

    cell: Cell
    parent: str = ""
    rules: tuple[tuple[str, Mapping[str, Any]], ...] = field(default=())


@cache
def published() -> Mapping[str, Published]:
    """Name → entry, parents before children."""
    import derive.cells as folder

    modules = (
        importlib.import_module(f"{folder.__name__}.{m.name}") for m in pkgutil.iter_modules(folder.__path__)
    )
    entries = {module.PUBLISHED.cell.name: module.PUBLISHED for module in modules}

    def depth(name: str) -> int:
        parent = entries[name].parent
        return 1 + depth(parent) if parent else 0

    return MappingProxyType({name: entries[name] for name in sorted(entries, key=lambda n: (depth(n), n))})


def catalogue() -> tuple[str, ...]:
    """The names of all published cells, parents before children."""
    return tuple(published())


def cell(name: str | Cell) -> Cell:
    """The cell of that name; a :class:`Cell` is returned as it is.  Raises :class:`UnknownCell`."""
    if isinstance(name, Cell):
        return name
    if name not in published():
        raise UnknownCell(
            f"unknown cell {name!r}{nearest(name, published())} The catalogue: {', '.join(published())}"
        )
    return published()[name].cell
