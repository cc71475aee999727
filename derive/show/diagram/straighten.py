"""Wires made straight where nothing stands in the way: each step less is a corner less to follow.

Nodes and passing wires that are joined by straight wires form a *level*.  A level moves, as one, to a height
at which more of the wires that lead to it or from it are straight too.
"""

from __future__ import annotations

from typing import NamedTuple

import networkx as nx

from derive.show.diagram.flow import Edge
from derive.show.diagram.geometry import CAPTION, CIRCLES, ENDS, Passage, Sizes, Tree, tree
from derive.show.diagram.layers import Layers

Place = int | Passage
"""A node, or a tree's passage through a column."""

CLEAR, ALIKE = 8.0, 10.0
"""The least distance between a passing wire and a node, or another passing wire."""
LITTLE = 14.0
"""How far a level with a block in it may move: the library had reasons for its height."""


class Link(NamedTuple):
    """A piece of a wire between neighbouring columns; it enters its right end ``offset`` below the middle."""

    left: Place
    right: Place
    offset: float
    tree: Tree


def straighten(sizes: Sizes, layers: Layers) -> None:
    """Move every level once, those that have the fewest members first."""
    levels = _Levels(sizes, layers)
    for level in levels.found():
        levels.move(level)


class _Levels:
    def __init__(self, sizes: Sizes, layers: Layers) -> None:
        self.sizes, self.layers = sizes, layers
        carries = [edge for edge in layers.edges if edge.flow == "carry"]
        self.carried = {end for edge in carries for end in (edge.source, edge.target)}
        self.places: list[Place] = [*range(len(sizes.nodes)), *layers.passes]
        self.stacks: dict[int, list[Place]] = {}
        for place in self.places:
            self.stacks.setdefault(self._column(place), []).append(place)
        self.links = list(dict.fromkeys(link for edge in layers.edges for link in self._links(edge)))

    def _links(self, edge: Edge) -> list[Link]:
        first, last = self.layers.columns[edge.source], self.layers.columns[edge.target]
        stops: list[Place] = [edge.source, *((tree(edge), c) for c in range(first + 1, last)), edge.target]
        offsets = [0.0] * (len(stops) - 2) + [self.sizes.pin(edge.target, edge.slot)]
        return [Link(a, b, off, tree(edge)) for a, b, off in zip(stops, stops[1:], offsets, strict=False)]

    def _height(self, place: Place) -> float:
        return self.layers.heights[place] if isinstance(place, int) else self.layers.passes[place]

    def _step(self, link: Link) -> float:
        """How far the right end of a piece stands below its left end."""
        node = isinstance(link.left, int)
        start = self.layers.leave(link.tree) if node else self._height(link.left)
        return self._height(link.right) + link.offset - start

    def found(self) -> list[list[Place]]:
        """The levels, each in the order of its places."""
        graph = nx.Graph()
        graph.add_nodes_from(self.places)
        graph.add_edges_from((link.left, link.right) for link in self.links if _straight(self._step(link)))
        levels = [sorted(level, key=self.places.index) for level in nx.connected_components(graph)]
        return sorted(levels, key=lambda level: (len(level), self.places.index(level[0])))

    def move(self, level: list[Place]) -> None:
        """To where most of its wires are straight, and if there are several, to the nearest."""
        if any(self._heavy(place) for place in level):
            return
        touching = [link for link in self.links if link.left in level or link.right in level]
        touching = [link for link in touching if self._matters(link)]
        steps = {self._step(link) * (1 if link.left in level else -1) for link in touching}
        best, most = 0.0, self._gain(touching, level, 0.0)
        for shift in sorted(steps, key=lambda step: (abs(step), step)):
            gain = self._gain(touching, level, shift)
            if gain > most and self._free(level, shift):
                best, most = shift, gain
        self._shift(level, best)

    def _heavy(self, place: Place) -> bool:
        """The carry stays where it is: the picture hangs on it."""
        return place in self.carried if isinstance(place, int) else place[0][1] == "carry"

    def _matters(self, link: Link) -> bool:
        """A circle on a carry is turned into from below or above, so its height is nothing to aim at."""
        end = link.right
        return not (isinstance(end, int) and end in self.carried and self.sizes.nodes[end].kind in CIRCLES)

    def _gain(self, touching: list[Link], level: list[Place], shift: float) -> int:
        """How many wires at the level are straight once it has moved."""
        self._shift(level, shift)
        count = sum(_straight(self._step(link)) for link in touching)
        self._shift(level, -shift)
        return count

    def _shift(self, level: list[Place], shift: float) -> None:
        for place in level:
            if isinstance(place, int):
                self.layers.heights[place] += shift
            else:
                self.layers.passes[place] += shift

    def _free(self, level: list[Place], shift: float) -> bool:
        blocks = any(isinstance(place, int) and self.sizes.nodes[place].kind == "block" for place in level)
        if blocks and abs(shift) > LITTLE:
            return False
        beside = ((place, other) for place in level for other in self.stacks[self._column(place)])
        return all(other in level or self._apart(place, other, shift) for place, other in beside)

    def _apart(self, place: Place, other: Place, shift: float) -> bool:
        """Whether a place still has room beside another after a move; nodes do not change their order."""
        now = self._height(place) - self._height(other)
        between_wires = not isinstance(place, int) and not isinstance(other, int)
        room = ALIKE if between_wires else self._half(place) + self._half(other) + CLEAR
        same_order = (now > 0) == (now + shift > 0)
        wire = not isinstance(place, int) or not isinstance(other, int)
        return abs(now + shift) >= room and (wire or same_order)

    def _column(self, place: Place) -> int:
        return self.layers.columns[place] if isinstance(place, int) else place[1]

    def _half(self, place: Place) -> float:
        if not isinstance(place, int):
            return 0.0
        caption = CAPTION if self.sizes.nodes[place].kind in ENDS else 0.0
        return (self.sizes(place)[1] + caption) / 2


def _straight(step: float) -> bool:
    return abs(step) < 0.01
