"""Initial weights: their distributions, their seeds, and the refusals."""

import math

import pytest
import torch
from torch import Tensor

from codegen.errors import ConfigError, TrainingError
from codegen.training.initialization import INITIALIZATIONS, initialize
from codegen.training.model import LanguageModel
from tests.codegen.training.standin import StandIn

V, M, N = 700, 40, 60


def model(layers: int = 1) -> LanguageModel:
    return LanguageModel(StandIn(M, N, num_layers=layers), V, M, N)


def matrices(lm: LanguageModel) -> dict[str, Tensor]:
    weights = {name: weight for name, weight in lm.layer.equation_parameters().items() if weight.ndim == 2}
    return {"embedding": lm.embedding.weight.detach(), **weights, "decoder": lm.decoder.weight.detach()}


def assert_uniform(weight: Tensor, bound: float) -> None:
    assert weight.abs().max() <= bound
    assert weight.abs().max() > 0.99 * bound
    assert weight.var().item() == pytest.approx(bound**2 / 3, rel=0.08)
    assert weight.mean().item() == pytest.approx(0, abs=0.05 * bound)


def test_article() -> None:
    lm = model()
    initialize(lm, "article", biases={"b_f": 1.0})
    fan_in = {"embedding": V, "decoder": N}
    for name, weight in matrices(lm).items():
        assert_uniform(weight, math.sqrt(3 / fan_in.get(name, M + N)))
    assert not lm.decoder.bias.any()
    for name, weight in lm.layer.equation_parameters().items():
        if weight.ndim == 1:
            assert weight.eq(1.0 if name == "b_f" else 0.0).all(), name


def test_glorot() -> None:
    lm = model()
    initialize(lm, "glorot")
    for weight in matrices(lm).values():
        assert_uniform(weight, math.sqrt(6 / sum(weight.shape)))
    assert not any(w.any() for w in lm.layer.equation_parameters().values() if w.ndim == 1)


def test_orthogonal() -> None:
    lm = model()
    initialize(lm, "orthogonal")
    for weight in matrices(lm).values():
        thin = weight if weight.shape[0] >= weight.shape[1] else weight.T
        torch.testing.assert_close(thin.T @ thin, torch.eye(thin.shape[1]), atol=1e-5, rtol=0)


def test_torch() -> None:
    lm = model()
    initialize(lm, "torch", biases={"b_f": 1.0})
    weights = matrices(lm)
    assert weights.pop("embedding").std().item() == pytest.approx(1, rel=0.03)
    for weight in weights.values():
        assert_uniform(weight, 1 / math.sqrt(N))
    vectors = lm.layer.equation_parameters()
    assert vectors["b_f"].eq(1).all()
    assert 0 < vectors["b_i"].abs().max() <= 1 / math.sqrt(N)


@pytest.mark.parametrize("scheme", INITIALIZATIONS)
def test_seed_alone_decides(scheme: str) -> None:
    first, second, other = model(), model(), model()
    before = torch.get_rng_state()
    initialize(first, scheme, seed=3)
    assert torch.equal(torch.get_rng_state(), before), "the caller's generator is left alone"
    torch.manual_seed(99)
    initialize(second, scheme, seed=3)
    initialize(other, scheme, seed=4)
    for name, weight in matrices(first).items():
        assert torch.equal(weight, matrices(second)[name])
        assert not torch.equal(weight, matrices(other)[name])


def test_gates_differ() -> None:
    lm = model()
    initialize(lm)
    weights = lm.layer.equation_parameters()
    assert not torch.equal(weights["W_i"], weights["W_f"])


@pytest.mark.parametrize("name", ["b_z", "W_f"])
def test_bias_that_is_no_vector_of_the_layer(name: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"biases: the layer has no vector '{name}'.*there are: b_i, b_f, b_g, b_o"
    ):
        initialize(model(), biases={name: 1.0})


def test_weights_out_of_reach() -> None:
    upper = 4 * N * (N + N + 2)  # StandIn silences the second bias of the first layer alone
    with pytest.raises(TrainingError, match=f"the layer has {upper:,} weights besides"):
        initialize(model(layers=2))


def test_no_such_scheme() -> None:
    with pytest.raises(ConfigError, match=r"nearest: 'orthogonal'"):
        initialize(model(), "ortogonal")
