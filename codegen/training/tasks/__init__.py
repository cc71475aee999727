"""The tasks that generate their own data, one file each, found by looking into this folder."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from codegen.errors import ConfigError
from codegen.training.tasks.base import Task, TaskKind
from derive.errors import nearest

__all__ = ["LANGUAGE", "Task", "TaskKind", "find_task", "tasks"]

LANGUAGE = "language"


@cache
def tasks() -> Mapping[str, TaskKind]:
    """Every generated task by name."""
    modules = (importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__))
    found = [module.TASK for module in modules if hasattr(module, "TASK")]
    return MappingProxyType({task.name: task for task in sorted(found, key=lambda t: t.name)})


def find_task(name: str) -> TaskKind:
    """The generated task of that name.

    Raises:
        ConfigError: there is none; the message names the nearest.
    """
    if name not in tasks():
        known = (LANGUAGE, *tasks())
        raise ConfigError(f"no task {name!r}{nearest(name, known)} There are: {', '.join(known)}")
    return tasks()[name]
