"""Claims about any cell, one file a kind; found by looking into the folder.

A kind proves its claims by one method and checks them, from plain data alone, by another
(:func:`recheck_certificate`), so that certificates can be kept, sent and checked in.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from derive.claims.tools.kind import BadCertificate, Kind
from derive.claims.tools.plain import cell_from_plain
from derive.errors import DeriveError, nearest


@cache
def kinds() -> Mapping[str, Kind]:
    """Every kind of claim by name."""
    modules = [
        importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__) if not m.ispkg
    ]
    found = [kind for module in modules for kind in module.KINDS]
    return MappingProxyType({kind.name: kind for kind in sorted(found, key=lambda kind: kind.rank)})


def recheck_certificate(document: Mapping[str, Any]) -> bool:
    """Whether a claim stands, from what :meth:`derive.Claim.to_json` gave and nothing else.

    A certificate is verified by another method than the one that found it, a counterexample is replayed.
    False where it does not stand, or says less than its statement; :class:`BadCertificate` where the data is
    no claim at all.
    """
    if document.get("status") not in ("proved", "refuted"):
        return False
    kind = document.get("kind")
    if not isinstance(kind, str) or kind not in kinds():
        raise BadCertificate(f"no kind of claim is called {kind!r}{nearest(str(kind), kinds())}")
    try:
        return kinds()[kind].check(cell_from_plain(document["cell"]), document)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, DeriveError):
        return False  # data that does not even have the form of a certificate certifies nothing


__all__ = ["BadCertificate", "Kind", "kinds", "recheck_certificate"]
