"""Geometry: no two things on top of each other, all inside, every wire from border to border."""

from collections.abc import Sequence
from itertools import combinations

import pytest
from hypothesis import given, settings

from derive import (
    Cell,
    Input,
    Parameter,
    State,
    Vector,
    affine_parameters,
    catalogue,
    cell,
    relu,
    sigmoid,
    tanh,
)
from derive.show.diagram import diagram
from derive.show.diagram.geometry import Box, Placement, Point, Sizes
from derive.show.diagram.operations import Node
from derive.show.diagram.quality import crossings, overlaps
from derive.show.diagram.typeset import width
from tests.derive.show.diagram.pictures import SVG, parse, picture
from tests.strategies import cells

CELLS = catalogue()
APART = 4.0
ROUNDING = 0.02

s, x = State("s"), Input("x")
f, g, v = Vector("f"), Vector("g"), Vector("v")
W, U, b = affine_parameters()
V = Parameter("V", "n", "n")


def assert_clean(nodes: Sequence[Node], placed: Placement) -> None:
    sizes = Sizes(nodes)
    for box in placed.boxes:
        assert box.x >= 0
        assert box.y >= 0
        assert box.x + box.w <= placed.width + ROUNDING
        assert box.y + box.h <= placed.height + ROUNDING
    for one, other in combinations(placed.boxes, 2):
        across = one.x + one.w + APART <= other.x or other.x + other.w + APART <= one.x
        assert across or one.y + one.h + APART <= other.y or other.y + other.h + APART <= one.y
    for route in placed.routes:
        start, end = route.points[0], route.points[-1]
        assert on_border(nodes[route.edge.source], placed.boxes[route.edge.source], start)
        assert on_border(nodes[route.edge.target], placed.boxes[route.edge.target], end)
        assert all(0 <= px <= placed.width for px, _ in route.points)
        assert all(0 <= py <= placed.height for _, py in route.points)
        for a, c in route.pieces:
            assert a != c
            assert a[0] == c[0] or a[1] == c[1]
            assert not any(inside(box, a, c) for box in placed.boxes)
    for index, node in enumerate(nodes):
        if node.kind not in ("product", "sum"):
            assert max(width(node.label, 15), width(node.name, 15)) <= sizes(index)[0]


def on_border(node: Node, box: Box, point: Point) -> bool:
    """On the outline, which is round at the ends of states and all around circles."""
    (cx, cy), (px, py) = box.centre, point
    if node.kind in ("product", "sum", "past", "input", "new", "output"):
        beyond = max(abs(px - cx) - (box.w - box.h) / 2, 0.0)
        return abs((beyond**2 + (py - cy) ** 2) ** 0.5 - box.h / 2) < 0.02
    return min(abs(px - box.x), abs(px - box.x - box.w)) < 0.02 and box.y < py < box.y + box.h


def inside(box: Box, a: Point, c: Point) -> bool:
    """Whether a piece of wire runs through the inside of a node."""
    (left, right), (top, bottom) = sorted((a[0], c[0])), sorted((a[1], c[1]))
    slack = 4.0  # a wire that leaves a circle beside its middle starts inside the square around it
    across = left < box.x + box.w - slack and right > box.x + slack
    return across and top < box.y + box.h - slack and bottom > box.y + slack


@pytest.mark.parametrize("name", CELLS)
def test_catalogue_is_laid_out_cleanly(name: str) -> None:
    nodes, _, placed = picture(cell(name))
    assert_clean(nodes, placed)
    assert overlaps(placed.routes) == 0


MOST_CROSSINGS = {"vanilla": 0, "gru": 2, "prototype": 5, "pseudo-lstm": 5, "lstm": 8, "peephole-lstm": 16}


@pytest.mark.parametrize(("name", "most"), MOST_CROSSINGS.items())
def test_crossings_do_not_grow(name: str, most: int) -> None:
    assert crossings(picture(cell(name))[2].routes) <= most


@settings(max_examples=15)
@given(cells())
def test_any_cell_is_laid_out_cleanly(subject: Cell) -> None:
    nodes, _, placed = picture(subject)
    assert_clean(nodes, placed)
    parse(diagram(subject))


@pytest.mark.parametrize("name", CELLS)
def test_carry_is_one_straight_line_on_top(name: str) -> None:
    nodes, _, placed = picture(cell(name))
    bold = [route for route in placed.routes if route.edge.flow == "carry"]
    assert len({point[1] for route in bold for point in route.points}) == (1 if bold else 0)
    for route in bold:
        ends = [
            placed.boxes[i] for i, node in enumerate(nodes) if node.kind in ("past", "input", "new", "output")
        ]
        assert all(box.centre[1] >= route.points[0][1] - 0.01 for box in ends)


h, c = State("h"), State("c")
ODD = {
    "no-input": {s: tanh(W @ s.prev + b)},
    "no-input-no-matrix": {s: sigmoid(s.prev)},
    "bare-carry": {s: s.prev},
    "delay-line": {h: c.prev, c: tanh(U @ x + W @ h.prev)},
    "two-carries": {f: sigmoid(U @ x), h: f * h.prev + c.prev, c: (1 - f) * c.prev + tanh(W @ h)},
    "twice-the-same-source": {s: tanh(W @ s.prev + V @ s.prev)},
    "same-equation-twice": {f: sigmoid(U @ x), g: sigmoid(U @ x), s: f * s.prev + g * relu(W @ s.prev)},
    "alias": {v: s.prev, s: v * sigmoid(U @ x)},
    "parameter-alone": {v: b, s: v * s.prev + U @ x},
    "powers": {s: s.prev**3 / (1 + s.prev**2) + U @ x},
    "many-factors": {
        f: sigmoid(U @ x),
        g: sigmoid(W @ s.prev),
        s: 3 * f * g * s.prev * tanh(f + g + s.prev) + b,
    },
}


@pytest.mark.parametrize("name", ODD)
def test_odd_cells_are_drawn(name: str) -> None:
    subject = Cell(name, ODD[name])
    nodes, _, placed = picture(subject)
    assert_clean(nodes, placed)
    assert parse(diagram(subject)).findtext(f"{SVG}title") == name
