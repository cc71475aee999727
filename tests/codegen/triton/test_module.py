"""The functions around the kernels, without triton: the text at a module's head, on a GPU of cardboard."""

import threading
from collections import OrderedDict
from contextlib import contextmanager, nullcontext
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from codegen.lowering import lower
from codegen.lowering.loop import lower_loop
from codegen.triton.module import HEAD, padded, shared_bytes
from derive import cell


class Pretended:
    """A tensor that says it is on a GPU."""

    is_cuda, shape, dtype, device = True, (2,), torch.float32, "cuda:0"

    def __init__(self, value: float) -> None:
        self.value = value

    def clone(self) -> "Pretended":
        return Pretended(self.value)

    def copy_(self, other: "Pretended") -> None:
        self.value = other.value


class Graph:
    """A CUDA graph that runs a function again, on the tensors that it was recorded with."""

    def replay(self) -> None:
        for own, new in zip(self.outputs, self.function(*self.inputs), strict=True):
            own.copy_(new)


@pytest.fixture
def head(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    names: dict[str, Any] = {
        "OrderedDict": OrderedDict,
        "cache": cache,
        "threading": threading,
        "torch": torch,
        "Any": Any,
        "INTERPRETED": True,
    }
    exec(
        "from __future__ import annotations\n" + HEAD.replace("<SMALLEST>", "16").replace("<FULL>", "64"),
        names,
    )
    monkeypatch.setattr(torch.cuda, "device_of", lambda _: nullcontext())
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(cuda_stream=7))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    return names


def test_a_shape_is_recorded_at_its_second_call(
    head: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    log, function = counted(monkeypatch)
    given = [head["recorded"](function, (3.0,), (Pretended(value),))[0] for value in (1.0, 2.0, 5.0)]
    assert [result.value for result in given] == [3.0, 6.0, 15.0]
    assert log == ["run", "recorded"]
    head["recorded"](function, (3.0,), (Pretended(9.0),))
    assert given[2].value == 15.0, "a result was overwritten by the next call"


def counted(monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], Any]:
    """A function that multiplies, and a list of how it was run."""
    recording: list[Graph] = []
    log: list[str] = []

    @contextmanager
    def graph(made: Graph) -> Any:
        recording.append(made)
        yield
        recording.pop()

    def function(factor: float, *tensors: Pretended) -> tuple[Pretended, ...]:
        log.append("recorded" if recording else "run")
        results = tuple(Pretended(factor * t.value) for t in tensors)
        for made in recording:
            made.function = lambda *t: tuple(Pretended(factor * v.value) for v in t)
            made.inputs, made.outputs = tensors, results
        return results

    monkeypatch.setattr(torch.cuda, "graph", graph)
    return log, function


def test_other_flags_and_streams_have_graphs_of_their_own(
    head: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    log, function = counted(monkeypatch)
    for factor in (2.0, 3.0, 2.0, 3.0):
        assert head["recorded"](function, (factor,), (Pretended(1.0),))[0].value == factor
    assert log == ["run", "run", "recorded", "recorded"]
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(cuda_stream=8))
    head["recorded"](function, (2.0,), (Pretended(1.0),))
    assert log[4:] == ["run"]


def test_the_oldest_graph_goes(head: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    log, function = counted(monkeypatch)
    for factor in range(head["GRAPHS"] + 1):
        head["recorded"](function, (factor,), (Pretended(1.0),))
    assert len(head["recorded_graphs"]) == head["GRAPHS"]
    head["recorded"](function, (0,), (Pretended(1.0),))
    assert log[-1] == "run"


def test_inside_a_capture_of_the_user_nothing_is_recorded(
    head: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    log, function = counted(monkeypatch)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    for _ in range(3):
        head["recorded"](function, (1.0,), (Pretended(1.0),))
    assert log == ["run"] * 3


def test_tf32_is_torch_s_choice(head: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for matmul, expected in [
        (SimpleNamespace(fp32_precision="tf32"), "tf32"),
        (SimpleNamespace(fp32_precision="ieee"), "ieee"),
        (SimpleNamespace(fp32_precision="none"), "ieee"),
        (SimpleNamespace(allow_tf32=True), "tf32"),
        (SimpleNamespace(allow_tf32=False), "ieee"),
    ]:
        monkeypatch.setattr(torch.backends.cuda, "matmul", matmul)
        assert head["precision"]() == expected


def test_cpu_tensors_are_refused_outside_the_interpreter(head: dict[str, Any]) -> None:
    head["ready"](torch.zeros(2))
    head["INTERPRETED"] = False
    with pytest.raises(RuntimeError, match="need CUDA tensors, not cpu ones"):
        head["ready"](torch.zeros(2))


def test_shared_memory_is_that_of_matrices_and_operands() -> None:
    loop = lower_loop(lower(cell("lstm")), sink=True)
    assert [padded(size) for size in (1, 16, 17, 64)] == [16, 16, 32, 64]
    assert shared_bytes(loop, {"n": 50}, 4) == 4 * (4 * 64 * 64 + 16 * 64 * 4)
