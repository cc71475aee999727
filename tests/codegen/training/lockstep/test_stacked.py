"""A stack of models is each of them: losses, gradients, states; what is not finite stays in its own row."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from codegen.errors import TrainingError
from codegen.training import evaluation
from codegen.training.initialization import initialize
from codegen.training.lockstep.stacked import StackedModel, evaluate, join, largest, split
from codegen.training.model import LanguageModel, State, tensors_of
from codegen.training.model import largest as largest_of_one
from tests.codegen.training.lockstep.trials import build, configs, corpus

CELLS = ("lstm", "gru", "normalized-prototype")


def models(cell: str = "lstm", backend: str = "eager") -> list[LanguageModel]:
    """Three of different initial weights."""
    found = [build(config, backend=backend) for config in configs(cell=cell)]
    for seed, model in enumerate(found):
        initialize(model, seed=seed)
    return found


def text(steps: int = 5) -> tuple[Tensor, Tensor]:
    """Inputs and targets, shape (T, B)."""
    window = torch.randint(
        len(corpus().vocabulary), (steps + 1, 4), generator=torch.Generator().manual_seed(7)
    )
    return window[:-1], window[1:]


def in_turn(found: Sequence[LanguageModel], windows: int = 2) -> list[tuple[Tensor, list[Tensor], State]]:
    """Loss, gradients and state of each model after some windows, the state carried."""
    results = []
    for model in found:
        state: State | None = None
        for _ in range(windows):
            loss, state = model.loss(*text(), state)
        assert state is not None
        results.append((loss.detach(), list(torch.autograd.grad(loss, list(model.parameters()))), state))
    return results


@pytest.mark.parametrize("backend", ["eager", "fused"])
@pytest.mark.parametrize("cell", CELLS)
def test_loss_gradients_and_state(cell: str, backend: str) -> None:
    """Backpropagated through two windows: the carried state has a gradient, too."""
    found = models(cell, backend)
    expected = in_turn(found)
    stacked = StackedModel(found)
    loss, state = stacked.loss(*text())
    loss, state = stacked.loss(*text(), state)
    gradients = torch.autograd.grad(loss.sum(), list(stacked.weights.values()))
    for row, (its_loss, its_gradients, its_state) in enumerate(expected):
        torch.testing.assert_close(loss[row], its_loss, rtol=1e-12, atol=1e-14)
        for mine, its in zip(gradients, its_gradients, strict=True):
            torch.testing.assert_close(mine[row], its, rtol=1e-12, atol=1e-14)
        for mine, its in zip(tensors_of(split(state)[row]), tensors_of(its_state), strict=True):
            torch.testing.assert_close(mine, its, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(largest(state)[row], largest_of_one(its_state), rtol=1e-12, atol=0)


def test_weights_are_views_both_ways() -> None:
    found = models()
    before = [model.decoder.weight.detach().clone() for model in found]
    stacked = StackedModel(found)
    for row, model in enumerate(found):
        assert torch.equal(model.decoder.weight, before[row])
    with torch.no_grad():
        found[1].decoder.weight[0, 0] = 17.0
        stacked.weights["embedding.weight"][2, 3, 4] = 18.0
    assert stacked.weights["decoder.weight"][1, 0, 0] == 17.0
    assert found[2].embedding.weight[3, 4] == 18.0
    assert torch.equal(found[0].decoder.weight, before[0])


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("where", ["embedding.weight", "layer.l0.cell.W", "decoder.bias"])
def test_what_is_not_finite_stays_in_its_row(cell: str, where: str) -> None:
    found = models(cell)
    expected = in_turn([found[0], found[2]])
    with torch.no_grad():
        found[1].get_parameter(where).fill_(torch.nan)
    stacked = StackedModel(found)
    loss, state = stacked.loss(*text())
    loss, state = stacked.loss(*text(), state)
    gradients = torch.autograd.grad(loss.sum(), list(stacked.weights.values()))
    assert loss[1].isnan()
    for row, (its_loss, its_gradients, _) in zip((0, 2), expected, strict=True):
        torch.testing.assert_close(loss[row], its_loss, rtol=1e-12, atol=1e-14)
        for mine, its in zip(gradients, its_gradients, strict=True):
            torch.testing.assert_close(mine[row], its, rtol=1e-12, atol=1e-14)


def test_evaluation() -> None:
    found = models()
    expected = [evaluation.evaluate(model, corpus().valid, 4, 5) for model in found]
    told: list[int] = []
    losses = evaluate(StackedModel(found), corpus().valid, 4, 5, on_batch=lambda: told.append(1))
    assert [loss.batches for loss in losses] == [loss.batches for loss in expected] == [len(told)] * 3
    for mine, its in zip(losses, expected, strict=True):
        assert mine.article == pytest.approx(its.article, rel=1e-12)


@pytest.mark.parametrize("single", [False, True])
def test_split_and_join(single: bool) -> None:
    tensors = torch.randn(3, 1, 4, 7), torch.randn(3, 1, 4, 2)
    state = tensors[0] if single else tensors
    parts = split(state)
    assert all(isinstance(part, Tensor) is single for part in parts)
    for mine, its in zip(tensors_of(join(parts)), tensors_of(state), strict=True):
        assert torch.equal(mine, its)


def test_layers_with_buffers_are_refused() -> None:
    found = models()
    for model in found:
        model.get_submodule("layer").register_buffer("average", torch.zeros(2))
    with pytest.raises(TrainingError, match=r"buffers \(layer.average\)"):
        StackedModel(found)
