"""The kernels' values and gradients, on the CPU: ``in_interpreter.py`` in a process of its own."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
@pytest.mark.parametrize(
    ("file", "interpret"),
    [pytest.param("in_interpreter.py", "1", marks=pytest.mark.slow), ("in_compiler.py", "0")],
)
def test_in_a_process_of_its_own(file: str, interpret: str, tmp_path: Path) -> None:
    """The interpreter is chosen when triton is imported, and the compiler likewise."""
    environment = os.environ | {"TRITON_INTERPRET": interpret, "TRITON_CACHE_DIR": str(tmp_path)}
    environment.pop("PYTEST_ADDOPTS", None)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        str(HERE / file),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=HERE)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
