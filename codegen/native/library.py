"""Calls into compiled kernels, with the rows of a batch shared among threads."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from codegen.errors import CompilationError
from codegen.native import compiler
from codegen.native.cache import VARIABLE


class HasPointer(Protocol):
    """A tensor, as far as a kernel is concerned."""

    def data_ptr(self) -> int:
        """The address of its first number."""


@cache
def prelude(double: bool) -> str:
    """The C that a kernel's text starts with: ``cw_real`` is double or float."""
    folder = resources.files("codegen.native")
    texts = [(folder / name).read_text(encoding="utf-8") for name in ("prelude.c", "products.c")]
    return "\n".join([f"#define CW_DOUBLE {int(double)}", *texts])


def load(text: str) -> Library:
    """The library of a whole C text (prelude and kernels), compiled on first use, loaded once a process.

    Raises:
        CompilationError: see :func:`codegen.native.compiler.build`; or the system refuses to load what was
            compiled, twice.
    """
    with _load_lock:
        if text not in _loaded:
            _loaded[text] = Library(_open(text))
        return _loaded[text]


def _open(text: str) -> ctypes.CDLL:
    path = compiler.build(text)
    try:
        return ctypes.CDLL(str(path))
    except OSError:
        path = compiler.build(text, again=True)
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise CompilationError(
            f"the system refuses to load {path}: {error}. If its folder may not hold programs (noexec), "
            f"set {VARIABLE} to one that may."
        ) from error


class Library:
    """The exported functions of one text. Calls release the interpreter's lock while they run."""

    def __init__(self, handle: ctypes.CDLL) -> None:
        self._handle = handle
        self.row_block = int(ctypes.c_int64.in_dll(handle, "cw_row_block").value)
        """Rows of a batch that one tile of a product takes at once: smaller parts than that waste work."""

    def size(self, name: str, *sizes: int) -> int:
        """Call ``int64_t name(int64_t, ...)``."""
        function = self._function(name)
        function.restype = ctypes.c_int64
        return int(function(*map(ctypes.c_int64, sizes)))

    def call(
        self,
        name: str,
        tensors: Sequence[HasPointer | None],
        sizes: Sequence[int],
        *,
        rows: int = 1,
        threads: int = 1,
    ) -> None:
        """Call ``void name(void *const *tensors, const int64_t *sizes, int64_t first, int64_t last)`` for
        rows first to last - 1 of `rows`, split evenly over at most `threads` threads.

        A kernel touches only its own rows (and reads what is shared), so the split changes no result. The
        tensors stay alive until every thread is done. Their types, layouts and lengths are the caller's word:
        C does not check them. None is the null pointer.
        """
        function = self._function(name)
        function.restype = None
        pointers = (ctypes.c_void_p * len(tensors))(*(t if t is None else t.data_ptr() for t in tensors))
        lengths = (ctypes.c_int64 * len(sizes))(*sizes)

        def run(first: int, last: int, _alive: Any = tensors) -> None:
            function(pointers, lengths, ctypes.c_int64(first), ctypes.c_int64(last))

        own, *others = split(rows, self.row_block, threads)
        if not others:
            run(*own)
            return
        pool = _pool(len(others))
        pending = [pool.submit(run, *part) for part in others]
        try:
            run(*own)
        finally:
            wait(pending)
        for future in pending:
            future.result()

    def _function(self, name: str) -> Any:
        try:
            return getattr(self._handle, name)
        except AttributeError:
            raise AttributeError(f"{Path(self._handle._name).name} exports no function {name!r}") from None


def split(rows: int, block: int, threads: int) -> list[tuple[int, int]]:
    """Nearly equal ranges (first, last) that cover `rows`, at most `threads`, none under half a `block`
    unless there is only one: an empty batch is one empty range.

    Not multiples of the block: thirty rows over two threads are better as 15 and 15 than as 18 and 12.
    """
    count = max(1, min(threads, 2 * rows // block))
    bounds = [rows * i // count for i in range(count + 1)]
    return list(pairwise(bounds))


_lock, _load_lock = threading.Lock(), threading.Lock()
_loaded: dict[str, Library] = {}
_executor: ThreadPoolExecutor | None = None
_workers = 0


def _pool(workers: int) -> ThreadPoolExecutor:
    """A pool with at least that many workers, kept between calls."""
    global _executor, _workers
    with _lock:
        if _executor is None or _workers < workers:
            # the smaller one, if any, ends when the calls that hold it do
            _executor = ThreadPoolExecutor(workers, thread_name_prefix="cellwright")
            _workers = workers
        return _executor


def _forget_threads() -> None:
    """A forked child has no threads but its own, and a lock may have been held by one of the others."""
    global _lock, _load_lock, _executor, _workers
    _lock, _load_lock = threading.Lock(), threading.Lock()
    _executor, _workers = None, 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)
