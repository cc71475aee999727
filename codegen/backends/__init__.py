"""The backends, one file each, found by looking into this folder."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from codegen.backends.base import Availability, Backend, Use
from codegen.errors import UnknownBackend, Unsupported
from derive.cell import Cell
from derive.errors import nearest

AUTO = "auto"


@cache
def found() -> Mapping[str, Backend]:
    """Every backend by name, in the order of their names."""
    modules = (importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__))
    all_of_them = [module.BACKEND for module in modules if hasattr(module, "BACKEND")]
    return MappingProxyType({b.name: b for b in sorted(all_of_them, key=lambda b: b.name)})


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


def choose(name: str, cell: Cell, use: Use | None = None) -> tuple[Backend, str]:
    """The backend for a cell, and why; ``auto`` takes the preferred one of those that can run, can write the
    cell, and can serve the use (by default the CPU in float32).  Why includes how it will compute, where it
    has several ways.

    A backend asked for by name is used or refused, never replaced.
    """
    use = use or Use()
    if name != AUTO:
        asked = backend(name)
        if (reason := refusal(asked, cell, use)) is not None:
            raise Unsupported(reason)
        return asked, _sentence("asked for", asked.how(cell, use))
    passed_over: list[str] = []
    for candidate in sorted(found().values(), key=lambda b: (-b.preference(cell, use), b.name)):
        availability = candidate.availability()
        reason = candidate.refusal(cell, use) if availability else availability.why
        if reason is None:
            chosen = f"chosen by auto for {use}: {availability.why}"
            return candidate, _sentence(chosen, candidate.how(cell, use), *passed_over)
        passed_over.append(f"not {candidate.name}: {reason}")
    raise Unsupported(f"no backend can run {cell.name} for {use}: {'; '.join(passed_over)}")


def _sentence(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def refusal(asked: Backend, cell: Cell, use: Use) -> str | None:
    """Why a backend cannot serve a use of a cell, as a sentence for whoever asked for it by name, or None."""
    if (reason := asked.refusal(cell)) is not None:
        return f"the {asked.name} backend cannot write {cell.name}: {reason}"
    if not (availability := asked.availability()):
        return f"the {asked.name} backend cannot run here: {availability.why}"
    if (reason := asked.refusal(cell, use)) is not None:
        return (
            f"the {asked.name} backend cannot run {cell.name} for {use}: {reason} "
            "(backend='auto' takes one that can)"
        )
    return None
