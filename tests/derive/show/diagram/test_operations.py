"""How expressions become operations, and how they are labelled."""

import pytest
import sympy

from derive import Parameter, State, Vector, affine_parameters, catalogue, cell, mean, tanh, variance
from derive.show.diagram.operations import operations
from derive.show.diagram.typeset import plain, quantity
from tests.derive.show.diagram.pictures import s, single, vectors, x

CELLS = catalogue()
W, U, b = affine_parameters()
V = Parameter("V", "n", "n")
v = Vector("v")


@pytest.mark.parametrize("name", CELLS)
def test_wires_enter_through_the_matrix_of_the_equation(name: str) -> None:
    subject = cell(name)
    nodes = operations(subject)
    drawn = {
        (vector, lag, plain(row.label))
        for node in nodes
        if node.kind == "block"
        for wire, row in zip(node.inputs, [row for row in node.rows if row.wired], strict=True)
        for vector, lag in vectors(nodes, wire.source)
    }
    expected = {
        (source, use.lag, plain(quantity(subject.symbols[use.through[-1]])))
        for source, _, uses in subject.graph.edges(data="uses")
        for use in uses
        if use.through and use.through[-1] in subject.parameters
    }
    assert drawn == expected


def test_equal_expressions_are_drawn_once() -> None:
    assert [node.kind for node in operations(cell("pseudo-lstm"))].count(
        "squash"
    ) == 2  # one of the past, one of the present


def test_normalization_is_a_chain() -> None:
    nodes = operations(cell("normalized-prototype"))
    labels = [plain(node.label) for node in nodes if node.kind in ("function", "scale")]
    assert labels == ["var", "1+", "1/√·"]


def test_layer_normalization_keeps_its_mean() -> None:
    centred = v - mean(v)
    subject = single(tanh(centred / (variance(v) + 1) ** sympy.Rational(1, 2)), v=W @ s.prev + U @ x)
    nodes = operations(subject)
    assert [plain(n.label) for n in nodes if n.kind == "function"].count("mean") == 1
    assert [plain(n.label) for n in nodes if n.kind == "function"].count("var") == 1
    [difference] = [n for n in nodes if n.kind == "sum"]
    assert sorted(wire.negative for wire in difference.inputs) == [False, True]


def test_rows_of_a_block_show_sign_scale_and_product() -> None:
    p = Parameter("p", "n")
    subject = single(tanh(2 * (W @ s.prev) - U @ x + p * s.prev + b - s.prev))
    [block] = [node for node in operations(subject) if node.kind == "block"]
    rows = {plain(row.label): row.wired for row in block.rows}
    assert rows == {"2W": True, "−U": True, "p\u2009⊙": True, "b": False, "−": True}


def test_nested_maps_are_nested_blocks() -> None:
    subject = single(tanh(W @ (V @ s.prev) + U @ x))
    nodes = operations(subject)
    blocks = [node for node in nodes if node.kind == "block"]
    assert [plain(row.label) for node in blocks for row in node.rows] == ["V", "W", "U"]
    assert nodes[blocks[1].inputs[0].source] is blocks[0]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s_tilde", "s˜"),
        ("W_i", "W_i"),
        ("U_s_tilde", "U_s˜"),
        ("alpha", "α"),
        ("W_2", "W_2"),
        ("W_keep", "W_keep"),
    ],
)
def test_names_are_typeset(name: str, text: str) -> None:
    assert plain(quantity(Parameter(name, "n"))) == text


def test_time_index_follows_a_subscript() -> None:
    assert plain(quantity(Vector("f_1"))) == "f_1,t"
    assert plain(quantity(State("h").prev)) == "h_t−1"
