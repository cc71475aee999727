"""``RecurrentLayer`` beside ``torch.nn.LSTM``: shapes, options, states; and what torch does not have."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

import codegen
import derive
from codegen import UnknownName, Unsupported
from tests.codegen.unusual_cells import UNUSUAL

T, B, M, N = 5, 3, 2, 4


def pair(**options) -> tuple[codegen.RecurrentLayer, nn.LSTM]:
    """A layer and torch's LSTM with the same weights, in float64."""
    theirs = nn.LSTM(M, N, dtype=torch.float64, **options)
    return codegen.build("lstm", M, N, dtype=torch.float64, **options).from_torch(theirs), theirs


def flat(result) -> list[torch.Tensor]:
    output, state = result
    return [output, *(state if isinstance(state, tuple) else [state])]


def assert_same(ours, theirs) -> None:
    for a, b in zip(flat(ours), flat(theirs), strict=True):
        assert a.shape == b.shape
        assert torch.allclose(a, b, rtol=0, atol=1e-12)


OPTIONS = [
    {},
    {"bias": False},
    {"batch_first": True},
    {"num_layers": 3},
    {"bidirectional": True},
    {"num_layers": 2, "bidirectional": True, "batch_first": True, "bias": False},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("given_state", [True, False])
def test_behaves_like_torch(options, batched: bool, given_state: bool) -> None:
    ours, theirs = pair(**options)
    shape = (B, T, M) if options.get("batch_first") else (T, B, M)
    x = torch.randn(*(shape if batched else (T, M)), dtype=torch.float64, requires_grad=True)
    rows = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    state = None
    if given_state:
        state = tuple(torch.randn(rows, *([B] if batched else []), N, dtype=torch.float64) for _ in "hc")
    mine, reference = ours(x, state), theirs(x, state)
    assert_same(mine, reference)
    gradients = [torch.autograd.grad(sum(v.sin().sum() for v in flat(r)), x)[0] for r in (mine, reference)]
    assert torch.allclose(*gradients, rtol=0, atol=1e-12)


def test_training_through_chunks_is_training_on_the_whole() -> None:
    ours, _ = pair()
    x = torch.randn(6, B, M, dtype=torch.float64)
    whole, _ = ours(x)
    first, state = ours(x[:2])
    second, _ = ours(x[2:], state)
    grads = [
        torch.autograd.grad(y.square().sum(), list(ours.parameters()))
        for y in (whole, torch.cat([first, second]))
    ]
    assert all(torch.allclose(a, b, rtol=0, atol=1e-12) for a, b in zip(*grads, strict=True))


def test_dropout_is_between_layers_and_only_in_training() -> None:
    ours, _ = pair(num_layers=2, dropout=0.5)
    x = torch.randn(T, B, M, dtype=torch.float64)
    assert not torch.equal(ours(x)[0], ours(x)[0])
    ours.eval()
    assert torch.equal(ours(x)[0], ours(x)[0])
    # with everything dropped, the second layer sees zeros, and the first is what it was
    everything = codegen.build("lstm", M, N, num_layers=2, dropout=1.0)
    data = torch.randn(T, B, M)
    second = codegen.build("lstm", N, N)
    second.l0.load_state_dict(everything.l1.state_dict())
    assert torch.allclose(everything(data)[0], second(torch.zeros(T, B, N))[0])
    assert everything.trace(data)["h"].abs().sum() > 0


def test_one_state_is_a_tensor_and_several_are_a_tuple() -> None:
    _, state = codegen.build("gru", M, N)(torch.randn(T, B, M))
    assert state.shape == (1, B, N)
    _, state = codegen.build("lstm", M, N)(torch.randn(T, B, M))
    assert [s.shape for s in state] == [(1, B, N)] * 2


def test_device_and_dtype_reach_every_parameter() -> None:
    layer = codegen.build(
        "lstm", M, N, num_layers=2, dtype=torch.float64, device="meta", trainable_state=True
    )
    assert {(p.dtype, p.device.type) for p in layer.parameters()} == {(torch.float64, "meta")}


def test_state_dict_reads_like_the_paper_and_goes_round() -> None:
    layer = codegen.build("lstm", M, N, num_layers=2, bidirectional=True)
    keys = list(layer.state_dict())
    assert keys[:3] == ["l0.cell.W_i", "l0.cell.U_i", "l0.cell.b_i"]
    assert "l1_reverse.cell.U" in keys
    assert len(keys) == 4 * 12
    other = codegen.build("lstm", M, N, num_layers=2, bidirectional=True)
    x = torch.randn(T, B, M)
    assert not torch.equal(layer(x)[0], other(x)[0])
    other.load_state_dict(layer.state_dict())
    assert torch.equal(layer(x)[0], other(x)[0])


def test_parameters_are_drawn_as_in_torch() -> None:
    layer = codegen.build("lstm", M, 100)
    values = torch.cat([p.detach().flatten() for p in layer.parameters()])
    assert values.abs().max() <= 0.1
    assert values.abs().max() > 0.099
    assert abs(values.std() - 0.1 / 3**0.5) < 1e-3


def test_initial_biases_hold_for_every_layer_and_survive_a_reset() -> None:
    layer = codegen.build(
        "lstm", M, N, num_layers=2, bidirectional=True, biases={"b_f": 1.0, "b_i": torch.arange(N)}
    )
    layer.reset_parameters()
    for part in layer.children():
        assert torch.equal(part.cell.b_f, torch.ones(N))
        assert torch.equal(part.cell.b_i, torch.arange(N, dtype=torch.float32))
        assert part.cell.b_o.abs().min() > 0


def test_trainable_initial_state() -> None:
    layer = codegen.build("lstm", M, N, num_layers=2, trainable_state=True)
    x = torch.randn(T, B, M)
    zeros = tuple(torch.zeros(2, B, N) for _ in "hc")
    assert torch.equal(layer(x)[0], layer(x, zeros)[0])  # zero at first
    layer(x)[0].sum().backward()
    assert layer.initial_h.shape == (2, N)
    assert layer.initial_h.grad.abs().sum() > 0
    assert layer.initial_c.grad.abs().sum() > 0
    with torch.no_grad():
        layer.initial_c.fill_(1.0)
    assert not torch.equal(layer(x)[0], layer(x, zeros)[0])
    ones = (torch.zeros(2, N), torch.ones(2, N))
    assert torch.allclose(layer(x[:, 0])[0], layer(x[:, 0], ones)[0])


def test_choice_of_activations() -> None:
    layer = codegen.build("lstm", M, N, activations={"c_tilde": "relu"})
    trace = layer.trace(torch.randn(T, B, M))
    assert trace["c_tilde"].min() == 0
    assert layer.cell != derive.cell("lstm")
    with pytest.raises(derive.DeriveError, match="c_tilde"):
        codegen.build("lstm", M, N, activations={"c_tile": "relu"})


def test_trace_gives_every_vector_over_time() -> None:
    layer = codegen.build("lstm", M, N, num_layers=2, bidirectional=True, batch_first=True, backend="eager")
    x = torch.randn(B, T, M)
    output, (h, _) = layer(x)
    forward, backward = (layer.trace(x, layer=1, reverse=back) for back in (False, True))
    assert list(forward) == [symbol.name for symbol in layer.cell.equations]
    assert all(v.shape == (B, T, N) for v in forward.values())
    assert torch.equal(torch.cat([forward["h"], backward["h"]], -1), output)
    assert torch.equal(backward["h"][:, 0], h[3])
    assert torch.allclose(forward["h"], forward["o"] * torch.tanh(forward["c"]))
    with pytest.raises(UnknownName, match="no layer 2"):
        layer.trace(x, layer=2)


def test_trace_uses_the_equations_names() -> None:
    awkward = next(cell for cell in UNUSUAL if cell.name == "awkward-names")
    assert list(codegen.build(awkward, 0, N).trace(torch.zeros(T, B, 0))) == ["F", "_v", "s"]


def test_steps_make_a_sequence() -> None:
    layer = codegen.build("lstm", M, N, num_layers=2)
    x = torch.randn(T, B, M)
    whole, last = layer(x)
    state, outputs = None, []
    for x_t in x:
        output, state = layer.step(x_t, state)
        outputs.append(output)
    assert torch.allclose(torch.stack(outputs), whole, atol=1e-6)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(state, last, strict=True))
    output, state = layer.step(x[0, 0])
    assert output.shape == (N,)
    assert [s.shape for s in state] == [(2, N)] * 2


def test_a_bidirectional_layer_has_no_step() -> None:
    with pytest.raises(Unsupported, match="bidirectional"):
        codegen.build("gru", M, N, bidirectional=True).step(torch.zeros(B, M))


def test_equation_parameters_are_views() -> None:
    layer = codegen.build("lstm", M, N)
    views = layer.equation_parameters()
    assert list(views) == list(derive.cell("lstm").parameters)
    assert set(layer.equation_parameters(grad=True).values()) == {None}
    views["W_f"].fill_(0.25)
    assert (layer.l0.cell.W_f == 0.25).all()
    layer(torch.randn(T, B, M))[0].sum().backward()
    gradient = layer.equation_parameters(grad=True)["U"]
    gradient.zero_()
    assert (layer.l0.cell.U.grad == 0).all()
    assert not any(
        name.startswith("b") for name in codegen.build("lstm", M, N, bias=False).equation_parameters()
    )


def test_no_input_and_no_output() -> None:
    silent = next(cell for cell in UNUSUAL if cell.name == "no-output")
    output, state = codegen.build(silent, M, N)(torch.randn(T, B, M))
    assert output.shape == (T, B, 0)
    assert state.shape == (1, B, N)
    alone = next(cell for cell in UNUSUAL if cell.name == "no-input")
    output, _ = codegen.build(alone, 0, N)(torch.empty(T, B, 0))
    assert output.shape == (T, B, N)


def test_repr_names_the_options_the_backend_and_why() -> None:
    text = repr(codegen.build("lstm", M, N, num_layers=2, dropout=0.1, biases={"b_f": 1.0}))
    assert text.startswith(
        "RecurrentLayer(\n  lstm, 2, 4, num_layers=2, dropout=0.1, biases={'b_f': 1.0}, backend="
    )
    assert "batch_first" not in text
    assert "(asked for)" in repr(codegen.build("lstm", M, N, backend="eager"))


def test_attributes_and_no_ops_of_torch() -> None:
    layer = codegen.build("lstm", M, N, num_layers=2, batch_first=True)
    layer.flatten_parameters()
    for name in (
        "input_size",
        "hidden_size",
        "num_layers",
        "bias",
        "batch_first",
        "dropout",
        "bidirectional",
    ):
        assert getattr(layer, name) == getattr(nn.LSTM(M, N, num_layers=2, batch_first=True), name)


@pytest.mark.parametrize("backend", ["eager", "fused"])
def test_the_source_of_a_layer_is_what_emit_gives(backend: str) -> None:
    assert codegen.build("gru", M, N, backend=backend).source == codegen.emit("gru", backend)


def test_gradients_of_gradients() -> None:
    layer = codegen.build("gru", M, N, dtype=torch.float64)
    x = torch.randn(3, 1, M, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda v: layer(v)[0], (x,))


MISTAKES = {
    "features": lambda layer: layer(torch.zeros(T, B, M + 1)),
    "axes of the input": lambda layer: layer(torch.zeros(M)),
    "no steps": lambda layer: layer(torch.zeros(0, B, M)),
    "dtype": lambda layer: layer(torch.zeros(T, B, M, dtype=torch.float64)),
    "batch of the state": lambda layer: layer(torch.zeros(T, B, M), (torch.zeros(1, 9, N),) * 2),
    "size of the state": lambda layer: layer(torch.zeros(T, B, M), (torch.zeros(1, B, N + 1),) * 2),
    "axes of the state": lambda layer: layer(torch.zeros(T, B, M), (torch.zeros(1, N),) * 2),
    "axes of the state, unbatched": lambda layer: layer(torch.zeros(T, M), (torch.zeros(1, 1, N),) * 2),
}


class TestErrors:
    """Each of the kind that ``torch.nn.LSTM`` raises for the same mistake."""

    @pytest.mark.parametrize("mistake", MISTAKES)
    def test_is_torchs(self, mistake: str) -> None:
        call = MISTAKES[mistake]
        with pytest.raises((RuntimeError, ValueError, TypeError)) as theirs:
            call(nn.LSTM(M, N))
        with pytest.raises(theirs.type):
            call(codegen.build("lstm", M, N))

    @pytest.mark.parametrize(
        ("mistake", "message"),
        [
            ("features", r"Expected 2, got 3"),
            ("axes of the input", r"Expected input to be 2D or 3D, got 1D"),
            ("dtype", r"torch.float64.*does not match.*torch.float32"),
            ("batch of the state", r"Expected hidden size \(1, 3, 4\) for h, got \[1, 9, 4\]"),
            ("axes of the state", r"3-D but got 2-D"),
        ],
    )
    def test_says_expected_and_got(self, mistake: str, message: str) -> None:
        with pytest.raises((RuntimeError, ValueError), match=message):
            MISTAKES[mistake](codegen.build("lstm", M, N))

    def test_wrong_number_of_states(self) -> None:
        with pytest.raises(RuntimeError, match=r"\(h, c\) as a tuple of 2 tensors, got one tensor"):
            codegen.build("lstm", M, N)(torch.zeros(T, B, M), torch.zeros(1, B, N))
        with pytest.raises(RuntimeError, match=r"\(s\) as one tensor"):
            codegen.build("gru", M, N)(torch.zeros(T, B, M), (torch.zeros(1, B, N),) * 2)

    def test_features_of_a_packed_sequence(self) -> None:
        with pytest.raises(RuntimeError, match="Expected 2, got 3"):  # which torch.nn.LSTM lets pass
            codegen.build("lstm", M, N)(pack_sequence([torch.zeros(T, M + 1)]))

    def test_not_a_tensor(self) -> None:
        with pytest.raises(TypeError, match="expected a Tensor or PackedSequence, got list"):
            codegen.build("gru", M, N)([[1.0, 2.0]])
