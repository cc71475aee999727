"""Real-time recurrent learning in a training step, against backpropagation without truncation."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import codegen
from codegen.errors import ConfigError
from codegen.training import TrainingConfig, train
from codegen.training.gradients import find_method
from codegen.training.gradients.real_time import RealTime
from codegen.training.model import LanguageModel, Model, tensors_of
from codegen.training.tasks import find_task
from codegen.training.tasks.readout import IGNORED, Classifier, ReadoutModel, Regressor
from tests.codegen.training.standin import StandIn

T, B, M, N = 6, 3, 2, 4
CELLS = ("vanilla", "gru", "lstm", "peephole-lstm", "normalized-prototype")


def make_layer(name: str = "lstm", dtype: torch.dtype = torch.float64, **options: Any) -> Any:
    torch.manual_seed(1)
    return codegen.build(name, M, N, backend="eager", dtype=dtype, **options)


def make_model(name: str = "lstm", kind: type[ReadoutModel] = Classifier, **options: Any) -> ReadoutModel:
    layer = make_layer(name, **options)
    model = Regressor(layer, M, N) if kind is Regressor else Classifier(layer, M, N, 3)
    return model.to(next(layer.parameters()).dtype)


def make_batch(kind: type[ReadoutModel] = Classifier, steps: int = T) -> tuple[Tensor, Tensor]:
    """Inputs, and targets at some of the steps."""
    torch.manual_seed(2)
    inputs = torch.randn(steps, B, M, dtype=torch.float64)
    asked = torch.arange(steps * B).reshape(steps, B) % 4 == 3
    if kind is Regressor:
        return inputs, torch.randn(steps, B, dtype=torch.float64).where(asked, torch.nan)
    return inputs, torch.randint(3, (steps, B)).where(asked, IGNORED)


def gradients(model: Model) -> dict[str, Tensor]:
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = 1e-8) -> None:
    """To the tolerance, relative to the largest entry of each tensor."""
    assert found.keys() == expected.keys()
    for name, g in expected.items():
        torch.testing.assert_close(found[name], g, rtol=0, atol=tolerance * g.abs().max().item(), msg=name)


@pytest.mark.parametrize("kind", [Classifier, Regressor])
@pytest.mark.parametrize("name", CELLS)
def test_a_sequence(name: str, kind: type[ReadoutModel]) -> None:
    """Weights of the layer and of the decoder; loss, state and its peak."""
    model, batch = make_model(name, kind), make_batch(kind)
    loss, state = model.loss(*batch)
    loss.backward()
    expected = gradients(model)
    model.zero_grad()
    taken = RealTime()(model, *batch, None)
    assert_same(gradients(model), expected)
    torch.testing.assert_close(taken.loss, loss.detach())
    *last, _ = tensors_of(taken.carry)
    assert all(torch.equal(a, b) for a, b in zip(last, tensors_of(state), strict=True))
    assert taken.peak == max(tensor.abs().max() for tensor in tensors_of(state))
    assert not any(tensor.requires_grad for tensor in (taken.loss, taken.peak, *tensors_of(taken.carry)))


def test_gradients_are_added() -> None:
    model, batch = make_model(), make_batch()
    RealTime()(model, *batch, None)
    once = gradients(model)
    RealTime()(model, *batch, None)
    assert_same(gradients(model), {name: 2 * g for name, g in once.items()}, 1e-14)


def test_single_precision() -> None:
    model, (inputs, targets) = make_model(dtype=torch.float32), make_batch()
    model.loss(inputs.float(), targets)[0].backward()
    expected = gradients(model)
    model.zero_grad()
    RealTime()(model, inputs.float(), targets, None)
    assert_same(gradients(model), expected, 1e-5)


@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_errors_reach_into_earlier_batches(name: str) -> None:
    """While the weights stay, a batch has the gradient by all that came before it."""
    model, (inputs, targets) = make_model(name), make_batch(steps=2 * T)
    _, state = model.loss(inputs[:T], targets[:T])
    model.loss(inputs[T:], targets[T:], state)[0].backward()  # the state has its graph
    expected = gradients(model)
    first = RealTime()(model, inputs[:T], targets[:T], None)
    model.zero_grad()
    RealTime()(model, inputs[T:], targets[T:], first.carry)
    assert_same(gradients(model), expected)


def test_without_what_was_carried_a_sequence_starts_anew() -> None:
    model, batch = make_model(), make_batch()
    gradient = RealTime()
    gradient(model, *batch, None)
    once = gradients(model)
    model.zero_grad()
    gradient(model, *batch, None)
    assert_same(gradients(model), once, 0)


def test_subgroups() -> None:
    """With recurrent matrices in two blocks two groups are exact; one a unit then are not."""
    model, batch = make_model(), make_batch()
    blocks = torch.kron(torch.eye(2), torch.ones(2, 2))
    for name, weight in model.layer.equation_parameters().items():
        if name.startswith("W"):
            weight.mul_(blocks)
    found = []
    for groups in (1, 2, N):
        model.zero_grad()
        taken = RealTime(groups)(model, *batch, None)
        RealTime(groups)(model, *batch, taken.carry)
        found.append(gradients(model))
    exact, halves, alone = found
    assert_same(halves, exact)
    with pytest.raises(AssertionError):
        assert_same(alone, exact, 1e-3)


def test_a_training(tmp_path: Path) -> None:
    """Where a batch is a whole sequence, both gradients train alike."""
    losses = []
    for gradient in ("blocks", "real-time"):
        config = TrainingConfig(
            cell="gru",
            task="adding",
            length=5,
            epoch_steps=4,
            epochs=2,
            batch_size=3,
            hidden_size=N,
            gradient=gradient,
        )
        kind = find_task("adding")
        layer = codegen.build("gru", kind.input_size, N, backend="eager")
        model = kind.make_model(layer, config)
        task = kind.make_task(config, torch.device("cpu"))
        result = train(model, task, config, tmp_path / gradient)
        losses.append([(report.train.nats, report.valid.nats) for report in result.history])
    assert losses[1] == [pytest.approx(pair, rel=1e-5) for pair in losses[0]]


def refused(*parts: str) -> Any:
    return pytest.raises(ConfigError, match=".*".join(map(re.escape, parts)))


def test_language_is_refused() -> None:
    method = find_method("real-time")
    with refused("'language'", "embedding", "'blocks'"):
        method.make(TrainingConfig(cell="gru", gradient="real-time"))
    model = LanguageModel(make_layer(), 5, M, N)
    with refused("embedding", "vectors"):
        RealTime()(model, torch.zeros(T, B, dtype=torch.int64), torch.zeros(T, B, dtype=torch.int64), None)


@pytest.mark.parametrize("options", [{"num_layers": 2}, {"trainable_state": True}])
def test_more_than_one_cell_is_refused(options: dict[str, Any]) -> None:
    with refused("weights, of which", "one layer"):
        RealTime()(make_model(**options), *make_batch(), None)


def test_a_layer_without_equations_is_refused() -> None:
    with refused("StandIn has no equations", "codegen.build"):
        RealTime()(Classifier(StandIn(M, N), M, N, 3), *make_batch(), None)


def test_more_groups_than_units_are_refused() -> None:
    with refused("groups is 9", "1 (exact)", "8"):
        TrainingConfig(cell="gru", gradient="real-time", task="adding", hidden_size=8, groups=9)


def test_the_regularizer_of_errors_is_refused() -> None:
    with refused("constant_error is 0.5", "'blocks'"):
        TrainingConfig(cell="gru", gradient="real-time", task="adding", constant_error=0.5)
