"""The wires between placed nodes: every tree runs to the right, with one vertical trunk in a gap where it needs one.

A block is entered from the left, at the row of its matrix.  A circle takes one wire from the left (the carry, if there
is one); a wire that comes from below or above turns into it from there, as on paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Literal

from derive.show.diagram.channel import NEAR, Trunk, ordered
from derive.show.diagram.flow import Edge
from derive.show.diagram.geometry import (
    CAPTION,
    CIRCLES,
    ENDS,
    RADIUS,
    Box,
    Placement,
    Point,
    Route,
    Sizes,
    Tree,
    tree,
)
from derive.show.diagram.layers import Layers

Side = Literal["left", "above", "below"]

MARGIN_LEFT, MARGIN_RIGHT, TRACK = 12.0, 17.0, 11.0
HOOK = RADIUS + 15.0
"""How far from a circle's middle a wire runs that turns into it from a gap."""


def route(sizes: Sizes, edges: Sequence[Edge], layers: Layers) -> Placement:
    """Boxes and wires, moved to the origin."""
    return _Router(sizes, edges, layers).placement()


class _Router:
    def __init__(self, sizes: Sizes, edges: Sequence[Edge], layers: Layers) -> None:
        self.sizes, self.edges, self.layers = sizes, edges, layers
        self.nodes = sizes.nodes
        self.entries = [self._plain_entry(edge) for edge in edges]
        self._turn_into_circles()
        self.tracks: dict[tuple[Tree, int], int] = {}
        counts = [self._assign_tracks(gap) for gap in range(max(layers.columns))]
        self._columns(counts)

    # heights

    def height(self, place: Tree, column: int) -> float:
        """The height at which a tree leaves a column to the right."""
        if column == self.layers.columns[place[0]]:
            return self.layers.leave(place, self.edges)
        return self.layers.passes[place, column]

    def _plain_entry(self, edge: Edge) -> tuple[Side, float]:
        return "left", self.layers.heights[edge.target] + self.sizes.pin(edge.target, edge.slot)

    def arrival(self, edge: Edge) -> float:
        """The height at which a wire comes to the gap before its target."""
        return self.height(tree(edge), self.layers.columns[edge.target] - 1)

    # circles

    def _turn_into_circles(self) -> None:
        for target, node in enumerate(self.nodes):
            if node.kind in CIRCLES:
                entering = [k for k, edge in enumerate(self.edges) if edge.target == target]
                middle = self.layers.heights[target]
                entering.sort(key=lambda k: (self.edges[k].flow != "carry", abs(self.arrival(self.edges[k]) - middle), k))
                free: list[Side] = ["left", "below", "above"]
                for k in entering:
                    self.entries[k] = self._entry(self.edges[k], middle, free, entering)

    def _entry(self, edge: Edge, middle: float, free: list[Side], entering: list[int]) -> tuple[Side, float]:
        arrival = self.arrival(edge)
        turn: Side = "below" if arrival > middle else "above"
        straight = edge.flow == "carry" or abs(arrival - middle) < NEAR
        if "left" in free and (straight or len(entering) == 1):
            free.remove("left")
            return "left", middle
        if abs(arrival - middle) > RADIUS + NEAR and turn in free and self._clear(edge, arrival, middle):
            free.remove(turn)
            return turn, arrival
        if "left" in free:
            free.remove("left")
            return "left", middle
        for side in (turn, *free):  # a hook: down to just below the circle, and up into it
            hook = middle + (HOOK if side == "below" else -HOOK)
            if side in free and self._clear(edge, hook, middle):
                free.remove(side)
                return side, hook
        return "left", middle + (6.0 if arrival > middle else -6.0)

    def _clear(self, edge: Edge, arrival: float, middle: float) -> bool:
        """Whether nothing stands in the column between a wire's height and the circle."""
        low, high = sorted((arrival, middle))
        column = self.layers.columns[edge.target]
        for index, other in enumerate(self.layers.columns):
            half = self.sizes(index)[1] / 2 + 2 * NEAR
            if other == column and index != edge.target and low - half < self.layers.heights[index] < high + half:
                return False
        passing = [y for (t, c), y in self.layers.passes.items() if c == column and t != tree(edge)]
        turns = [y for (side, y), e in zip(self.entries, self.edges, strict=True) if side != "left" and self._column(e) == column]
        return all(abs(y - arrival) > 2 * NEAR for y in (*passing, *turns))

    def _column(self, edge: Edge) -> int:
        return self.layers.columns[edge.target]

    # gaps

    def _gap(self, gap: int) -> dict[Tree, Trunk]:
        """The trees that cross a gap, each as a trunk (flat where it goes straight on)."""
        right: dict[Tree, set[float]] = {}
        for edge, (_, y) in zip(self.edges, self.entries, strict=True):
            if self.layers.columns[edge.source] <= gap < self._column(edge):
                ends = right.setdefault(tree(edge), set())
                ends.add(y if self._column(edge) == gap + 1 else self.layers.passes[tree(edge), gap + 1])
        return {t: Trunk(self.height(t, gap), tuple(sorted(ys))) for t, ys in sorted(right.items())}

    def _assign_tracks(self, gap: int) -> int:
        trunks = {t: trunk for t, trunk in self._gap(gap).items() if trunk.span[1] - trunk.span[0] > 0.01}
        trees = list(trunks)
        for position, k in enumerate(ordered(list(trunks.values()))):
            self.tracks[trees[k], gap] = position
        return len(trees)

    # places

    def _columns(self, counts: list[int]) -> None:
        widths = [0.0] * (len(counts) + 1)
        for index, column in enumerate(self.layers.columns):
            widths[column] = max(widths[column], self.sizes(index)[0])
        gaps = [MARGIN_LEFT + MARGIN_RIGHT + TRACK * max(count - 1, 0) for count in counts]
        starts = list(accumulate((w + g for w, g in zip(widths, gaps, strict=False)), initial=0.0))
        self.middles = [start + w / 2 for start, w in zip(starts, widths, strict=True)]
        self.gaps = [start + w for start, w in zip(starts, widths, strict=True)]

    def _points(self, edge: Edge, entry: tuple[Side, float]) -> list[Point]:
        place, first, last = tree(edge), self.layers.columns[edge.source], self._column(edge)
        y = self.height(place, first)
        half = self.sizes.half_width(edge.source, y - self.layers.heights[edge.source])
        points = [(self.middles[first] + half, y)]
        for gap in range(first, last):
            after = entry[1] if gap + 1 == last else self.layers.passes[place, gap + 1]
            if abs(after - y) > 0.01:
                x = self.gaps[gap] + MARGIN_LEFT + TRACK * self.tracks[place, gap]
                points += [(x, y), (x, after)]
                y = after
        return [*points, *self._last(edge, entry)]

    def _last(self, edge: Edge, entry: tuple[Side, float]) -> list[Point]:
        side, y = entry
        x, middle = self.middles[self._column(edge)], self.layers.heights[edge.target]
        if side == "left":
            return [(x - self.sizes.half_width(edge.target, y - middle), y)]
        return [(x, y), (x, middle + (RADIUS if side == "below" else -RADIUS))]

    def placement(self) -> Placement:
        lines = [self._points(edge, entry) for edge, entry in zip(self.edges, self.entries, strict=True)]
        boxes = []
        for index, (column, y) in enumerate(zip(self.layers.columns, self.layers.heights, strict=True)):
            w, h = self.sizes(index)
            boxes.append(Box(self.middles[column] - w / 2, y - h / 2, w, h))
        rooms = [CAPTION if node.kind in ENDS[1:] else 0.0 for node in self.nodes]
        left = min(box.x for box in boxes)
        top = min(*(box.y for box in boxes), *(y for line in lines for _, y in line))
        ends = [box.y + box.h + room for box, room in zip(boxes, rooms, strict=True)]
        bottom = max(*ends, *(y for line in lines for _, y in line))
        return Placement(
            tuple(Box(_round(b.x - left), _round(b.y - top), b.w, b.h) for b in boxes),
            tuple(Route(e, _line(line, left, top)) for e, line in zip(self.edges, lines, strict=True)),
            _round(max(b.x + b.w for b in boxes) - left),
            _round(bottom - top),
        )


def _line(points: Sequence[Point], left: float, top: float) -> tuple[Point, ...]:
    """A polyline without points in the middle of a straight piece."""
    line: list[Point] = []
    for x, y in points:
        point = _round(x - left), _round(y - top)
        if line and point == line[-1]:
            continue
        if len(line) > 1 and any(line[-2][k] == line[-1][k] == point[k] for k in (0, 1)):
            line.pop()
        line.append(point)
    return tuple(line)


def _round(value: float) -> float:
    return round(value, 2) + 0.0
