"""Where compiled libraries are kept: a private folder of the user, or of the process where there is none."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

VARIABLE = "CELLWRIGHT_CACHE"
_MARK = b"\ncellwright sha256 "
_FORGOTTEN_AFTER = 24 * 3600.0
"""Seconds after which an unfinished build belongs to a process that was killed."""


@dataclass(frozen=True)
class Cache:
    """A folder that only this user can write to, and why it is that one."""

    folder: Path
    why: str
    lasting: bool

    def __str__(self) -> str:
        return f"libraries are kept in {self.folder} ({self.why})"


def cache_folder() -> Cache:
    """The first that can be used of ``CELLWRIGHT_CACHE``, ``XDG_CACHE_HOME/cellwright`` and
    ``~/.cache/cellwright``; else a temporary folder of this process, whose ``why`` says what was wrong."""
    named = os.environ.get(VARIABLE)
    if named:
        folder, why = Path(named).expanduser(), f"named by {VARIABLE}"
    else:
        base = os.environ.get("XDG_CACHE_HOME", "")
        try:
            home = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
        except RuntimeError:  # no home folder
            return _temporary(f"there is no home folder; set {VARIABLE} to keep them")
        folder, why = home / "cellwright", "the user's cache"
    folder = folder.absolute()
    reason = _unfit(folder)
    if reason is None:
        return Cache(folder, why, lasting=True)
    return _temporary(f"for this process only: {folder} {reason}")


def _unfit(folder: Path) -> str | None:
    """Why libraries must not or cannot be kept in `folder`, which is made if need be; None if they can."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError as error:
        return f"cannot be made: {error.strerror or error}"
    if status.st_uid != os.geteuid():
        return "belongs to another user, who could change what is loaded"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "can be written by others, who could change what is loaded; chmod 700 mends that"
    if not os.access(folder, os.W_OK | os.X_OK):
        return "cannot be written"
    return None


def _temporary(why: str) -> Cache:
    return Cache(_temporary_folder(os.getpid()), why, lasting=False)


@cache
def _temporary_folder(process: int) -> Path:
    """One a process: a forked child must not remove its parent's."""
    folder = Path(tempfile.mkdtemp(prefix="cellwright-"))

    def remove() -> None:
        if os.getpid() == process:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


def seal(library: Path) -> None:
    """Append a checksum, which loaders ignore: mapping a file that lacks its end kills the process."""
    with library.open("r+b") as file:
        digest = hashlib.sha256(file.read()).hexdigest().encode()
        file.write(_MARK + digest)
        file.flush()
        os.fsync(file.fileno())


def is_whole(library: Path) -> bool:
    """Whether `library` is there, sealed, unchanged since, and not writable by others."""
    try:
        status = library.stat()
        content = library.read_bytes()
    except OSError:
        return False
    body, mark, digest = content.rpartition(_MARK)
    return (
        bool(mark)
        and hashlib.sha256(body).hexdigest().encode() == digest
        and status.st_uid == os.geteuid()
        and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    )


@contextlib.contextmanager
def workshop(folder: Path) -> Iterator[Path]:
    """A private folder inside `folder` to build in: on the same file system, so results can be renamed."""
    for left in folder.glob(".build-*"):
        with contextlib.suppress(OSError):  # another process may be removing it
            if time.time() - left.stat().st_mtime > _FORGOTTEN_AFTER:
                shutil.rmtree(left, ignore_errors=True)
    place = Path(tempfile.mkdtemp(prefix=".build-", dir=folder))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
