"""Ctrl-C between two steps, not in the middle of one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Within the block, the first Ctrl-C is only noted: the function yielded tells whether there was one.

    The second raises KeyboardInterrupt at once. Where Ctrl-C does not mean KeyboardInterrupt to begin with
    (another thread, a handler of the caller's, a job in the background), nothing changes.
    """
    noted = threading.Event()
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield noted.is_set
        return

    def note(signum: int, frame: FrameType | None) -> None:
        if noted.is_set():
            signal.default_int_handler(signum, frame)
        noted.set()

    signal.signal(signal.SIGINT, note)
    try:
        yield noted.is_set
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
