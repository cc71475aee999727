"""Where trials are trained: a folder for each, locked by whoever trains in it, and how a place is known."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import socket
from pathlib import Path

from codegen.study.protocol import Options, trial_key

_BOOT = Path("/proc/sys/kernel/random/boot_id")  # Linux


def run_name(options: Options) -> str:
    """The folder of a trial within its study's: readable, and apart for options that read alike."""
    readable = "-".join(str(value) for value in options.values())
    digest = hashlib.sha256(trial_key(options).encode()).hexdigest()[:8]
    return f"trials/{re.sub(r'[^A-Za-z0-9._-]+', '_', readable)}-{digest}"


def place(directory: Path) -> str:
    """A name for this folder on this machine since its start, equal for all processes that share its locks.

    Two that name the same place can see by a lock whether the other lives. The same disk seen from two
    machines is two places.
    """
    boot = _BOOT.read_text().strip() if _BOOT.exists() else ""
    status = directory.stat()
    return f"{socket.gethostname()} {boot} {status.st_dev} {status.st_ino}"


class RunLock:
    """A run directory that is ours until `release`, or until this process ends in whatever way."""

    def __init__(self, directory: Path, descriptor: int) -> None:
        self.directory = directory
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, directory: Path) -> RunLock | None:
        """Lock the folder, which is made if need be; None if somebody has it."""
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return cls(directory, descriptor)

    def release(self) -> None:
        """Let others have it; again is without effect."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
