"""Class names and identifiers."""

import pytest

import derive
from codegen.lowering import lower
from codegen.writing.names import RESERVED, Identifiers, class_name
from derive import Cell, Input, State, Vector, affine_parameters, tanh
from tests.codegen.unusual_cells import UNUSUAL

CELLS = [*map(derive.cell, derive.catalogue()), *UNUSUAL]
W, U, b = affine_parameters()
s = State("s")


def titled(name: str, title: str = "") -> Cell:
    return Cell(name, {s: tanh(W @ s.prev)}, output=s, title=title)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (derive.cell("vanilla"), "Vanilla"),
        (derive.cell("gru"), "GRU"),
        (derive.cell("lstm"), "LSTM"),
        (derive.cell("pseudo-lstm-d12"), "PseudoLSTMD12"),
        (derive.cell("peephole-lstm"), "PeepholeLSTM"),
        (derive.cell("normalized-prototype"), "NormalizedPrototype"),
        (titled("my-lstm"), "MyLstm"),
        (titled("my-sru", "My SRU"), "MySRU"),
        (titled("2-gates"), "Cell2Gates"),
        (titled("tensor"), "TensorLayer"),
        (titled("f"), "FLayer"),
        (titled("none"), "NoneLayer"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_class_names(cell: Cell, expected: str) -> None:
    assert class_name(cell) == expected


@pytest.mark.parametrize(
    "cell", [*map(derive.cell, derive.catalogue()), *UNUSUAL], ids=lambda cell: cell.name
)
def test_identifiers_are_distinct_and_free(cell: Cell) -> None:
    names = Identifiers(lower(cell))
    values = list(names.values())
    assert len(set(values)) == len(values)
    assert not RESERVED & set(values)
    assert all(value.removeprefix("self.").isidentifier() for value in values)


def test_names_that_code_uses_itself_are_changed() -> None:
    torch_, step, x_prev = Vector("torch"), Vector("step"), Vector("s_prev")
    cell = Cell(
        "clash",
        {torch_: tanh(U @ Input("x")), step: torch_ * s.prev, x_prev: step + torch_, s: x_prev},
        output=s,
    )
    names = Identifiers(lower(cell))
    assert [names[v] for v in cell.equations] == ["torch_2", "step_2", "s_prev", "s"]
    assert names[s.prev] == "s_prev_2"
