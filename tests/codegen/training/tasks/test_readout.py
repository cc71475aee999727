"""Models that are asked at some steps: their losses against loops over what is asked."""

import math

import pytest
import torch
from torch import Tensor

from codegen.training.tasks.readout import IGNORED, Classifier, ReadoutModel, Regressor
from tests.codegen.training.standin import StandIn

T, B, M, N, CLASSES = 6, 4, 3, 5, 4


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def make(kind: type[ReadoutModel]) -> ReadoutModel:
    layer = StandIn(M, N).double()
    return Regressor(layer, M, N).double() if kind is Regressor else Classifier(layer, M, N, CLASSES).double()


def some_asked() -> Tensor:
    """Most steps ask nothing, one row asks nothing at all."""
    asked = torch.rand(T, B) < 0.4
    asked[:, 0] = False
    asked[-1, 1] = True
    return asked


def test_mean_squared_error_of_what_is_asked() -> None:
    model, asked = make(Regressor), some_asked()
    outputs = torch.randn(T, B, N, dtype=torch.float64)
    targets = torch.randn(T, B, dtype=torch.float64).where(asked, torch.tensor(math.nan))
    errors = [
        (model.decoder(outputs[t, b]).item() - targets[t, b].item()) ** 2
        for t in range(T)
        for b in range(B)
        if asked[t, b]
    ]
    assert 1 < len(errors) < T * B
    torch.testing.assert_close(model.criterion(outputs, targets).item(), sum(errors) / len(errors))


def test_cross_entropy_of_what_is_asked() -> None:
    model, asked = make(Classifier), some_asked()
    outputs = torch.randn(T, B, N, dtype=torch.float64)
    targets = torch.randint(0, CLASSES, (T, B)).where(asked, torch.tensor(IGNORED))
    losses = []
    for t in range(T):
        for b in range(B):
            if asked[t, b]:
                exponentials = [math.exp(logit) for logit in model.decoder(outputs[t, b]).tolist()]
                losses.append(-math.log(exponentials[targets[t, b]] / sum(exponentials)))
    torch.testing.assert_close(model.criterion(outputs, targets).item(), sum(losses) / len(losses))


@pytest.mark.parametrize(
    ("kind", "nothing"),
    [(Regressor, torch.full((T, B), math.nan)), (Classifier, torch.full((T, B), IGNORED))],
)
def test_a_block_that_asks_nothing_costs_nothing(kind: type[ReadoutModel], nothing: Tensor) -> None:
    """Loss and gradients are 0, not NaN: truncated backpropagation meets such blocks."""
    model = make(kind)
    loss, _ = model.loss(torch.randn(T, B, M, dtype=torch.float64), nothing)
    loss.backward()
    assert loss.item() == 0
    gradients = [p.grad for p in model.parameters() if p.requires_grad]
    assert all(g is not None and (g == 0).all() for g in gradients)


def test_unasked_steps_have_no_gradient_of_their_own() -> None:
    """No NaN leaks out of a target that is not there."""
    model, asked = make(Regressor), some_asked()
    outputs = torch.randn(T, B, N, dtype=torch.float64, requires_grad=True)
    targets = torch.randn(T, B, dtype=torch.float64).where(asked, torch.tensor(math.nan))
    model.criterion(outputs, targets).backward()
    assert outputs.grad is not None
    assert torch.equal((outputs.grad != 0).all(-1), asked)
    assert torch.equal((outputs.grad != 0).any(-1), asked)


def test_the_loss_is_the_criterion_of_the_layers_outputs() -> None:
    model = make(Classifier)
    inputs, targets = torch.randn(T, B, M, dtype=torch.float64), torch.randint(0, CLASSES, (T, B))
    logits, _ = model(inputs)
    assert logits.shape == (T, B, CLASSES)
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    torch.testing.assert_close(model.loss(inputs, targets)[0], expected)
