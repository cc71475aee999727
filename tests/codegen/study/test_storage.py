"""The storage: URLs, patience, and what patience cannot mend."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import OperationalError

from codegen.errors import ConfigError
from codegen.study.storage import Storage, StorageError


def failing(message: str, times: int) -> tuple[list[int], object]:
    """An action that raises as Optuna does for SQLite, some times, and then answers 7."""
    calls: list[int] = []

    def action() -> int:
        calls.append(1)
        if len(calls) <= times:
            cause = OperationalError("UPDATE …", {}, sqlite3.OperationalError(message))
            raise StorageInternalError("An exception is raised during the commit.") from cause
        return 7

    return calls, action


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("study.db", "storage 'study.db' is no URL; expected sqlite:///FILE or postgresql://"),
        ("sqlite://", "names no file; expected sqlite:///FILE"),
        ("mysql://root:secret@host/db", "storage .* is for mysql; expected"),
        ("postgresql://user:secret@host", "names no database"),
    ],
)
def test_urls(url: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as caught:
        Storage(url)
    assert "secret" not in str(caught.value)


def test_a_database_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database, however long it is\n" * 99)
    with pytest.raises(StorageError, match=r"cannot open sqlite:///.*text\.db: file is not a database"):
        Storage(f"sqlite:///{tmp_path}/text.db")
    (tmp_path / "file").write_text("")
    with pytest.raises(
        StorageError, match=r"cannot open .*/file/study\.db: .*[Nn]ot a directory|File exists"
    ):
        Storage(f"sqlite:///{tmp_path}/file/study.db")


def test_busy_is_waited_for_and_full_is_not(tmp_path: Path) -> None:
    with Storage(f"sqlite:///{tmp_path}/study.db") as storage:
        calls, action = failing("database is locked", 2)
        assert storage.persistently(action) == 7  # type: ignore[arg-type]
        assert len(calls) == 3
        calls, action = failing("database or disk is full", 2)
        with pytest.raises(StorageError, match=r"does not take it: database or disk is full$"):
            storage.persistently(action)  # type: ignore[arg-type]
        assert len(calls) == 1
        assert not storage.attempt(failing("database or disk is full", 1)[1])  # type: ignore[arg-type]
        assert storage.attempt(failing("", 0)[1])  # type: ignore[arg-type]


def test_a_lost_server_is_told_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Storage(f"sqlite:///{tmp_path}/study.db") as storage:
        monkeypatch.setattr(Storage, "_is_sqlite", False)
        monkeypatch.setattr(time, "sleep", lambda seconds: None)
        calls, action = failing("connection refused", 5)
        assert storage.persistently(action) == 7  # type: ignore[arg-type]
        assert len(calls) == 6
        lost, back = capsys.readouterr().err.splitlines()
        assert "does not answer (connection refused); the work goes on" in lost
        assert back.endswith("answers again")


def test_a_server_with_a_full_disk_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """psycopg counts it among the errors that mostly go away."""
    psycopg = pytest.importorskip("psycopg")

    def action() -> None:
        full = psycopg.errors.DiskFull("could not extend file: No space left on device")
        assert isinstance(full, psycopg.OperationalError)
        raise StorageInternalError("commit") from OperationalError("UPDATE …", {}, full)

    def no_pause(seconds: float) -> None:
        pytest.fail("it is tried again")

    with Storage(f"sqlite:///{tmp_path}/study.db") as storage:
        monkeypatch.setattr(Storage, "_is_sqlite", False)
        monkeypatch.setattr(time, "sleep", no_pause)
        with pytest.raises(StorageError, match=r"does not take it: could not extend file: No space left"):
            storage.persistently(action)


@pytest.mark.slow
def test_one_at_a_time_and_free_when_the_holder_is_killed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    hold = (
        "import sys, time; from codegen.study.storage import Storage\n"
        "with Storage(sys.argv[1]) as storage, storage.exclusive('x'):\n"
        "    print('held', flush=True); time.sleep(99)"
    )
    holder = subprocess.Popen([sys.executable, "-c", hold, url], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    with holder:
        assert holder.stdout.readline() == "held\n"
        other = subprocess.Popen(
            [sys.executable, "-c", hold.replace("99", "0"), url], stdout=subprocess.PIPE, text=True
        )
        with other:
            time.sleep(0.5)
            assert other.poll() is None
            holder.kill()
            assert other.communicate()[0] == "held\n"
