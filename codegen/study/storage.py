"""The database of a study: SQLite in a file, or a PostgreSQL server that several machines share.

Optuna keeps the trials; what is added here is a lock on the whole study, patience with a lost connection, and
one clear error for what patience cannot mend.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from codegen.errors import ConfigError, Stopped

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from sqlalchemy import URL, Engine

Result = TypeVar("Result")

HEARTBEAT, GRACE = 15, 120  # seconds
_LONGEST_PAUSE = 15.0
_LOCK_LIMIT = 60  # seconds
_DISK_FULL = "53100"  # SQLSTATE


class StorageError(Stopped):
    """The storage of a study does not answer, or is full: the work cannot go on now, and can later."""


class Storage:
    """An open storage; a context manager.

    Args:
        url: `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/DATABASE`.
        heartbeat: seconds from one sign of life of a running trial to the next.
        grace: seconds without one after which its worker counts as dead.

    Raises:
        ConfigError: the URL is none of these, or a package is missing.
        StorageError: the database cannot be opened.
    """

    def __init__(self, url: str, *, heartbeat: int = HEARTBEAT, grace: int = GRACE) -> None:
        self._url = _parse(url)
        self.url = self._url.render_as_string(hide_password=False)
        self.heartbeat, self.grace = heartbeat, grace
        self._silent = False
        self._answered = self._listening_since = -math.inf
        try:
            with self.exclusive("tables"):  # two that create them at once are in each other's way
                self.optuna = self._open()
        except _database_errors() as error:
            raise StorageError(f"cannot open {self}: {_reason(error)}") from error
        except OSError as error:
            raise StorageError(f"cannot open {self}: {error}") from error

    def __str__(self) -> str:
        return self._url.render_as_string(hide_password=True)

    def __enter__(self) -> Storage:
        return self

    def __exit__(self, *error: object) -> None:
        self.optuna.remove_session()
        self.optuna.engine.dispose()

    def _open(self) -> RDBStorage:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*heartbeat_interval", optuna.exceptions.ExperimentalWarning)
            return optuna.storages.RDBStorage(
                self.url,
                engine_kwargs=_engine_options(self._url),
                heartbeat_interval=self.heartbeat,
                grace_period=self.grace,
            )

    @contextlib.contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        """Hold the lock `name`, which one process at a time has, on whatever machine.

        The kernel or the server frees it when its holder dies. It is for moments: PostgreSQL takes it away
        from a holder that hangs for a minute, so that what is done under it must be right, if not tidy, even
        when another does the same.
        """
        lock = self._file_lock() if self._is_sqlite else self._server_lock(name)
        with lock:
            yield

    @property
    def _is_sqlite(self) -> bool:
        return self._url.get_backend_name() == "sqlite"

    @contextlib.contextmanager
    def _file_lock(self) -> Iterator[None]:
        database = Path(str(self._url.database))
        database.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(f"{database}.lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _server_lock(self, name: str) -> Iterator[None]:
        from sqlalchemy import text

        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
        engine = self._lock_engine()
        with engine.connect() as connection, connection.begin():
            limit = f"SET LOCAL idle_in_transaction_session_timeout = '{_LOCK_LIMIT}s'"
            connection.execute(text(limit))
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})
            yield

    def _lock_engine(self) -> Engine:
        """A connection of its own each time: a lock must not wait for the pool that its holder uses."""
        from sqlalchemy import NullPool, create_engine

        options = {key: value for key, value in _engine_options(self._url).items() if key == "connect_args"}
        return create_engine(self.url, poolclass=NullPool, **options)

    def persistently(self, action: Callable[[], Result]) -> Result:
        """The result of `action`, which is repeated until the database answers; it must bear repetition.

        Raises:
            StorageError: the disk is full, or the database refuses for another reason than being away.
        """
        pause = 0.1
        while True:
            try:
                result = action()
            except _database_errors() as error:
                if not self._passes(error):
                    raise StorageError(f"{self} does not take it: {_reason(error)}") from error
                self._tell_silence(error)
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                self._tell_answer()
                return result

    def attempt(self, action: Callable[[], object]) -> bool:
        """Do `action` once; whether the database took it."""
        try:
            action()
        except _database_errors() as error:
            self._tell_silence(error)
            return False
        self._tell_answer()
        return True

    def silent_trials(self, study_id: int) -> set[int]:
        """The ids of Optuna's running trials that gave no sign of life for the grace.

        None until the database has answered this process all through the grace, but for gaps of less than
        two heartbeats. What makes a longer gap (an outage, a suspend) may silence the living as well, and
        they are given time to be heard again; so they are when this process begins.
        """
        self._hear()
        if time.time() - self._listening_since < self.grace:
            return set()
        return set(self.optuna._get_stale_trial_ids(study_id))

    def _hear(self) -> None:
        """The database answers. The clock is one that goes on while the machine is suspended."""
        now = time.time()
        if abs(now - self._answered) > 2 * self.heartbeat:
            self._listening_since = now
        self._answered = now

    def _passes(self, error: BaseException) -> bool:
        """Whether it is the kind of error that goes away: a busy file, a server that cannot be reached."""
        from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

        cause = _database_cause(error)
        if self._is_sqlite:
            return "locked" in str(cause)
        if isinstance(cause, DBAPIError) and getattr(cause.orig, "sqlstate", None) == _DISK_FULL:
            return False  # an OperationalError, like a server that is away
        return isinstance(cause, OperationalError | InterfaceError) or (
            isinstance(cause, DBAPIError) and cause.connection_invalidated
        )

    def _tell_silence(self, error: BaseException) -> None:
        if not self._silent and not self._is_sqlite:  # a file is busy for moments
            _say(f"{self} does not answer ({_reason(error)}); the work goes on, and it is tried again")
            self._silent = True

    def _tell_answer(self) -> None:
        self._hear()
        if self._silent:
            _say(f"{self} answers again")
            self._silent = False


def _say(what: str) -> None:
    print(f"cellwright: {what}", file=sys.stderr, flush=True)


def _parse(url: str) -> URL:
    _require_packages()
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    expected = "expected sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE"
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigError(f"storage {url!r} is no URL; {expected}") from error
    backend = parsed.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise ConfigError(f"storage {parsed.render_as_string()!r} is for {backend}; {expected}")
    if not parsed.database or parsed.database == ":memory:":
        kind = "file" if backend == "sqlite" else "database"
        raise ConfigError(f"storage {parsed.render_as_string()!r} names no {kind}; {expected}")
    if backend == "sqlite":
        return parsed.set(database=str(Path(parsed.database).absolute()))
    _require("psycopg")
    return parsed.set(drivername="postgresql+psycopg")


def _engine_options(url: URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": 60}}
    # A server that vanished without a word is noticed within a minute, not after the kernel's two hours.
    alive = {"keepalives_idle": 20, "keepalives_interval": 10, "keepalives_count": 3}
    patience = {"connect_timeout": 10, "tcp_user_timeout": 60_000}
    return {"pool_pre_ping": True, "connect_args": alive | patience}


def _require_packages() -> None:
    for package in ("optuna", "sqlalchemy"):
        _require(package)


def _require(package: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise ConfigError(f"a study needs the package {package}: pip install 'cellwright[study]'")


def _database_errors() -> tuple[type[Exception], ...]:
    """What a database makes Optuna raise."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    return StorageInternalError, SQLAlchemyError


def _database_cause(error: BaseException) -> BaseException:
    """Optuna's own error says less than the one that it wraps."""
    from optuna.exceptions import StorageInternalError

    while isinstance(error, StorageInternalError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _reason(error: BaseException) -> str:
    """The driver's own words, on one line; SQLAlchemy adds the statement and a link."""
    cause = _database_cause(error)
    return " ".join(str(getattr(cause, "orig", None) or cause).split())
