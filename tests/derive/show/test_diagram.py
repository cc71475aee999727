"""Diagrams: what is in the picture, what each wire means, and that nothing lies on top of anything else."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest
import sympy
from hypothesis import given, settings

from derive import (
    Activated,
    Cell,
    Input,
    Linear,
    Parameter,
    Previous,
    State,
    UnknownCell,
    Vector,
    affine_parameters,
    catalogue,
    cell,
    mean,
    relu,
    sigmoid,
    tanh,
    variance,
)
from derive.show.diagram import diagram
from derive.show.diagram.flow import Edge, edges
from derive.show.diagram.geometry import Box, Placement, Point, Sizes
from derive.show.diagram.operations import Node, operations
from derive.show.diagram.placement import place
from derive.show.diagram.quality import crossings, overlaps
from derive.show.diagram.typeset import plain, quantity, width
from tests.strategies import cells, gated_cells

ROOT = Path(__file__).resolve().parents[3]
SVG = "{http://www.w3.org/2000/svg}"
CELLS = catalogue()

s, x = State("s"), Input("x")
f, g, v, y = Vector("f"), Vector("g"), Vector("v"), Vector("y")
W, U, b = affine_parameters()
V = Parameter("V", "n", "n")


@cache
def svg_of(name: str) -> str:
    return diagram(name)


@cache
def picture(subject: Cell) -> tuple[tuple[Node, ...], tuple[Edge, ...], Placement]:
    nodes = operations(subject)
    wires = edges(nodes)
    return nodes, wires, place(nodes, wires)


def parse(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def groups(root: ElementTree.Element) -> Iterator[tuple[list[str], str, list[str]]]:
    """Of each drawn node: its kinds, its vector, its labels."""
    for group in root.iter(f"{SVG}g"):
        kinds = group.get("class", "").split()
        if kinds[:1] == ["node"]:
            labels = ["".join(text.itertext()).replace("\u200a", "") for text in group.iter(f"{SVG}text")]
            yield kinds[1:], group.get("data-name", ""), labels


def spelt(symbol: Vector | Previous | Parameter | Input) -> str:
    return plain(quantity(symbol)).replace("_", "")


# what is in the picture


@pytest.mark.parametrize("name", CELLS)
def test_svg_is_well_formed_and_self_contained(name: str) -> None:
    svg = svg_of(name)
    root = parse(svg)
    assert root.tag == f"{SVG}svg"
    left, top, w, h = map(float, root.attrib["viewBox"].split())
    assert (left, top) == (0, 0)
    assert 150 < w < 900
    assert 100 < h < 500
    assert "href" not in svg
    assert "url(" not in svg
    assert root.findtext(f"{SVG}title") == cell(name).title
    assert root.findtext(f"{SVG}desc") == str(cell(name))


@pytest.mark.parametrize("name", CELLS)
def test_every_vector_is_named_once(name: str) -> None:
    subject = cell(name)
    found = list(groups(parse(svg_of(name))))
    for symbol in subject.equations:
        ends = [("past", f"{spelt(symbol)}−1"), ("new", spelt(symbol))] if isinstance(symbol, State) else []
        inside = [] if ends else [("output" if symbol.name == subject.output else "block", spelt(symbol))]
        if symbol.name == "a":  # a vector that no block computes is named on its wire
            inside = [("tag", "at")]
        named = [(kinds[0], labels) for kinds, vector, labels in found if vector == symbol.name]
        assert sorted(kind for kind, _ in named) == sorted(kind for kind, _ in [*ends, *inside])
        for kind, text in [*ends, *inside]:
            assert text in dict(named)[kind]
    assert [labels for kinds, _, labels in found if "input" in kinds] == [["xt", "input"]]


@pytest.mark.parametrize("name", CELLS)
def test_parameters_stand_in_the_block_of_their_equation(name: str) -> None:
    subject = cell(name)
    blocks = [(vector, labels) for kinds, vector, labels in groups(parse(svg_of(name))) if "block" in kinds]
    written = Counter(label for _, labels in blocks for label in labels)
    for parameter in subject.parameters:
        assert written[spelt(subject.symbols[parameter])] == 1, parameter
    for symbol, expr in subject.equations.items():
        rows = {spelt(p) for p in expr.atoms(Parameter)}
        assert not rows or any(
            rows <= set(labels) for vector, labels in blocks if vector in (symbol.name, "")
        )


@pytest.mark.parametrize("name", CELLS)
def test_output_is_marked(name: str) -> None:
    subject = cell(name)
    marked = [vector for _, vector, labels in groups(parse(svg_of(name))) if "output" in labels]
    assert marked == [subject.output]


def names(nodes: Sequence[Node]) -> dict[int, tuple[str, int]]:
    """The vectors that nodes compute, with their lag."""
    found = {wire.source: (n.symbol, 0) for n in nodes if n.kind in ("new", "output") for wire in n.inputs}
    found |= {
        i: (n.symbol, 0) for i, n in enumerate(nodes) if n.kind in ("block", "tag", "input") and n.symbol
    }
    return found | {i: (n.symbol, 1) for i, n in enumerate(nodes) if n.kind == "past"}


def vectors(nodes: Sequence[Node], index: int) -> set[tuple[str, int]]:
    """What a node's value is made of, elementwise."""
    if index in names(nodes):
        return {names(nodes)[index]}
    return {vector for wire in nodes[index].inputs for vector in vectors(nodes, wire.source)}


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


# what the wires mean


def coefficient_of_past(subject: Cell, state: str) -> sympy.Expr:
    """The elementwise coefficient of a state's past in its write, by polynomial algebra alone."""
    values: dict[sympy.Expr, sympy.Expr] = {}
    for symbol, expr in subject.equations.items():
        opaque = {node: sympy.Dummy() for node in expr.atoms(Linear, Activated)}
        powers = {node: sympy.Dummy() for node in expr.xreplace(opaque).atoms(sympy.Pow)}
        values[symbol] = sympy.expand(expr.xreplace(opaque).xreplace(powers).xreplace(values))
    past = Previous(state, *subject.axes(state))
    return values[subject.symbols[state]].coeff(past, 1)


def carried(nodes: Sequence[Node], wires: Sequence[Edge]) -> set[str]:
    return {nodes[e.target].symbol for e in wires if e.flow == "carry" and nodes[e.target].kind == "new"}


@pytest.mark.parametrize("name", CELLS)
def test_carry_is_drawn_iff_the_write_has_one(name: str) -> None:
    subject = cell(name)
    nodes = operations(subject)
    expected = {state for state in subject.states if coefficient_of_past(subject, state) != 0}
    assert carried(nodes, edges(nodes)) == expected
    assert expected == (set() if name == "vanilla" else {"c"} if "c" in subject.states else {"s"})


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


@pytest.mark.parametrize("name", CELLS)
def test_wires_from_the_past_are_reads_or_carries(name: str) -> None:
    nodes = operations(cell(name))
    for edge in edges(nodes):
        if nodes[edge.source].kind == "past":
            assert edge.flow in ("carry", "read")
        if nodes[edge.source].kind in ("input", "block"):
            assert edge.flow == "now"


def test_legend_explains_what_is_there_and_nothing_else() -> None:
    legend = parse(svg_of("vanilla")).findall(f"{SVG}g")[-1]
    assert ["".join(t.itertext()) for t in legend.iter(f"{SVG}text")] == [
        "read of the past",
        "this step",
        "candidate",
    ]
    legend = parse(svg_of("lstm")).findall(f"{SVG}g")[-1]
    words = ["carry", "read of the past", "this step", "gate", "candidate"]
    assert ["".join(t.itertext()) for t in legend.iter(f"{SVG}text")] == words


def single(expr: sympy.Expr, **more: sympy.Expr) -> Cell:
    """A cell with one state, and the vectors in ``more`` before it."""
    return Cell("single", {**{Vector(name): value for name, value in more.items()}, s: expr}, output=s)


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


# how expressions become operations


def kinds(subject: Cell) -> Counter[str]:
    return Counter(node.kind for node in operations(subject))


def test_equal_expressions_are_drawn_once() -> None:
    assert kinds(cell("pseudo-lstm"))["squash"] == 2  # one of the past, one of the present


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


# geometry

APART = 4.0


def assert_clean(nodes: Sequence[Node], placed: Placement) -> None:
    sizes = Sizes(nodes)
    for box in placed.boxes:
        assert box.x >= 0
        assert box.y >= 0
        assert box.x + box.w <= placed.width
        assert box.y + box.h <= placed.height
    for one, other in combinations(placed.boxes, 2):
        across = one.x + one.w + APART <= other.x or other.x + other.w + APART <= one.x
        assert across or one.y + one.h + APART <= other.y or other.y + other.h + APART <= one.y
    for route in placed.routes:
        start, end = route.points[0], route.points[-1]
        assert on_border(nodes[route.edge.source], placed.boxes[route.edge.source], start)
        assert on_border(nodes[route.edge.target], placed.boxes[route.edge.target], end)
        assert all(0 <= px <= placed.width and 0 <= py <= placed.height for px, py in route.points)
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


@settings(max_examples=15)
@given(gated_cells())
def test_any_gated_cell_shows_its_carries(subject: Cell) -> None:
    nodes, wires, placed = picture(subject)
    assert_clean(nodes, placed)
    assert carried(nodes, wires) <= {st for st in subject.states if coefficient_of_past(subject, st) != 0}


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


# the function itself


def test_names_and_cells_are_taken() -> None:
    assert diagram("gru") == diagram(cell("gru"))
    with pytest.raises(UnknownCell, match="gru"):
        diagram("grü")


def test_same_bytes_in_every_process() -> None:
    code = (
        "from derive.show.diagram import diagram as d; print(d('peephole-lstm'), d('normalized-prototype'))"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(runs) == 1


def test_layout_library_is_loaded_late() -> None:
    code = "import derive.show.diagram, sys; print('graphlay' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_golden(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"show/{name}.svg", svg_of(name))
