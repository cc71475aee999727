"""Files that are either whole or absent, whatever kills the process."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def write_atomic(path: Path, data: bytes) -> None:
    """Put `data` at `path` so that every reader sees the old file or the new one, never a part.

    The bytes go to a hidden file beside `path`, reach the disk (fsync), and then take the name
    (`os.replace`, atomic within one file system). The hidden name is fixed, so that what a killed
    process left behind is overwritten by the next write instead of piling up.

    Raises:
        OSError: the directory is missing or read-only, or the disk is full; `path` is then untouched.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such folder to write to", str(path.parent))
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    """Make a rename itself durable; only POSIX can open a directory for that."""
    if os.name != "posix":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
