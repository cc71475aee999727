"""The backends, one file each, found by looking into this folder."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from codegen.backends.base import Availability, Backend
from codegen.errors import UnknownBackend, Unsupported
from derive.cell import Cell
from derive.errors import nearest

AUTO = "auto"


@cache
def found() -> Mapping[str, Backend]:
    """Every backend by name, the preferred ones first."""
    modules = (importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__))
    all_of_them = [module.BACKEND for module in modules if hasattr(module, "BACKEND")]
    return MappingProxyType({b.name: b for b in sorted(all_of_them, key=lambda b: (-b.preference, b.name))})


def backends() -> Mapping[str, Availability]:
    """Name → whether and why a backend can run on this machine; ``str()`` of it is a sentence."""
    return MappingProxyType({name: backend.availability() for name, backend in found().items()})


def backend(name: str) -> Backend:
    """The backend of that name; raises :class:`~codegen.errors.UnknownBackend`, which lists them."""
    if name not in found():
        raise UnknownBackend(
            f"unknown backend {name!r}{nearest(name, found())} Backends: {', '.join(found())}"
        )
    return found()[name]


def choose(name: str, cell: Cell) -> tuple[Backend, str]:
    """The backend for a cell, and why; ``auto`` takes the preferred one of those that can run and can write
    the cell.

    A backend asked for by name is used or refused, never replaced.
    """
    if name != AUTO:
        asked = backend(name)
        if (reason := asked.refusal(cell)) is not None:
            raise Unsupported(f"the {name} backend cannot write {cell.name}: {reason}")
        if not (availability := asked.availability()):
            raise Unsupported(f"the {name} backend cannot run here: {availability.why}")
        return asked, "asked for"
    passed_over: list[str] = []
    for candidate in found().values():
        reason = candidate.refusal(cell) or ("" if candidate.availability() else candidate.availability().why)
        if not reason:
            return candidate, "; ".join(["chosen by auto", *passed_over])
        passed_over.append(f"not {candidate.name}: {reason}")
    raise Unsupported(f"no backend can run {cell.name}: {'; '.join(passed_over)}")
