"""Wires made straight where nothing stands in the way: each step less is a corner less to follow.

Nodes and passing wires that are joined by straight wires form a *level*.  A level moves, as one, to a height at which
more of the wires that lead to it or from it are straight too.
"""

from __future__ import annotations

from collections.abc import Sequence

import networkx as nx

from derive.show.diagram.flow import Edge
from derive.show.diagram.geometry import CAPTION, CIRCLES, ENDS, Sizes, Tree, tree
from derive.show.diagram.layers import Layers

Place = int | tuple[Tree, int]
"""A node, or a tree's passage through a column."""

CLEAR, ALIKE = 8.0, 10.0
"""The least distance between a passing wire and a node, or another passing wire."""
LITTLE = 14.0
"""How far a level with a block in it may move: the library had reasons for its height."""


def straighten(sizes: Sizes, edges: Sequence[Edge], layers: Layers) -> None:
    """Move every level once, those that have the fewest members first."""
    levels = _Levels(sizes, edges, layers)
    for level in levels.found():
        levels.move(level)


class _Levels:
    def __init__(self, sizes: Sizes, edges: Sequence[Edge], layers: Layers) -> None:
        self.sizes, self.edges, self.layers = sizes, edges, layers
        self.carried = {end for e in edges if e.flow == "carry" for end in (e.source, e.target)}
        self.links = sorted({link for edge in edges for link in self._links(edge)}, key=str)

    def _links(self, edge: Edge) -> list[tuple[Place, Place, float, Tree]]:
        """The pieces of a wire from column to column, with what their right end stands below its place's middle."""
        place = tree(edge)
        first, last = self.layers.columns[edge.source], self.layers.columns[edge.target]
        stops: list[Place] = [edge.source, *((place, c) for c in range(first + 1, last)), edge.target]
        offsets = [0.0] * (len(stops) - 2) + [self.sizes.pin(edge.target, edge.slot)]
        return [(a, b, offset, place) for a, b, offset in zip(stops, stops[1:], offsets, strict=False)]

    def _height(self, place: Place) -> float:
        return self.layers.heights[place] if isinstance(place, int) else self.layers.passes[place]

    def _step(self, link: tuple[Place, Place, float, Tree]) -> float:
        """How far the right end of a piece stands below its left end."""
        a, b, offset, place = link
        start = self.layers.leave(place, self.edges) if isinstance(a, int) else self._height(a)
        return self._height(b) + offset - start

    def found(self) -> list[list[Place]]:
        graph = nx.Graph()
        graph.add_nodes_from([*range(len(self.sizes.nodes)), *self.layers.passes])
        graph.add_edges_from((a, b) for a, b, *rest in self.links if abs(self._step((a, b, *rest))) < 0.01)
        return sorted((sorted(level, key=str) for level in nx.connected_components(graph)), key=lambda v: (len(v), str(v)))

    def move(self, level: list[Place]) -> None:
        if any(place in self.carried or (not isinstance(place, int) and place[0][1] == "carry") for place in level):
            return
        steps = [(link, link[0] in level) for link in self.links if (link[0] in level) != (link[1] in level)]
        shifts = sorted({(1 if out else -1) * self._step(link) for link, out in steps if self._matters(link)}, key=abs)
        best, most = 0.0, self._straight(level, 0.0)
        for shift in shifts:
            if self._free(level, shift) and self._straight(level, shift) > most:
                best, most = shift, self._straight(level, shift)
        self._shift(level, best)

    def _matters(self, link: tuple[Place, Place, float, Tree]) -> bool:
        """A circle on a carry is turned into from below or above, so its height is nothing to aim at."""
        return not (isinstance(link[1], int) and link[1] in self.carried and self.sizes.nodes[link[1]].kind in CIRCLES)

    def _straight(self, level: list[Place], shift: float) -> int:
        """How many wires at the level are straight once it has moved."""
        self._shift(level, shift)
        touching = [link for link in self.links if link[0] in level or link[1] in level]
        count = sum(abs(self._step(link)) < 0.01 for link in touching if self._matters(link))
        self._shift(level, -shift)
        return count

    def _shift(self, level: list[Place], shift: float) -> None:
        for place in level:
            if isinstance(place, int):
                self.layers.heights[place] += shift
            else:
                self.layers.passes[place] += shift

    def _free(self, level: list[Place], shift: float) -> bool:
        if abs(shift) > LITTLE and any(isinstance(p, int) and self.sizes.nodes[p].kind == "block" for p in level):
            return False
        rest = [p for p in (*range(len(self.sizes.nodes)), *self.layers.passes) if p not in level]
        return all(self._apart(place, other, shift) for place in level for other in rest)

    def _apart(self, place: Place, other: Place, shift: float) -> bool:
        """Whether a place still has room beside another after a move; nodes do not change their order."""
        if self._column(place) != self._column(other):
            return True
        now = self._height(place) - self._height(other)
        room = (self._half(place) + self._half(other)) or ALIKE - CLEAR
        passing = not isinstance(place, int) or not isinstance(other, int)
        return abs(now + shift) >= room + CLEAR and (passing or (now > 0) == (now + shift > 0))

    def _column(self, place: Place) -> int:
        return self.layers.columns[place] if isinstance(place, int) else place[1]

    def _half(self, place: Place) -> float:
        if not isinstance(place, int):
            return 0.0
        return (self.sizes(place)[1] + (CAPTION if self.sizes.nodes[place].kind in ENDS else 0.0)) / 2
