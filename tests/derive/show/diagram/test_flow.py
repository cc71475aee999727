"""Which wires are carries, which are reads of the past, and which are of this step."""

import pytest
import sympy
from hypothesis import given, settings

from derive import Cell, affine_parameters, catalogue, cell, mean, tanh
from derive.show.diagram.flow import edges
from derive.show.diagram.operations import operations
from tests.derive.show.diagram.pictures import carried, coefficient_of_past, s, single, x
from tests.strategies import gated_cells

CELLS = catalogue()
W, U, b = affine_parameters()


@pytest.mark.parametrize("name", CELLS)
def test_carry_is_drawn_iff_the_write_has_one(name: str) -> None:
    subject = cell(name)
    nodes = operations(subject)
    expected = {state for state in subject.states if coefficient_of_past(subject, state) != 0}
    assert carried(nodes, edges(nodes)) == expected
    assert expected == (set() if name == "vanilla" else {"c"} if "c" in subject.states else {"s"})


@pytest.mark.parametrize("name", CELLS)
def test_wires_from_the_past_are_reads_or_carries(name: str) -> None:
    nodes = operations(cell(name))
    for edge in edges(nodes):
        if nodes[edge.source].kind == "past":
            assert edge.flow in ("carry", "read")
        if nodes[edge.source].kind in ("input", "block"):
            assert edge.flow == "now"


@pytest.mark.parametrize(
    ("expr", "is_carry"),
    [
        (s.prev + tanh(U @ x), True),
        (s.prev / 2 + U @ x, True),
        (tanh(U @ x) * (1 - s.prev), True),
        (b * s.prev + U @ x, True),
        (tanh(W @ s.prev) * s.prev, True),
        (s.prev**2 + U @ x, False),
        (tanh(s.prev) + U @ x, False),
        (W @ s.prev + U @ x, False),
        (mean(s.prev) + U @ x, False),
        (tanh(W @ s.prev + U @ x + b), False),
    ],
)
def test_carry_of_small_cells(expr: sympy.Expr, is_carry: bool) -> None:
    nodes = operations(single(expr))
    assert carried(nodes, edges(nodes)) == ({"s"} if is_carry else set())


def test_squash_of_the_past_is_read_on() -> None:
    """tanh(s[t-1]) holds nothing of this step, so its wires are dashed too; a product with a gate is not."""
    nodes = operations(cell("pseudo-lstm"))
    flows = {nodes[e.source].kind: e.flow for e in edges(nodes) if nodes[e.target].kind == "block"}
    assert flows == {"squash": "read", "input": "now", "product": "now"}


@settings(max_examples=25)
@given(gated_cells())
def test_carries_of_any_gated_cell(subject: Cell) -> None:
    nodes = operations(subject)
    expected = {state for state in subject.states if coefficient_of_past(subject, state) != 0}
    assert carried(nodes, edges(nodes)) == expected
