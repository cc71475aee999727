"""``build``: what it refuses, in torch's kinds of errors, and what it says."""

import inspect

import pytest
import torch
from torch import nn

import codegen
import derive
from codegen import UnknownBackend, UnknownName, Unsupported
from derive import Cell, Input, Parameter, State, tanh
from tests.codegen.unusual_cells import UNUSUAL

WRONG = {
    "input_size": ({"input_size": 2.0}, {"input_size": 0}, {"input_size": -1}),
    "hidden_size": ({"hidden_size": "4"}, {"hidden_size": 0}),
    "num_layers": ({"num_layers": 0},),
    "bias": ({"bias": 1},),
    "batch_first": ({"batch_first": None},),
    "dropout": ({"dropout": 1.5}, {"dropout": -0.1}, {"dropout": "a"}, {"dropout": True}),
}


@pytest.mark.parametrize("options", [o for cases in WRONG.values() for o in cases], ids=str)
def test_refuses_what_torch_refuses(options) -> None:
    arguments = {"input_size": 2, "hidden_size": 4} | options
    with pytest.raises((TypeError, ValueError)) as theirs:
        nn.LSTM(**arguments)
    with pytest.raises(theirs.type, match=next(iter(options))):
        codegen.build("lstm", **arguments)


def test_warns_where_torch_warns() -> None:
    with pytest.warns(UserWarning, match="num_layers greater than 1"):
        codegen.build("lstm", 2, 4, dropout=0.5)


def test_has_the_arguments_of_torch() -> None:
    theirs = set(inspect.signature(nn.RNNBase.__init__).parameters) - {"self", "mode", "proj_size"}
    assert theirs <= set(inspect.signature(codegen.build).parameters)


def test_unknown_cell() -> None:
    with pytest.raises(derive.UnknownCell, match="did you mean 'gru'"):
        codegen.build("grru", 2, 4)


def test_unknown_backend_lists_those_there_are() -> None:
    with pytest.raises(UnknownBackend, match="did you mean 'eager'") as caught:
        codegen.build("gru", 2, 4, backend="eger")
    assert all(name in str(caught.value) for name in codegen.backends())


def test_unknown_bias_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="no bias 'b_ff'; did you mean 'b_f'"):
        codegen.build("lstm", 2, 4, biases={"b_ff": 1.0})
    with pytest.raises(UnknownName, match="It has none"):
        codegen.build("lstm", 2, 4, bias=False, biases={"b_f": 1.0})
    with pytest.raises(UnknownName, match="no bias 'W_f'"):
        codegen.build("lstm", 2, 4, biases={"W_f": 1.0})


def test_other_axes_need_sizes() -> None:
    cell = next(cell for cell in UNUSUAL if cell.name == "other-axes")
    with pytest.raises(UnknownName, match=r"axes \['w'\] besides n and m"):
        codegen.build(cell, 2, 4)
    with pytest.raises(UnknownName, match="no axis 'ww'"):
        codegen.build(cell, 2, 4, sizes={"w": 3, "ww": 5})
    layer = codegen.build(cell, 2, 4, num_layers=2, sizes={"w": 7})
    assert layer.equation_parameters()["A"].shape == (7, 4)
    assert layer(torch.zeros(3, 1, 2))[0].shape == (3, 1, 4)
    assert "w=7" in repr(layer)


def test_cells_without_input() -> None:
    cell = next(cell for cell in UNUSUAL if cell.name == "no-input")
    with pytest.raises(ValueError, match="no-input has no input: input_size must be 0, got 2"):
        codegen.build(cell, 2, 4)
    with pytest.raises(Unsupported, match="cannot be stacked"):
        codegen.build(cell, 0, 4, num_layers=2)


def test_inputs_with_the_axis_of_the_state() -> None:
    s = State("s")
    cell = Cell("added", {s: tanh(Parameter("W", "n", "n") @ s.prev + Input("x", "n"))}, output=s)
    with pytest.raises(ValueError, match="input_size must be 4, got 2"):
        codegen.build(cell, 2, 4)
    assert codegen.build(cell, 4, 4, num_layers=2)(torch.zeros(3, 1, 4))[0].shape == (3, 1, 4)
    with pytest.raises(ValueError, match="8 output features"):
        codegen.build(cell, 4, 4, num_layers=2, bidirectional=True)


@pytest.mark.parametrize("name", ["forward", "train", "state_dict", "_private", "hidden_size"])
def test_parameters_that_would_hide_a_method_are_refused(name: str) -> None:
    s = State("s")
    cell = Cell("clash", {s: tanh(Parameter(name, "n", "n") @ s.prev)}, output=s)
    with pytest.raises(Unsupported, match=f"cannot be called '{name}'"):
        codegen.build(cell, 0, 4)


def test_every_attribute_of_a_module_is_refused_as_a_parameter() -> None:
    """The list in codegen.writing.names is written by hand, since emitting does not import torch."""
    from codegen.writing.names import _MODULE_ATTRIBUTES

    generated = codegen.build("peephole-lstm", 2, 3).l0.cell
    public = {name for name in dir(generated) if not name.startswith("_")} - set(
        derive.cell("peephole-lstm").parameters
    )
    assert public <= _MODULE_ATTRIBUTES


def test_a_cell_without_parameters() -> None:
    s = derive.State("s")
    cell = derive.Cell("bare", {s: derive.tanh(s.prev)}, output=s)
    layer = codegen.build(cell, 0, 3, dtype=torch.float64, trainable_state=True)
    assert layer(torch.zeros(2, 1, 0, dtype=torch.float64))[0].dtype == torch.float64
    assert codegen.check(cell)


def test_attached_modules_are_not_taken_for_layers() -> None:
    layer = codegen.build("gru", 3, 4)
    layer.head = torch.nn.Linear(4, 2)
    layer.reset_parameters()
    assert layer(torch.zeros(2, 1, 3))[0].shape == (2, 1, 4)
    assert set(layer.equation_parameters()) == set(derive.cell("gru").parameters)
