"""``build(..., init=, memory=)``: what is drawn, and the step Jacobian measured against the prediction."""

import math

import numpy as np
import pytest
import torch

import codegen
import derive
from codegen import UnknownName
from codegen.init import SCHEMES
from derive import Cell, DeriveError, Parameter, State, Vector, sigmoid, tanh
from derive.initialization import initial_scales, jacobian_shares, memory_biases
from tests.codegen.unusual_cells import UNUSUAL

MEASURED = ("vanilla", "gru", "lstm", "pseudo-lstm")
DERIVED = tuple(name for name in SCHEMES if name != "torch")
N = 240


def built(cell, n=N, m=3, **options):
    torch.manual_seed(0)
    return codegen.build(cell, m, n, dtype=torch.float64, **options)


def measured(layer) -> np.ndarray:
    """The Jacobian of one step at s = x = 0, all states stacked, by autograd through the emitted code."""
    names = layer.cell.states
    zeros = torch.zeros(len(names), 1, layer.hidden_size, dtype=torch.float64)

    def step(stacked: torch.Tensor) -> torch.Tensor:
        state = tuple(stacked) if len(names) > 1 else stacked[0]
        x = torch.zeros(layer.input_size, dtype=torch.float64)
        _, after = layer.step(x, state)
        return torch.stack(after if len(names) > 1 else (after,))

    size = zeros.numel()
    return torch.autograd.functional.jacobian(step, zeros, vectorize=True).reshape(size, size).numpy()


def prediction(layer):
    biases = {name: float(b[0]) for name, b in layer.equation_parameters().items() if b.dim() == 1}
    shares = jacobian_shares(layer.cell, biases)
    scales = initial_scales(layer.cell, biases)
    return shares, {name: float(scale.size) for name, scale in scales.items() if scale.size is not None}


def singular_values(matrix) -> np.ndarray:
    return np.sort(np.linalg.svd(np.asarray(matrix), compute_uv=False).ravel())


# Measured against the prediction


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "identity", "softsign", "hard_sigmoid"])
def test_vanilla_orthogonal_has_singular_values_of_one(activation: str) -> None:
    layer = built("vanilla", activations={"s": activation}, init="orthogonal")
    np.testing.assert_allclose(singular_values(measured(layer)), 1, atol=1e-6)


@pytest.mark.parametrize("memory", [None, 20])
@pytest.mark.parametrize("name", [name for name in MEASURED if name != "vanilla"])
def test_gated_orthogonal_has_the_predicted_singular_values(name: str, memory: float | None) -> None:
    """J is a polynomial in W, so the eigenvalues λ of W give those of J and, W being normal, the singular
    values: for the GRU |z + (1 - z) λ / 2|, |λ| = 2."""
    layer = built(name, init="orthogonal", memory=memory)
    shares, sizes = prediction(layer)
    eigenvalues = np.linalg.eigvals(layer.equation_parameters()["W"].numpy())
    np.testing.assert_allclose(abs(eigenvalues), sizes["W"], atol=1e-9)
    symbol = [np.array(shares.matrix({"W": complex(v)}).tolist(), dtype=complex) for v in eigenvalues]
    jacobian = measured(layer)
    np.testing.assert_allclose(singular_values(jacobian), singular_values(np.stack(symbol)), atol=1e-6)
    radius = max(abs(np.linalg.eigvals(jacobian)))
    assert 0.999 < radius < 1 + 1e-9


@pytest.mark.parametrize("init", DERIVED)
@pytest.mark.parametrize(
    ("name", "memory"), [(name, T) for name in MEASURED for T in (None, 20) if T is None or name != "vanilla"]
)
def test_mean_square_of_every_block(name: str, memory: float | None, init: str) -> None:
    layer = built(name, init=init, memory=memory)
    shares, sizes = prediction(layer)
    jacobian, states = measured(layer), layer.cell.states
    for i, of in enumerate(states):
        for j, wrt in enumerate(states):
            block = jacobian[i * N : (i + 1) * N, j * N : (j + 1) * N]
            expected = float(shares.mean_square(of, wrt, sizes))
            assert np.mean(singular_values(block) ** 2) == pytest.approx(expected, rel=0.03), (of, wrt)


@pytest.mark.parametrize("init", ["uniform", "gaussian"])
def test_independent_entries_spread_the_singular_values(init: str) -> None:
    """Vanilla: over [0, 2] as in the quarter circle law, where the orthogonal matrix has 1 throughout."""
    found = singular_values(measured(built("vanilla", init=init)))
    assert 1.9 < found[-1] < 2.1
    assert found[0] < 0.05
    quarter = [np.quantile(found, q) for q in (0.25, 0.5, 0.75)]
    # ∫₀ˣ √(4 - t²) dt / π = q
    np.testing.assert_allclose(quarter, [0.4040, 0.8079, 1.2646], atol=0.05)


@pytest.mark.parametrize("name", MEASURED)
@pytest.mark.parametrize("init", ["uniform", "gaussian"])
def test_independent_entries_have_spectral_radius_one(name: str, init: str) -> None:
    radius = max(abs(np.linalg.eigvals(measured(built(name, init=init)))))
    assert radius == pytest.approx(1, abs=0.07)


# What is drawn


@pytest.mark.parametrize("init", DERIVED)
def test_other_matrices_hand_on_the_mean_square(init: str) -> None:
    parameters = built("gru", m=60, init=init).equation_parameters()
    for name in ("W_z", "W_r", "U_z", "U_r", "U"):
        fan_in = parameters[name].shape[1]
        assert float(parameters[name].square().mean()) == pytest.approx(1 / fan_in, rel=0.05), name
    assert float(parameters["W"].square().mean()) == pytest.approx(4 / N, rel=0.05)
    assert not any(parameters[name].any() for name in ("b_z", "b_r", "b"))


def test_shapes_of_the_distributions() -> None:
    uniform = built("vanilla", init="uniform").equation_parameters()["W"]
    assert 0.99 * math.sqrt(3 / N) < float(uniform.abs().max()) <= math.sqrt(3 / N)
    gaussian = built("vanilla", init="gaussian").equation_parameters()["W"] * math.sqrt(N)
    assert float((gaussian**4).mean()) == pytest.approx(3, rel=0.05)
    wide = built("vanilla", n=20, m=30, init="orthogonal").equation_parameters()
    np.testing.assert_allclose(wide["U"] @ wide["U"].T, np.eye(20), atol=1e-12)
    np.testing.assert_allclose(wide["W"] @ wide["W"].T, np.eye(20), atol=1e-12)


@pytest.mark.parametrize("name", derive.catalogue())
def test_the_default_draws_as_before(name: str) -> None:
    layer = built(name, n=4)
    torch.manual_seed(1)
    layer.reset_parameters()
    first = {k: v.clone() for k, v in layer.equation_parameters().items()}
    torch.manual_seed(1)
    layer.l0.cell.reset_parameters()
    assert all(torch.equal(first[k], v) for k, v in layer.equation_parameters().items())


@pytest.mark.parametrize("init", SCHEMES)
def test_every_layer_and_reset_draws_anew_from_the_seed(init: str) -> None:
    layer = built("lstm", n=5, m=5, num_layers=2, bidirectional=True, init=init, memory=(2, 9))
    first = {k: v.clone() for k, v in layer.state_dict().items()}
    assert not torch.equal(first["l0.cell.W"], first["l1.cell.W"])
    assert not torch.equal(first["l0.cell.b_f"], first["l0_reverse.cell.b_f"])
    torch.manual_seed(7)
    layer.reset_parameters()
    second = {k: v.clone() for k, v in layer.state_dict().items()}
    assert not torch.equal(first["l0.cell.W"], second["l0.cell.W"])
    torch.manual_seed(7)
    layer.reset_parameters()
    assert all(torch.equal(second[k], v) for k, v in layer.state_dict().items())


@pytest.mark.parametrize("init", DERIVED)
@pytest.mark.parametrize("cell", UNUSUAL, ids=lambda cell: cell.name)
def test_any_cell(cell, init: str) -> None:
    """What the Jacobian at rest does not decide gets mean square 1/fan_in; nothing fails or stays unset."""
    inputs = cell.axes(cell.inputs[0]) if cell.inputs else ()
    m = {(): 0, ("m",): 40, ("n",): 64}[inputs]
    layer = built(cell, n=64, m=m, init=init, sizes={"w": 80} if "w" in str(cell.parameters) else {})
    decided = {k: float(v.size) for k, v in initial_scales(cell).items() if v.size is not None}
    for name, matrix in layer.equation_parameters().items():
        if matrix.dim() == 2:
            rows, columns = matrix.shape
            expected = decided[name] ** 2 / rows if name in decided else 1 / columns
            assert float(matrix.square().mean()) == pytest.approx(expected, rel=0.15), name


def test_low_precision_and_meta() -> None:
    layer = codegen.build("gru", 2, 8, init="orthogonal", memory=5, dtype=torch.bfloat16)
    W = layer.equation_parameters()["W"].float()
    torch.testing.assert_close(W @ W.T, 4 * torch.eye(8), atol=0.05, rtol=0)
    for init in SCHEMES:
        assert codegen.build("gru", 2, 8, init=init, memory=(5, 9), device="meta").l0.cell.W.is_meta


# Memory


@pytest.mark.parametrize("init", SCHEMES)
def test_gates_at_rest_have_the_values_of_the_memory_length(init: str) -> None:
    x = torch.zeros(1, 1, 3, dtype=torch.float64)
    lstm = built("lstm", n=6, init=init, memory=10).trace(x)
    torch.testing.assert_close(lstm["f"], torch.full_like(lstm["f"], 0.9))
    torch.testing.assert_close(lstm["i"], torch.full_like(lstm["i"], 0.1))
    gru = built("gru", n=6, init=init, memory=2.5).trace(x)
    torch.testing.assert_close(gru["z"], torch.full_like(gru["z"], 0.6))
    hard = built("gru", n=6, init=init, memory=(4, 4), activations={"z": "hard_sigmoid"}).trace(x)
    torch.testing.assert_close(hard["z"], torch.full_like(hard["z"], 0.75))


@pytest.mark.parametrize("init", SCHEMES)
def test_a_range_is_drawn_per_unit(init: str) -> None:
    gates = built("lstm", n=2000 if init == "torch" else 400, init=init, memory=(2, 102)).trace(
        torch.zeros(1, 1, 3, dtype=torch.float64)
    )
    lengths = 1 / (1 - gates["f"].detach().flatten())
    torch.testing.assert_close(gates["i"], 1 - gates["f"])  # one length for both gates of a unit
    assert 2 <= float(lengths.min()) < 3
    assert 101 < float(lengths.max()) <= 102
    quartiles = torch.quantile(lengths, torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64))
    torch.testing.assert_close(quartiles, quartiles.new_tensor([27, 52, 77]), atol=8, rtol=0)


def test_of_a_range_the_longest_memory_scales() -> None:
    """Without a write gate the matrix gets 1/T; the shorter memories then leave more than is used."""
    s, f, W = State("s"), Vector("f"), Parameter("W", "n", "n")
    equations = {f: sigmoid(Parameter("b_f", "n")), s: f * s.prev + tanh(W @ s.prev)}
    leaky = Cell("leaky", equations, output=s)
    layer = built(leaky, m=0, init="orthogonal", memory=(5, 50))
    drawn = layer.equation_parameters()["W"].numpy()
    np.testing.assert_allclose(singular_values(drawn), 1 / 50, atol=1e-9)
    assert max(abs(np.linalg.eigvals(measured(layer)))) <= 1 + 1e-9


def test_given_biases_outdo_memory_and_enter_the_scale() -> None:
    layer = built("lstm", n=40, init="orthogonal", memory=10, biases={"b_f": 0.0, "b_o": 1.0})
    parameters = layer.equation_parameters()
    assert not parameters["b_f"].any()
    assert parameters["b_o"].eq(1).all()
    assert parameters["b_i"].allclose(torch.tensor(-math.log(9), dtype=torch.float64))
    # f + i o g = 1
    gain = (1 - 0.5) / (0.1 / (1 + math.exp(-1)))
    np.testing.assert_allclose(singular_values(parameters["W"].numpy()), gain, rtol=1e-9)


def test_biases_that_differ_from_unit_to_unit() -> None:
    """They have no single value, but the GRU's scale does not depend on z."""
    layer = built("gru", n=4, init="orthogonal", biases={"b_z": torch.tensor([0.0, 1.0, 2.0, 3.0])})
    np.testing.assert_allclose(singular_values(layer.equation_parameters()["W"].numpy()), 2, atol=1e-9)


# What it says and refuses


def test_repr() -> None:
    assert "init=orthogonal, memory=(2, 9)" in repr(built("gru", n=2, init="orthogonal", memory=(2, 9)))
    assert "memory=7" in repr(built("gru", n=2, memory=7))
    assert "init" not in repr(built("gru", n=2))
    assert "memory" not in repr(built("gru", n=2))


@pytest.mark.parametrize("init", ["ortogonal", None, 3, ["torch"]])
def test_unknown_init(init) -> None:
    with pytest.raises(UnknownName, match=r"no init .* There are: torch, uniform, gaussian, orthogonal"):
        codegen.build("gru", 2, 3, init=init)
    with pytest.raises(UnknownName, match="did you mean 'orthogonal'"):
        codegen.build("gru", 2, 3, init="ortogonal")


@pytest.mark.parametrize(
    "memory", [1, 0.5, (5, 2), (1, 2), (2, 3, 4), (2,), [2, 3], "10", True, math.nan, math.inf, 1j]
)
def test_memory_that_is_none(memory) -> None:
    with pytest.raises(ValueError, match=r"memory should be a number of steps above 1, or a pair"):
        codegen.build("gru", 2, 3, memory=memory)


def test_memory_that_the_cell_cannot_have() -> None:
    with pytest.raises(DeriveError, match="vanilla: no gate decides"):
        codegen.build("vanilla", 2, 3, memory=10)
    with pytest.raises(DeriveError, match="the gate z must start at 9/10, but it has no bias"):
        codegen.build("gru", 2, 3, memory=10, bias=False)


def test_biases_of_memory_are_derived() -> None:
    layer = built("peephole-lstm", n=3, memory=30)
    for name, bias in memory_biases("peephole-lstm", 30).items():
        np.testing.assert_allclose(layer.equation_parameters()[name], float(bias))
