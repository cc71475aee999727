"""The language model: its loss by both ways, its state."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codegen.errors import CheckpointError, DataError
from codegen.training.model import LanguageModel, copy_weights, detach, largest
from tests.codegen.training.standin import StandIn

V, M, N, T, B = 50, 6, 8, 5, 4


@pytest.fixture
def lm() -> LanguageModel:
    torch.manual_seed(0)
    return LanguageModel(StandIn(M, N), V, M, N)


@pytest.mark.parametrize("recording", [True, False])
def test_loss_and_gradients_are_those_of_the_logits(lm: LanguageModel, recording: bool) -> None:
    lm = lm.double()
    tokens, targets = torch.randint(V, (2, T, B))
    logits, expected_state = lm(tokens)
    assert logits.shape == (T, B, V)
    expected = F.cross_entropy(logits.reshape(T * B, V), targets.reshape(-1))
    weights = [weight for weight in lm.parameters() if weight.requires_grad]

    with torch.set_grad_enabled(recording):
        loss, state = lm.loss(tokens, targets)
    torch.testing.assert_close(loss.detach(), expected.detach())
    torch.testing.assert_close(state, expected_state)
    if recording:
        expected_gradients = torch.autograd.grad(expected, weights)
        torch.testing.assert_close(torch.autograd.grad(loss, weights), expected_gradients)


def test_target_outside_the_vocabulary(lm: LanguageModel) -> None:
    tokens = torch.randint(V, (T, B))
    with pytest.raises(DataError, match=f"a target is {V}; expected 0 to {V - 1}"):
        lm.loss(tokens, torch.full_like(tokens, V))


def test_state_carries_on(lm: LanguageModel) -> None:
    tokens = torch.randint(V, (2 * T, B))
    whole, _ = lm(tokens)
    _, state = lm(tokens[:T])
    second, _ = lm(tokens[T:], state)
    torch.testing.assert_close(second, whole[T:])


@pytest.mark.parametrize("single", [True, False])
def test_state_helpers(single: bool) -> None:
    tensor = torch.tensor([[[1.0, -7.0]]], requires_grad=True) * 1
    other = torch.tensor([[[3.0, 9.0 - 3]]])
    state: Tensor | tuple[Tensor, ...] = tensor if single else (other, tensor)
    assert largest(state).item() == 7.0
    assert not largest(state).requires_grad
    parts = detach(state)
    assert isinstance(parts, Tensor) is single
    assert not any(part.requires_grad for part in ((parts,) if isinstance(parts, Tensor) else parts))


def test_layer_must_be_a_module() -> None:
    with pytest.raises(TypeError, match=r"layer is a str; expected an nn\.Module"):
        LanguageModel("lstm", V, M, N)  # type: ignore[arg-type]


def test_copied_weights_stay_in_place(lm: LanguageModel) -> None:
    weights = {name: torch.ones_like(weight) for name, weight in lm.state_dict().items()}
    storage = lm.decoder.weight.data_ptr()
    copy_weights(lm, weights, "file")
    assert lm.decoder.weight.data_ptr() == storage
    assert lm.decoder.weight.eq(1).all()


def test_weights_of_another_model(lm: LanguageModel) -> None:
    other = nn.Linear(2, 3).state_dict()
    with pytest.raises(CheckpointError, match="the weights in some file are of another model"):
        copy_weights(lm, other, "some file")
