"""The ways to come by gradients, one file each, found by looking into this folder."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from codegen.errors import ConfigError
from codegen.training.gradients.base import Gradient, Method, Taken
from derive.errors import nearest

__all__ = ["Gradient", "Method", "Taken", "find_method", "methods"]


@cache
def methods() -> Mapping[str, Method]:
    """Every method by name."""
    modules = (importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__))
    found = [module.METHOD for module in modules if hasattr(module, "METHOD")]
    return MappingProxyType({method.name: method for method in sorted(found, key=lambda m: m.name)})


def find_method(name: str) -> Method:
    """The method of that name.

    Raises:
        ConfigError: there is none; the message names the nearest.
    """
    if name not in methods():
        raise ConfigError(f"no gradient {name!r}{nearest(name, methods())} There are: {', '.join(methods())}")
    return methods()[name]
