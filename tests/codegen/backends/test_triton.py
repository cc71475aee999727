"""What the triton backend says of itself, and its text; what it computes is in ``tests/codegen/triton``."""

import importlib.util
import sys

import pytest

import codegen
from codegen.backends import backend, triton
from codegen.backends.base import Use
from derive import cell
from derive.catalogue import published

BACKEND = triton.BACKEND
GPU = Use("cuda", "float32", 64)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """A machine with triton, and with a GPU or without; the interpreter is off."""
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)

    def with_gpu(there: bool) -> None:
        monkeypatch.setattr(triton, "_cuda", lambda: there)

    return with_gpu


def test_it_runs_where_there_is_a_gpu_or_the_interpreter(machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(True)
    assert str(BACKEND.availability()).startswith("runs here: ")
    machine(False)
    assert str(BACKEND.availability()) == "cannot run here: no CUDA GPU"
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert str(BACKEND.availability()).startswith("runs here: in Triton's interpreter")


@pytest.mark.parametrize("missing", ["torch", "triton"])
def test_it_says_what_is_not_installed(machine, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else name)
    assert f"{missing} is not installed" in str(BACKEND.availability())


def test_it_refuses_types_and_devices_with_the_reason(machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(True)
    gru = cell("gru")
    assert BACKEND.refusal(gru) is None
    assert BACKEND.refusal(gru, GPU) is None
    assert BACKEND.refusal(gru, Use("cuda", "bfloat16", 64)) is None
    for dtype in ("float64", "float16"):
        expected = f"its kernels compute in float32 and bfloat16, not {dtype}"
        assert BACKEND.refusal(gru, Use("cuda", dtype, 64)) == expected
    assert BACKEND.refusal(gru, Use("cpu")) == "its kernels run on CUDA GPUs, not on cpu"
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert BACKEND.refusal(gru, Use("cpu")) is None


def test_auto_prefers_it_on_a_gpu_and_never_in_the_interpreter(
    machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(True)
    gru, others = cell("gru"), [backend(n) for n in ("eager", "fused")]
    assert all(BACKEND.preference(gru, GPU) > other.preference(gru, GPU) for other in others)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    for use in (GPU, Use()):
        assert all(BACKEND.preference(gru, use) < other.preference(gru, use) for other in others)


def test_it_says_which_kernels_a_size_gets() -> None:
    lstm = cell("lstm")
    assert BACKEND.how(lstm, GPU) == (
        "one kernel for all steps where there are 80 KiB of shared memory for the matrices, else kernels "
        "between batched products under a CUDA graph"
    )
    larger = BACKEND.how(lstm, Use("cuda", "float32", 512))
    assert larger.startswith(
        "kernels between batched products under a CUDA graph: the matrices would take 4224 KiB"
    )
    assert "if TF32 is allowed" in BACKEND.how(cell("vanilla"), Use("cuda", "float32", 128))
    assert "144 KiB" in BACKEND.how(lstm, Use("cuda", "bfloat16", 128))


@pytest.mark.parametrize("name", published())
def test_a_file_stands_alone(name: str) -> None:
    """Python that needs torch and triton, and nothing of this project."""
    source = codegen.emit(name, backend="triton")
    compile(source, name, "exec")
    lines = [line.split()[1] for line in source.splitlines() if line.startswith(("import ", "from "))]
    roots = {line.partition(".")[0] for line in lines}
    assert roots - set(sys.stdlib_module_names) == {"torch", "triton"}
    assert "needs\ntorch and triton" in source or "needs torch and triton" in source
