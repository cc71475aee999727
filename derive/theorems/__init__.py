"""Published theorems that fall out of the equations: one file each, found by looking into the folder.

A theorem is a file with a ``THEOREM``; what several files share is in the folder ``tools``.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType

from derive.errors import DeriveError, nearest
from derive.theorems.theorem import Attack, Comparison, Theorem


class UnknownTheorem(DeriveError, KeyError):
    """A name that is no theorem."""

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return str(self.args[0]) if self.args else ""


@cache
def theorems() -> Mapping[str, Theorem]:
    """Every theorem by name, A1 first."""
    modules = [
        importlib.import_module(f"{__name__}.{m.name}")
        for m in pkgutil.iter_modules(__path__)
        if not m.ispkg and m.name != "theorem"
    ]
    found = [module.THEOREM for module in modules]
    return MappingProxyType({t.name: t for t in sorted(found, key=lambda t: (t.name[0], int(t.name[1:])))})


def theorem(name: str) -> Theorem:
    """The theorem of that name ("B5", or "b5").  Raises :class:`UnknownTheorem`."""
    known = theorems()
    if str(name).upper() not in known:
        raise UnknownTheorem(
            f"unknown theorem {name!r}{nearest(str(name), known)} The theorems: {', '.join(known)}"
        )
    return known[str(name).upper()]


class _Theorems(Mapping[str, Theorem]):
    """``THEOREMS``: loads the folder when first looked at."""

    def __getitem__(self, name: str) -> Theorem:
        return theorem(name)

    def __iter__(self) -> Iterator[str]:
        return iter(theorems())

    def __len__(self) -> int:
        return len(theorems())

    def __repr__(self) -> str:
        return f"<theorems: {', '.join(theorems())}>"


THEOREMS: Mapping[str, Theorem] = _Theorems()

__all__ = ["THEOREMS", "Attack", "Comparison", "Theorem", "UnknownTheorem", "theorem", "theorems"]
