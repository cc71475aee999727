"""Finding and running compilers: good, broken, hung, absent; two processes at once."""

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from codegen.errors import CompilationError
from codegen.native import compiler
from codegen.native.compiler import availability, build, find_compiler, run
from codegen.native.library import load, prelude

TEXT = """#include <stdint.h>
__attribute__((visibility("default"))) const int64_t cw_row_block = 6;
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("CELLWRIGHT_CACHE", str(folder))
    return folder


def _program(folder: Path, script: str) -> str:
    path = folder / "compiler"
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)
    return str(path)


def _library(name: str = "") -> str:
    return TEXT + f"/* {name} */\n"


def test_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    told = availability()
    assert not told
    assert "cc, gcc, clang are not on PATH and CC is not set" in str(told)
    with pytest.raises(CompilationError, match="install gcc or clang"):
        build(_library())


def test_compiler_named_by_cc_is_never_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -m64")
    assert "CC names 'no-such-compiler', which is not found" in str(availability())
    monkeypatch.setenv("CC", "unbalanced '")
    assert "is no command" in str(availability())


def test_broken_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = 'case "$1" in --version) echo broken 1.0;; *) echo "internal error: line 1" >&2; exit 4;; esac\n'
    monkeypatch.setenv("CC", _program(tmp_path, script))
    told = str(availability())
    assert "the compiler that CC names does not work: exit status 4" in told
    assert "internal error: line 1" in told


def test_flag_that_is_not_accepted(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = find_compiler().command[0]
    refusing = f'for a in "$@"; do [ "$a" = -march=native ] && exit 1; done; exec {real} "$@"\n'
    monkeypatch.setenv("CC", _program(tmp_path, refusing))
    assert "without -march=native" in str(availability())
    assert load(_library("plain")).row_block == 6


def test_errors_show_the_command_and_the_first_lines(cache: Path) -> None:
    with pytest.raises(CompilationError) as caught:
        build("\n".join(f"wrong{i} x;" for i in range(40)))
    message = str(caught.value)
    assert "-march=native" in message or "-O3" in message
    assert "unknown type name" in message
    assert "wrong0" in message
    assert "more lines" in message
    assert len(message.splitlines()) < 30
    assert not list(cache.iterdir()), "nothing is left of a failure"


def test_hung_compiler_is_stopped_with_its_children(tmp_path: Path) -> None:
    script = f"sleep 60 & echo $! > {tmp_path}/child; wait\n"
    started = time.monotonic()
    with pytest.raises(CompilationError, match=r"stopped after 0\.5 s"):
        run((_program(tmp_path, script),), 0.5)
    assert time.monotonic() - started < 20
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        try:
            state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "Z":  # stopped, and not yet collected by its new parent
            return
        time.sleep(0.02)
    pytest.fail("the compiler's child still runs")


def test_built_once(cache: Path) -> None:
    path = build(_library())
    assert path.parent == cache
    assert {p.suffix for p in cache.iterdir()} == {".so", ".c"}
    assert path.with_suffix(".c").read_text() == _library()
    before = path.stat().st_mtime_ns
    assert build(_library()) == path
    assert path.stat().st_mtime_ns == before
    assert build(_library("another")) != path


def test_name_depends_on_processor_and_compiler(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = {build(_library())}
    with monkeypatch.context() as patch:
        patch.setattr(compiler, "processor", lambda: "another")
        paths.add(build(_library()))
    with monkeypatch.context() as patch:
        patch.setenv("CC", f"{find_compiler().command[0]} -O2")
        paths.add(build(_library()))
    assert len(paths) == 3


@pytest.mark.parametrize(
    "spoil", [lambda b: b[:2000], lambda b: b"", lambda b: b[:100] + b"\0" * 100 + b[200:]]
)
def test_spoiled_library_is_built_again(cache: Path, spoil: object) -> None:
    path = build(_library("spoiled"))
    good = path.read_bytes()
    path.write_bytes(spoil(good))  # type: ignore[operator]
    assert load(_library("spoiled") + f"// {id(spoil)}").row_block == 6
    assert build(_library("spoiled")) == path
    assert path.read_bytes() == good


def _build_at(moment: float, results: "multiprocessing.SimpleQueue[object]") -> None:
    time.sleep(max(0.0, moment - time.time()))
    library = load(prelude(False) + "/* two at once */")
    results.put((os.getpid(), library.row_block))


def test_two_processes_at_once(cache: Path) -> None:
    find_compiler()
    context = multiprocessing.get_context("fork")
    results: multiprocessing.SimpleQueue[object] = context.SimpleQueue()
    moment = time.time() + 0.3
    workers = [context.Process(target=_build_at, args=(moment, results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    (first, block), (second, other) = results.get(), results.get()  # type: ignore[misc]
    assert first != second
    assert block == other > 0
    assert sorted(p.suffix for p in cache.iterdir()) == [".c", ".so"], "one library, nothing left over"


def test_unwritable_cache_still_builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CELLWRIGHT_CACHE", str(tmp_path / "file" / "below"))
    assert load(_library("unwritable")).row_block == 6
    assert "for this process only" in str(availability())


def test_compiles_in_seconds(cache: Path) -> None:
    find_compiler()
    fastest = 99.0
    for attempt in range(3):
        started = time.perf_counter()
        build(prelude(False) + f"/* {attempt} */")
        fastest = min(fastest, time.perf_counter() - started)
    assert fastest < 5
