"""Folders for libraries: which, and when not."""

import os
import time
from pathlib import Path

import pytest

from codegen.native.cache import cache_folder, is_whole, seal, workshop


def test_order_of_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("CELLWRIGHT_CACHE", str(tmp_path / "named"))
    assert cache_folder().folder == tmp_path / "named"
    monkeypatch.delenv("CELLWRIGHT_CACHE")
    assert cache_folder().folder == tmp_path / "xdg" / "cellwright"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    kept = cache_folder()
    assert kept.folder == tmp_path / "home" / ".cache" / "cellwright"
    assert kept.lasting
    assert kept.folder.stat().st_mode & 0o777 == 0o700


def test_unwritable_folder_is_replaced_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CELLWRIGHT_CACHE", str(tmp_path / "file" / "below"))
    kept = cache_folder()
    assert not kept.lasting
    assert kept.folder.is_dir()
    assert kept.folder.stat().st_mode & 0o777 == 0o700
    assert "for this process only" in kept.why
    assert "Not a directory" in kept.why
    assert cache_folder() == kept, "one a process"


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_folder_that_others_can_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(mode)
    monkeypatch.setenv("CELLWRIGHT_CACHE", str(folder))
    kept = cache_folder()
    assert kept.folder != folder
    assert "can be written by others" in kept.why


def test_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLWRIGHT_CACHE", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    assert "another user" in cache_folder().why


def test_seal_finds_every_change(tmp_path: Path) -> None:
    library = tmp_path / "library.so"
    assert not is_whole(library)
    library.write_bytes(bytes(range(256)) * 20)
    assert not is_whole(library)
    seal(library)
    library.chmod(0o700)
    whole = library.read_bytes()
    assert is_whole(library)
    for spoiled in (whole[:-1], whole[: len(whole) // 2], b"", b"\x01" + whole[1:], whole + b"\n"):
        library.write_bytes(spoiled)
        assert not is_whole(library)
    library.write_bytes(whole)
    library.chmod(0o722)
    assert not is_whole(library)


def test_workshop_is_private_and_cleans_up(tmp_path: Path) -> None:
    old, young = tmp_path / ".build-old", tmp_path / ".build-young"
    old.mkdir()
    young.mkdir()
    os.utime(old, (time.time() - 90_000,) * 2)

    def fail() -> None:
        with workshop(tmp_path) as place:
            assert place.stat().st_mode & 0o777 == 0o700
            (place / "source.c").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == [young], "what a killed process left goes, what another may use stays"
