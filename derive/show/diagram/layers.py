"""Columns and heights of the nodes, by graphlay.

A tree of wires that passes a column on its way is given a place there once, however many wires share it;
so the library sees each tree as one thing and keeps room for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from derive.show.diagram.flow import Edge
from derive.show.diagram.geometry import APART, CAPTION, CIRCLES, ENDS, Passage, Sizes, Tree, tree

STYLES = ("network_simplex", "brandes_koepf")
"""The library's two ways to find heights: the shortest wires, or the straightest."""

_SPACING = {"layer_gap": 40.0, "node_gap": 20.0, "dummy_gap": 14.0, "port_gap": 10.0}
_HEAVY, _LONG, _SHORT = 40.0, 3.0, 1.0
"""What it weighs that a wire is straight: a carry, one past other columns, one to the next column."""


@dataclass
class Layers:
    """Column and middle height of each node, and the height at which each tree passes the columns between."""

    edges: Sequence[Edge]
    columns: list[int]
    heights: list[float]
    passes: dict[Passage, float]
    ends: dict[Tree, list[int]] = field(init=False)

    def __post_init__(self) -> None:
        self.ends = {}
        for edge in self.edges:
            self.ends.setdefault(tree(edge), []).append(edge.target)

    def leave(self, place: Tree) -> float:
        """The height at which a tree leaves its source: a second one on the side of most of its ends."""
        middle = self.heights[place[0]]
        if not second(place, self.ends):
            return middle
        up = sum(self.heights[end] - middle for end in self.ends[place]) < 0
        return middle + (-APART if up else APART)


def second(place: Tree, trees: Any) -> bool:
    """Whether a tree leaves its source beside another, which keeps the middle: the carry does."""
    return any(source == place[0] and flow < place[1] for source, flow in trees)


def find_columns(sizes: Sizes, edges: Sequence[Edge], order: Sequence[int]) -> list[int]:
    """The column of each node: the past on the left edge, the present on the right."""
    import graphlay

    graph = graphlay.Graph()
    for index in order:
        w, h = sizes(index)
        kind = sizes.nodes[index].kind
        rank = "first" if kind in ("past", "input") else "last" if kind in ("new", "output") else "free"
        graph.node(index, width=w, height=h, rank=rank)
    for edge in edges:
        graph.edge(edge.source, edge.target)
    drawing = graphlay.layout(graph)
    ranks = {index: int(found["rank"]) for index, found in zip(graph.ids, drawing.nodes, strict=True)}
    return [ranks[index] for index in range(len(sizes.nodes))]


@dataclass(frozen=True)
class Attempt:
    """What a layout is asked for: ``order`` breaks ties, ``upside_down`` turns the library's picture over."""

    columns: list[int]
    order: Sequence[int]
    style: str
    upside_down: bool


def arrange(sizes: Sizes, edges: Sequence[Edge], attempt: Attempt) -> Layers:
    """One layered layout."""
    columns = attempt.columns
    passing = sorted({(tree(e), c) for e in edges for c in range(columns[e.source] + 1, columns[e.target])})
    graph = _Graph(sizes, edges, -1.0 if attempt.upside_down else 1.0)
    for index in attempt.order:
        graph.node(index, columns[index])
    for passage in passing:
        graph.passage(passage)
    for edge in edges:
        graph.wire(edge, columns)
    found = graph.heights(attempt.style)
    heights = [found[index] for index in range(len(sizes.nodes))]
    return Layers(edges, columns, heights, {passage: found[passage] for passage in passing})


class _Graph:
    """The layered graph as the library is given it: every wire runs from one column to the next."""

    def __init__(self, sizes: Sizes, edges: Sequence[Edge], sign: float) -> None:
        import graphlay

        self.sizes, self.sign = sizes, sign
        self.graph, self.layout = graphlay.Graph(), graphlay.layout
        self.trees = {tree(edge) for edge in edges}
        self.seen: set[tuple[Any, Any]] = set()

    def node(self, index: int, column: int) -> None:
        w, h = self.sizes(index)
        kind = self.sizes.nodes[index].kind
        shape = "ellipse" if kind in CIRCLES else "box"
        room = CAPTION if kind in ENDS else 0.0
        self.graph.node(index, width=w, height=h + room, shape=shape, rank={"fixed": column})

    def passage(self, passage: Passage) -> None:
        self.graph.node(passage, width=8.0, height=2.0, rank={"fixed": passage[1]})

    def wire(self, edge: Edge, columns: Sequence[int]) -> None:
        stops: list[Any] = [(tree(edge), c) for c in range(columns[edge.source] + 1, columns[edge.target])]
        path = [edge.source, *stops, edge.target]
        for a, b in pairwise(path):
            if b == edge.target or (a, b) not in self.seen:
                self.seen.add((a, b))
                self.graph.edge(a, b, **self._fields(edge, a, b))

    def _fields(self, edge: Edge, a: Any, b: Any) -> dict[str, Any]:
        weight = _HEAVY if edge.flow == "carry" else _SHORT if b == edge.target else _LONG
        fields: dict[str, Any] = {"weight": weight}
        if a == edge.source and second(tree(edge), self.trees):
            fields["source_port"] = self._port("right", APART, a)
        if b == edge.target and self.sizes.nodes[b].kind == "block":
            fields["target_port"] = self._port("left", self.sizes.pin(b, edge.slot), b)
        return fields

    def _port(self, side: str, offset: float, index: int) -> dict[str, Any]:
        return {"offset": {"side": side, "t": self.sign * 2 * offset / self.sizes(index)[1]}}

    def heights(self, style: str) -> dict[Any, float]:
        drawing = self.layout(self.graph, options={"spacing": _SPACING, "coords": {"placement": style}})
        return {place: self.sign * float(y) for place, (_, y) in drawing.positions().items()}
