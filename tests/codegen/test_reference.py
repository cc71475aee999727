"""torch's cells as declared here compute what torch computes; weights go there and back."""

import pytest
import torch
from torch import nn

import codegen
from codegen import Unsupported
from codegen.reference import find, torch_cells
from derive import Cell, Input, State, affine_parameters, cell, relu, sigmoid, tanh

MODULES = {
    "vanilla": (nn.RNN, {}),
    "lstm": (nn.LSTM, {}),
    "torch-gru": (nn.GRU, {}),
    "torch-rnn-relu": (nn.RNN, {"nonlinearity": "relu"}),
}
DECLARED = {entry.cell.name: entry.cell for entry in torch_cells()}


def build(name: str, **options) -> codegen.RecurrentLayer:
    return codegen.build(DECLARED.get(name, name), 2, 3, dtype=torch.float64, **options)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"num_layers": 2, "bidirectional": True}], ids=str)
def test_weights_go_there_and_back(name: str, options) -> None:
    make, extra = MODULES[name]
    theirs = make(2, 3, dtype=torch.float64, **extra, **options)
    ours = build(name, **options).from_torch(theirs)
    x = torch.randn(5, 2, 2, dtype=torch.float64)
    back = ours.to_torch()
    assert type(back) is make
    for other in (theirs, back):
        assert torch.allclose(ours(x)[0], other(x)[0], rtol=0, atol=1e-12)
    again = build(name, **options).from_torch(back)
    for a, b in zip(again.parameters(), ours.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-12)


def test_one_bias_of_ours_is_the_sum_of_torchs_two() -> None:
    theirs = nn.LSTM(2, 3, dtype=torch.float64)
    ours = build("lstm").from_torch(theirs)
    expected = (theirs.bias_ih_l0 + theirs.bias_hh_l0)[3:6]  # the forget gate's rows
    assert torch.allclose(ours.l0.cell.b_f, expected, rtol=0, atol=1e-15)


def test_a_cell_of_ones_own_finds_torchs() -> None:
    s, x = State("state"), Input("x")
    W, U, b = affine_parameters()
    own = Cell("own", {s: relu(W @ s.prev + U @ x + b)}, output=s)
    found = find(own)
    assert found is not None
    assert found[0].options == {"nonlinearity": "relu"}


def test_what_torch_does_not_have_is_refused() -> None:
    with pytest.raises(Unsupported, match="torch has no module that computes pseudo-lstm"):
        build("pseudo-lstm").to_torch()
    with pytest.raises(Unsupported, match=r"does not compute what torch\.nn\.LSTM does"):
        build("pseudo-lstm").from_torch(nn.LSTM(2, 3))
    assert find(cell("gru")) is None  # the article's GRU resets before the product


def test_the_gru_of_the_article_is_not_torchs() -> None:
    with pytest.raises(Unsupported, match=r"gru does not compute what torch\.nn\.GRU does"):
        build("gru").from_torch(nn.GRU(2, 3))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (lambda: nn.LSTM(2, 4), "hidden_size differs: 4 in torch's module, 3 here"),
        (lambda: nn.LSTM(2, 3, num_layers=2), "num_layers differs"),
        (lambda: nn.LSTM(2, 3, bidirectional=True), "bidirectional differs"),
        (lambda: nn.LSTM(2, 3, proj_size=2), "projection"),
        (lambda: nn.LSTM(2, 3, bias=False), "does not compute"),
        (lambda: nn.Linear(2, 3), "not from Linear"),
    ],
)
def test_mismatches_say_what_differs(module, message: str) -> None:
    with pytest.raises(Unsupported, match=message):
        build("lstm").from_torch(module())


def test_declared_activations() -> None:
    s, x = State("s"), Input("x")
    W, U, b = affine_parameters()
    for activation, exists in ((tanh, True), (relu, True), (sigmoid, False)):
        own = Cell("own", {s: activation(W @ s.prev + U @ x + b)}, output=s)
        assert (find(own) is not None) is exists
