"""Turn recurrent cells into PyTorch source, layers, and checks of both.

Importing this package does not import torch; the names that need it (``build``, ``check``, …) load it on
first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from codegen.backends import backends
from codegen.backends.base import Availability, Backend
from codegen.emission import emit
from codegen.errors import CodegenError, UnknownBackend, UnknownName, Unsupported

if TYPE_CHECKING:
    from codegen.building import build as build
    from codegen.checking.comparisons import check as check
    from codegen.checking.report import CheckReport as CheckReport
    from codegen.checking.report import Comparison as Comparison
    from codegen.layer import RecurrentLayer as RecurrentLayer

_LATER = {
    "build": "codegen.building",
    "check": "codegen.checking",
    "CheckReport": "codegen.checking.report",
    "Comparison": "codegen.checking.report",
    "RecurrentLayer": "codegen.layer",
}

__all__ = [
    "Availability",
    "Backend",
    "CheckReport",
    "CodegenError",
    "Comparison",
    "RecurrentLayer",
    "UnknownBackend",
    "UnknownName",
    "Unsupported",
    "backends",
    "build",
    "check",
    "emit",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LATER[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
