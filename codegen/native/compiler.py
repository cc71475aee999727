"""The system's C compiler: found, tried once, and run so that its results can be shared by processes."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from codegen.backends.base import Availability
from codegen.errors import CompilationError
from codegen.native.cache import Cache, cache_folder, is_whole, seal, workshop

CANDIDATES = ("cc", "gcc", "clang")
FLAGS = (
    "-std=gnu11",
    "-O3",
    "-ffp-contract=fast",  # fused multiply-add; unlike with -ffast-math, infinities and NaN stay right
    "-fno-math-errno",  # sqrt is an instruction
    "-fno-trapping-math",  # branches become selections
    "-fPIC",
    "-shared",
    "-fvisibility=hidden",
    "-Wno-psabi",  # a note that -w does not silence; vectors stay inside one library
    "-w",  # the text is generated: its warnings are for tests, not for users
)
NATIVE = "-march=native"
TIMEOUT = 120.0
"""Seconds a compiler may take: a hundred times what a kernel needs, so that only a hung one reaches it."""
_SHOWN_LINES = 20
_PROBE = """
#if !defined(__GNUC__)
#error "neither GCC nor Clang"
#endif
typedef float vec __attribute__((vector_size(16)));
__attribute__((visibility("default"))) void probe(vec *x) { *x = *x * *x + 1; }
"""
_CPU_LINES = (
    *("vendor_id", "cpu family", "model", "model name", "stepping", "flags"),
    *("Features", "CPU implementer", "CPU architecture", "CPU variant", "CPU part"),
)


@dataclass(frozen=True)
class Compiler:
    """A C compiler that has compiled a probe, with the flags it accepted."""

    command: tuple[str, ...]
    version: str
    flags: tuple[str, ...]

    def __str__(self) -> str:
        tuned = "" if NATIVE in self.flags else f", without {NATIVE}, which it does not accept"
        return f"{shlex.join(self.command)}: {self.version}{tuned}"


def find_compiler() -> Compiler:
    """The compiler named by ``CC``, or else the first of cc, gcc and clang; asked once a process and setting.

    One that ``CC`` names is used or refused, never replaced.

    Raises:
        CompilationError: there is none, or none that compiles the probe; the message says what was tried.
    """
    found = _find(os.environ.get("CC", "").strip(), os.environ.get("PATH", ""))
    if isinstance(found, str):
        raise CompilationError(found)
    return found


def availability() -> Availability:
    """Whether C can be compiled here, with which compiler and where libraries are kept, or why not."""
    try:
        compiler = find_compiler()
    except CompilationError as error:
        return Availability(False, str(error))
    return Availability(True, f"{compiler}; {cache_folder()}")


@cache
def _find(named: str, path: str) -> Compiler | str:
    """A compiler, or the reason why there is none."""
    if os.name != "posix":
        return f"compiled kernels need a POSIX system, and this is {sys.platform}"
    if named:
        try:
            command = shlex.split(named)
        except ValueError as error:
            return f"the environment variable CC, {named!r}, is no command: {error}"
        if shutil.which(command[0], path=path) is None:
            return (
                f"the environment variable CC names {command[0]!r}, which is not found; unset it or mend it"
            )
        found = _try(tuple(command))
        return found if isinstance(found, Compiler) else f"the compiler that CC names does not work: {found}"
    reasons = []
    for candidate in CANDIDATES:
        if (program := shutil.which(candidate, path=path)) is None:
            continue
        found = _try((program,))
        if isinstance(found, Compiler):
            return found
        reasons.append(found)
    if reasons:
        return "no C compiler works: " + "; ".join(reasons)
    return (
        f"no C compiler: {', '.join(CANDIDATES)} are not on PATH and CC is not set; "
        "install gcc or clang, or set CC"
    )


def _try(command: tuple[str, ...]) -> Compiler | str:
    try:
        version = run((*command, "--version"), TIMEOUT).splitlines() or ["unknown version"]
        reason = ""
        with tempfile.TemporaryDirectory(prefix="cellwright-probe-") as name:
            source = Path(name, "probe.c")
            source.write_text(_PROBE, encoding="utf-8")
            for flags in ((*FLAGS, NATIVE), FLAGS):
                try:
                    run((*command, *flags, "-o", str(source.with_suffix(".so")), str(source)), TIMEOUT)
                except CompilationError as error:
                    reason = str(error)
                else:
                    return Compiler(command, version[0], flags)
        return reason
    except CompilationError as error:
        return str(error)
    except OSError as error:
        return f"no temporary folder to try {shlex.join(command)} in: {error}"


def run(command: tuple[str, ...], timeout: float, temporary: Path | None = None) -> str:
    """The standard output of a command; it and what it started are stopped after `timeout` seconds.

    Raises:
        CompilationError: it cannot be started, fails or is stopped; the message shows the command and the
            first lines it wrote.
    """
    environment = {**os.environ, "LC_ALL": "C"}
    if temporary is not None:
        environment["TMPDIR"] = str(temporary)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # a group of its own: the driver's children are stopped with it
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise CompilationError(f"cannot run {command[0]}: {error.strerror or error}") from error
    try:
        output, messages = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        _stop(process)
        raise CompilationError(
            f"stopped after {timeout:g} s, in which it did not finish: {shlex.join(command)}"
        ) from None
    except BaseException:
        _stop(process)
        raise
    if process.returncode:
        lines = (messages or output).strip().splitlines()
        shown = "\n".join(f"  {line}" for line in lines[:_SHOWN_LINES])
        more = f"\n  ({len(lines) - _SHOWN_LINES} more lines)" if len(lines) > _SHOWN_LINES else ""
        raise CompilationError(f"exit status {process.returncode} of {shlex.join(command)}\n{shown}{more}")
    return output


def _stop(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def build(text: str, *, timeout: float = TIMEOUT, again: bool = False) -> Path:
    """The shared library of a C text, compiled unless the cache has it (``again`` compiles it anyway).

    The name is a hash of the text, the compiler's version and flags, and the processor, because
    ``-march=native`` code runs only where its instructions exist. The library takes its name when it is
    whole, so processes that build it at once each get one that works.

    Raises:
        CompilationError: no compiler, a text it refuses, or no place to write.
    """
    compiler = find_compiler()
    kept = cache_folder()
    path = kept.folder / f"{_key(text, compiler)}.so"
    if not again and is_whole(path):
        return path
    _compile(text, compiler, kept, path, timeout)
    return path


def _compile(text: str, compiler: Compiler, kept: Cache, path: Path, timeout: float) -> None:
    try:
        with workshop(kept.folder) as place:
            source, library = place / path.with_suffix(".c").name, place / path.name
            source.write_text(text, encoding="utf-8")
            command = (*compiler.command, *compiler.flags, "-o", str(library), str(source))
            run(command, timeout, temporary=place)
            library.chmod(0o700)
            seal(library)
            os.replace(source, path.with_suffix(".c"))  # for whoever wants to read what runs
            os.replace(library, path)
    except OSError as error:
        raise CompilationError(f"cannot write a library to {kept.folder}: {error}") from error


def _key(text: str, compiler: Compiler) -> str:
    parts = (text, *compiler.command, compiler.version, *compiler.flags, processor())
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode())
    return digest.hexdigest()[:40]


@cache
def processor() -> str:
    """What tells processors apart that run different instructions, as far as the system says."""
    told = [sys.platform, platform.machine(), platform.processor()]
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # no such file outside Linux
        return "\n".join(told)
    seen = {line for line in lines if line.partition(":")[0].strip() in _CPU_LINES}
    return "\n".join([*told, *sorted(seen)])
