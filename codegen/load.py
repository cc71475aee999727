"""Generated source as a module: tracebacks, ``inspect.getsource`` and debuggers show its lines, and it
pickles.

A module's name holds a hash of its text, so the same text is the same module and its classes are the same
classes.
"""

from __future__ import annotations

import copyreg
import hashlib
import linecache
import sys
from types import ModuleType
from typing import Any

PREFIX = "cellwright_generated"


def load(source: str, name: str) -> ModuleType:
    """The module that ``source`` defines; ``name`` (an identifier-like word) is part of the module's name.

    Loading the same text twice gives the same module.
    """
    digest = hashlib.sha256(source.encode()).hexdigest()[:12]
    module_name = f"{PREFIX}_{name.replace('-', '_')}_{digest}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    filename = f"<{module_name}>"
    module = ModuleType(module_name)
    module.__file__ = filename
    # no modification time: linecache then never looks for a file of that name
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    sys.modules[module_name] = module
    try:
        exec(compile(source, filename, "exec"), module.__dict__)
    except BaseException:
        del sys.modules[module_name]
        raise
    _make_picklable(module, source, name)
    return module


def _make_picklable(module: ModuleType, source: str, name: str) -> None:
    """Let instances take the source along when pickled: another process has no module of that name."""
    for value in list(vars(module).values()):
        if isinstance(value, type) and value.__module__ == module.__name__ and not issubclass(value, tuple):
            copyreg.pickle(value, _reducer(source, name))


def _reducer(source: str, name: str) -> Any:
    def reduce(instance: Any) -> tuple[Any, ...]:
        return _blank, (source, name, type(instance).__name__), instance.__dict__

    return reduce


def _blank(source: str, name: str, class_name: str) -> Any:
    """An instance without attributes, which unpickling then fills in."""
    generated = getattr(load(source, name), class_name)
    return generated.__new__(generated)
