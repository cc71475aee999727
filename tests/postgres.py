"""Run tests against a throwaway PostgreSQL server: python tests/postgres.py [PYTEST OPTIONS].

The server listens on a free local port, keeps its data in a temporary folder, and is gone afterwards,
whatever happens. Its version is what is found: on the PATH, or where Debian's package postgresql puts it.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

URL, CONTROL = "CELLWRIGHT_POSTGRES_URL", "CELLWRIGHT_POSTGRES_CONTROL"
TESTS = ("tests/codegen/study/test_postgres.py",)


def binary(name: str) -> str:
    """Where a program of PostgreSQL is; of several versions, the latest."""
    found = shutil.which(name)
    if found is not None:
        return found
    debian = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4].split(".")[0])
    )
    if not debian:
        sys.exit(f"error: no {name}: install PostgreSQL (on Debian and Ubuntu: apt install postgresql)")
    return str(debian[-1])


def as_user() -> list[str]:
    """How to run a program: the server refuses to be root's."""
    return ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []


def free_port() -> int:
    """One that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server() -> Iterator[dict[str, str]]:
    """A running server; its URL and the command that controls it, as environment variables."""
    directory = Path(tempfile.mkdtemp(prefix="cellwright-postgres-"))
    try:
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(directory, account.pw_uid, account.pw_gid)
        data, log, port = directory / "data", directory / "log", free_port()
        run([binary("initdb"), "-D", data, "-U", "cellwright", "--auth=trust", "--no-sync"], directory)
        # Without fsync it is fast, and safe from all but the machine's own end.
        options = f"-p {port} -h 127.0.0.1 -k {directory} -c fsync=off -c timezone=UTC"
        control = [binary("pg_ctl"), "-D", data, "-l", log, "-o", options, "-w"]
        run([*control, "start"], directory)
        try:
            url = f"postgresql://cellwright@127.0.0.1:{port}/postgres"
            yield {URL: url, CONTROL: shlex.join([*as_user(), *map(str, control)])}
        finally:
            run([*control, "-m", "immediate", "stop"], directory)
    finally:
        shutil.rmtree(directory)


def run(command: Sequence[object], directory: Path) -> None:
    """Run a program of PostgreSQL; shows what it said if it fails."""
    done = subprocess.run(
        [*as_user(), *map(str, command)],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        print(f"{shlex.join(map(str, command))} failed:\n{done.stdout}", file=sys.stderr)
        done.check_returncode()


def main(arguments: Sequence[str]) -> int:
    """Start a server, run the tests with these options of pytest, remove the server; pytest's exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is to be removed is removed
    with server() as variables:
        command = [sys.executable, "-m", "pytest", *TESTS, *arguments]
        return subprocess.run(command, env=os.environ | variables, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
