"""The C texts under the address and undefined-behaviour sanitizers, and beside pages that may not be touched.

A program of its own, in a process of its own: the sanitizer must come first in a process, and Python's own
memory would hide what it finds.
"""

import subprocess
from pathlib import Path

import pytest

from codegen.errors import CompilationError
from codegen.native.compiler import find_compiler, run
from codegen.native.library import prelude

SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1")
SKIPPED = ("-O3", "-shared", "-fvisibility=hidden")


def _run(folder: Path, before: str, double: bool, *flags: str) -> str:
    program = prelude(double) + Path(__file__).with_name("sanitized.c").read_text()
    source = folder / "program.c"
    source.write_text(before + program)
    compiler = find_compiler()
    kept = [flag for flag in compiler.flags if flag not in SKIPPED]
    run((*compiler.command, *kept, *flags, "-o", str(source.with_suffix("")), str(source)), 120)
    done = subprocess.run([source.with_suffix("")], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[:3000]
    return done.stdout


@pytest.fixture(scope="module")
def sanitizer(tmp_path_factory: pytest.TempPathFactory) -> None:
    source = tmp_path_factory.mktemp("sanitizer") / "empty.c"
    source.write_text("int main(void) { return 0; }")
    program = source.with_suffix("")
    try:
        run((*find_compiler().command, *SANITIZERS, "-o", str(program), str(source)), 60)
        run((str(program),), 60)
    except CompilationError as error:
        pytest.skip(f"no address sanitizer here: {error}")


@pytest.mark.usefixtures("sanitizer")
@pytest.mark.parametrize(("width", "double"), [("", False), ("#define CW_VECTOR_BYTES 16\n", True)])
def test_nothing_beyond_the_arrays(tmp_path: Path, width: str, double: bool) -> None:
    assert "sums are right" in _run(tmp_path, width + "#define PLACE 0\n", double, *SANITIZERS)


@pytest.mark.usefixtures("sanitizer")
def test_the_sanitizer_sees_what_it_should(tmp_path: Path) -> None:
    spoiled = (
        "#define PLACE 0\n#define malloc(size) malloc((size) > 4 ? (size) - 4 : 0)\n#include <stdlib.h>\n"
    )
    with pytest.raises(AssertionError, match="heap-buffer-overflow"):
        _run(
            tmp_path, spoiled.replace("#include <stdlib.h>\n", ""), False, *SANITIZERS, "-include", "stdlib.h"
        )


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("place", [1, 2])
def test_masked_instructions_stay_inside(tmp_path: Path, place: int, double: bool) -> None:
    assert "sums are right" in _run(tmp_path, f"#define PLACE {place}\n", double, "-O2")
