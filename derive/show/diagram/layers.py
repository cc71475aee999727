"""Columns and heights of the nodes, by graphlay.

A tree of wires that passes a column on its way is given a place there once, however many wires share it; so the library
sees each tree as one thing and keeps room for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from derive.show.diagram.flow import Edge
from derive.show.diagram.geometry import APART, CAPTION, CIRCLES, ENDS, Sizes, Tree, exits, tree

_SPACING = {"layer_gap": 40.0, "node_gap": 20.0, "dummy_gap": 14.0, "port_gap": 10.0}
_HEAVY, _LONG = 40.0, 3.0
"""What it weighs that a carry, or a wire past other columns, is straight; a short wire weighs 1."""

STYLES = ("network_simplex", "brandes_koepf")
"""The library's two ways to find heights: the shortest wires, or the straightest."""


@dataclass
class Layers:
    """Column and middle height of each node, and the height at which each tree passes the columns between."""

    columns: list[int]
    heights: list[float]
    passes: dict[tuple[Tree, int], float] = field(default_factory=dict)

    def leave(self, place: Tree, edges: Sequence[Edge]) -> float:
        """The height at which a tree leaves its source: a second tree on the side on which most of its wires end."""
        source, flow = place
        middle = self.heights[source]
        second = exits([edge for edge in edges if edge.source == source])[source].index(flow)
        ends = [self.heights[edge.target] - middle for edge in edges if tree(edge) == place]
        return middle + second * (-APART if sum(ends) < 0 else APART)


def columns(sizes: Sizes, edges: Sequence[Edge], order: Sequence[int]) -> list[int]:
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
    ranks = {i: int(found["rank"]) for i, found in zip(graph.ids, graphlay.layout(graph).nodes, strict=True)}
    return [ranks[index] for index in range(len(sizes.nodes))]


def arrange(
    sizes: Sizes, edges: Sequence[Edge], placed: list[int], order: Sequence[int], style: str, upside_down: bool
) -> Layers:
    """A layered layout; ``order`` breaks the library's ties, ``upside_down`` turns its picture over."""
    passing = sorted({(tree(e), c) for e in edges for c in range(placed[e.source] + 1, placed[e.target])})
    graph = _Graph(sizes, edges, -1.0 if upside_down else 1.0)
    for index in order:
        graph.node(index, placed[index])
    for place in passing:
        graph.passage(place)
    for edge in edges:
        graph.wire(edge, placed)
    found = graph.heights(style)
    return Layers(placed, [found[i] for i in range(len(sizes.nodes))], {place: found[place] for place in passing})


class _Graph:
    """The layered graph as the library is given it: every wire runs from one column to the next."""

    def __init__(self, sizes: Sizes, edges: Sequence[Edge], sign: float) -> None:
        import graphlay

        self.sizes, self.sign = sizes, sign
        self.graph, self.layout = graphlay.Graph(), graphlay.layout
        self.exits = exits(edges)
        self.seen: set[tuple[Any, Any]] = set()

    def node(self, index: int, column: int) -> None:
        w, h = self.sizes(index)
        kind = self.sizes.nodes[index].kind
        shape = "ellipse" if kind in CIRCLES else "box"
        room = CAPTION if kind in ENDS else 0.0
        self.graph.node(index, width=w, height=h + room, shape=shape, rank={"fixed": column})

    def passage(self, place: tuple[Tree, int]) -> None:
        self.graph.node(place, width=8.0, height=2.0, rank={"fixed": place[1]})

    def wire(self, edge: Edge, placed: Sequence[int]) -> None:
        stops: list[Any] = [(tree(edge), c) for c in range(placed[edge.source] + 1, placed[edge.target])]
        path = [edge.source, *stops, edge.target]
        for a, b in zip(path, path[1:], strict=False):
            if b == edge.target or (a, b) not in self.seen:
                self.seen.add((a, b))
                self.graph.edge(a, b, **self._fields(edge, a, b))

    def _fields(self, edge: Edge, a: Any, b: Any) -> dict[str, Any]:
        fields: dict[str, Any] = {"weight": _HEAVY if edge.flow == "carry" else 1.0 if isinstance(b, int) else _LONG}
        if isinstance(a, int) and len(self.exits[a]) > 1:
            fields["source_port"] = self._port("right", APART * self.exits[a].index(edge.flow), self.sizes(a)[1])
        if isinstance(b, int) and self.sizes.nodes[b].kind == "block":
            fields["target_port"] = self._port("left", self.sizes.pin(b, edge.slot), self.sizes(b)[1])
        return fields

    def _port(self, side: str, offset: float, height: float) -> dict[str, Any]:
        return {"offset": {"side": side, "t": self.sign * 2 * offset / height}}

    def heights(self, style: str) -> dict[Any, float]:
        drawing = self.layout(self.graph, options={"spacing": _SPACING, "coords": {"placement": style}})
        return {place: self.sign * float(y) for place, (_, y) in drawing.positions().items()}
