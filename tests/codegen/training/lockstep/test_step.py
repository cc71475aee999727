"""A step of the stack is a step of each model, and a recorded step repeats it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from codegen.training.initialization import initialize
from codegen.training.lockstep.stacked import StackedModel
from codegen.training.lockstep.step import WARMUP, GraphedStep, Step, capturable
from codegen.training.model import LanguageModel, State, detach, largest
from codegen.training.run import adam
from tests.codegen.training.lockstep.trials import build, configs, corpus

RATES = (1e-3, 3e-3, 0.1)


def models(device: str = "cpu") -> list[LanguageModel]:
    found = [build(config).to(device) for config in configs()]
    for seed, model in enumerate(found):
        initialize(model, seed=seed)
    return found


def windows(count: int, device: str = "cpu") -> Iterator[tuple[Tensor, Tensor]]:
    """Random text; its last rows are never seen."""
    generator = torch.Generator().manual_seed(3)
    for _ in range(count):
        window = torch.randint(len(corpus().vocabulary), (6, 4), generator=generator).to(device)
        yield window[:-1], window[1:]


def prepared(found: list[LanguageModel], clip: float | None) -> Step:
    optimizers = [adam(model, rate) for model, rate in zip(found, RATES, strict=True)]
    return Step(StackedModel(found), found, optimizers, clip)


def steps_alone(
    model: LanguageModel, rate: float, clip: float | None, count: int, device: str
) -> list[list[float]]:
    """(loss, largest |state|) of each step, the state dropped after every seventh."""
    optimizer = adam(model, rate)
    state: State | None = None
    found = []
    for index, (inputs, targets) in enumerate(windows(count, device)):
        optimizer.zero_grad()
        loss, after = model.loss(inputs, targets, None if index % 7 == 0 else state)
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        state = detach(after)
        found.append([loss.item(), largest(after).item()])
    return found


def assert_steps(step: Any, found: list[LanguageModel], clip: float | None, device: str = "cpu") -> None:
    """Twenty steps of the stack against those of its models' twins."""
    values, state = [], None
    for index, (inputs, targets) in enumerate(windows(20, device)):
        at_step, state = step(inputs, targets, None if index % 7 == 0 else state)
        values.append(at_step)
    for row, (twin, rate) in enumerate(zip(models(device), RATES, strict=True)):
        expected = steps_alone(twin, rate, clip, 20, device)
        mine = torch.stack([at_step[row] for at_step in values])
        torch.testing.assert_close(
            mine.cpu(), torch.tensor(expected, dtype=torch.float64), rtol=1e-10, atol=0
        )
        torch.testing.assert_close(found[row].state_dict(), twin.state_dict(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("clip", [None, 0.05])
def test_steps_are_each_models_own(clip: float | None) -> None:
    found = models()
    assert_steps(prepared(found, clip), found, clip)


def test_frozen_weights_stay() -> None:
    found = models()
    for model in found:
        model.embedding.weight.requires_grad_(False)
    step, before = prepared(found, None), [model.embedding.weight.clone() for model in found]
    step(*next(windows(1)), None)
    for model, weight in zip(found, before, strict=True):
        assert torch.equal(model.embedding.weight, weight)
        assert model.embedding.weight.grad is None
        assert model.decoder.weight.grad is not None


class FakeGraph:
    """What a CUDA graph does, by taking the recorded step again; only the recorded tensors reach it."""

    recording: FakeGraph | None = None

    def record(self, step: Step, inputs: Tensor, targets: Tensor, state: tuple[Tensor, ...]) -> Any:
        """Nothing is computed while recording: what is returned has no values yet."""
        assert all(group["capturable"] for optimizer in step.optimizers for group in optimizer.param_groups)
        self.step, self.read = step, (inputs, targets, state)
        self.values = torch.full((step.stacked.size, 2), torch.nan, dtype=torch.float64)
        return self.values, tuple(torch.full_like(tensor, torch.nan) for tensor in state)

    def replay(self) -> None:
        values, after = self.step(*self.read)
        self.values.copy_(values)
        for old, new in zip(self.read[2], after, strict=True):
            old.copy_(new)


class Recordable:
    """A step that notices when it is being recorded."""

    def __init__(self, step: Step) -> None:
        self.step, self.optimizers, self.eager = step, step.optimizers, 0

    def __call__(self, *arguments: Any) -> Any:
        if FakeGraph.recording is not None:
            return FakeGraph.recording.record(self.step, *arguments)
        self.eager += 1
        return self.step(*arguments)


class FakeStream:
    def wait_stream(self, other: FakeStream) -> None:
        pass


@pytest.fixture
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams that do nothing, and fake graphs."""

    @contextmanager
    def graph(graph: FakeGraph) -> Iterator[None]:
        FakeGraph.recording = graph
        yield
        FakeGraph.recording = None

    fakes = {"Stream": FakeStream, "current_stream": FakeStream, "CUDAGraph": FakeGraph, "graph": graph}
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())


@pytest.mark.usefixtures("fake_cuda")
def test_order_of_recording_and_replaying() -> None:
    """All of the graphed step but CUDA itself."""
    found = models()
    step: Any = Recordable(prepared(found, None))
    assert_steps(GraphedStep(step), found, None)
    assert step.eager == WARMUP + 2, "the first of a text besides: the seventh and the fourteenth"
    assert not any(group["capturable"] for optimizer in step.optimizers for group in optimizer.param_groups)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_graph_on_a_gpu() -> None:
    found = models("cuda")
    step = GraphedStep(prepared(found, 0.05))
    assert_steps(step, found, 0.05, "cuda")
    assert step.graph is not None


def test_capturable_only_within() -> None:
    optimizer = adam(models()[0], 1e-3)
    (group,) = optimizer.param_groups
    with capturable([optimizer]):
        assert group["capturable"]
    assert not group["capturable"]
