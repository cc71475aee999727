"""The wires between placed nodes: every tree runs to the right, with a vertical trunk where it needs one.

A block is entered from the left, at the row of its matrix.  A circle takes one wire from the left (the carry,
if there is one); a wire that comes from below or above turns into it from there, as on paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Literal, NamedTuple

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

MARGIN_LEFT, MARGIN_RIGHT, TRACK = 12.0, 17.0, 11.0
HOOK = RADIUS + 15.0
"""How far from a circle's middle a wire runs that turns into it from a gap."""
BESIDE = 6.0
"""How far from the middle a wire enters a circle where all sides are taken."""

Side = Literal["left", "above", "below"]


class Entry(NamedTuple):
    """How a wire enters its target: from which side, and at which height it comes into that column."""

    side: Side
    y: float


def route(sizes: Sizes, layers: Layers) -> Placement:
    """Boxes and wires, moved to the origin."""
    return _Router(sizes, layers).placement()


class _Router:
    def __init__(self, sizes: Sizes, layers: Layers) -> None:
        self.sizes, self.layers, self.edges = sizes, layers, layers.edges
        self.entries = [Entry("left", self._row(edge)) for edge in self.edges]
        for target, node in enumerate(sizes.nodes):
            if node.kind in CIRCLES:
                self._enter_circle(target)
        self.tracks: dict[tuple[Tree, int], int] = {}
        counts = [self._assign_tracks(gap) for gap in range(max(layers.columns))]
        self._place_columns(counts)

    def _column(self, edge: Edge) -> int:
        return self.layers.columns[edge.target]

    def _row(self, edge: Edge) -> float:
        return self.layers.heights[edge.target] + self.sizes.pin(edge.target, edge.slot)

    def _height(self, place: Tree, column: int) -> float:
        """The height at which a tree leaves a column to the right."""
        starts = column == self.layers.columns[place[0]]
        return self.layers.leave(place) if starts else self.layers.passes[place, column]

    def _arrival(self, edge: Edge) -> float:
        """The height at which a wire comes to the gap before its target."""
        return self._height(tree(edge), self._column(edge) - 1)

    def _enter_circle(self, target: int) -> None:
        """Give the carry, or else the straightest wire, the left side, and the others what is left."""
        middle = self.layers.heights[target]
        entering = [k for k, edge in enumerate(self.edges) if edge.target == target]

        def rank(k: int) -> tuple[bool, float, int]:
            return self.edges[k].flow != "carry", abs(self._arrival(self.edges[k]) - middle), k

        free: list[Side] = ["left", "below", "above"]
        for k in sorted(entering, key=rank):
            self.entries[k] = entry = self._entry(self.edges[k], middle, free, alone=len(entering) == 1)
            if entry.side in free:
                free.remove(entry.side)

    def _entry(self, edge: Edge, middle: float, free: list[Side], alone: bool) -> Entry:
        arrival = self._arrival(edge)
        turn: Side = "below" if arrival > middle else "above"
        level = edge.flow == "carry" or abs(arrival - middle) < NEAR
        if "left" in free and (level or alone):
            return Entry("left", middle)
        far = abs(arrival - middle) > RADIUS + NEAR
        if far and turn in free and self._clear(edge, arrival, middle):
            return Entry(turn, arrival)
        if "left" in free:
            return Entry("left", middle)
        for side in (turn, *free):  # a hook: to just below or above the circle, and then into it
            hook = middle + (HOOK if side == "below" else -HOOK)
            if side in free and self._clear(edge, hook, middle):
                return Entry(side, hook)
        return Entry("left", middle + (BESIDE if arrival > middle else -BESIDE))

    def _clear(self, edge: Edge, y: float, middle: float) -> bool:
        """Whether nothing stands, and no other wire turns, in the column between a height and the circle."""
        low, high = sorted((y, middle))
        for index, column in enumerate(self.layers.columns):
            half = self.sizes(index)[1] / 2 + 2 * NEAR
            inside = low - half < self.layers.heights[index] < high + half
            if column == self._column(edge) and index != edge.target and inside:
                return False
        level = [h for (t, c), h in self.layers.passes.items() if c == self._column(edge) and t != tree(edge)]
        for other, entry in zip(self.edges, self.entries, strict=True):
            if entry.side == "left" or self._column(other) != self._column(edge) or tree(other) == tree(edge):
                continue
            level.append(entry.y)
            top, bottom = sorted((entry.y, self.layers.heights[other.target]))
            if top - NEAR < high and low < bottom + NEAR:
                return False
        return all(abs(h - y) > 2 * NEAR for h in level)

    def _trunks(self, gap: int) -> dict[Tree, Trunk]:
        """The trees that cross a gap, each as a trunk (flat where it goes straight on)."""
        right: dict[Tree, set[float]] = {}
        for edge, entry in zip(self.edges, self.entries, strict=True):
            if self.layers.columns[edge.source] <= gap < self._column(edge):
                right.setdefault(tree(edge), set()).add(self._after(edge, entry, gap))
        return {t: Trunk(self._height(t, gap), tuple(sorted(ys))) for t, ys in sorted(right.items())}

    def _after(self, edge: Edge, entry: Entry, gap: int) -> float:
        """The height of a wire to the right of a gap."""
        return entry.y if self._column(edge) == gap + 1 else self.layers.passes[tree(edge), gap + 1]

    def _assign_tracks(self, gap: int) -> int:
        """Place the trunks of a gap side by side; how many there are."""
        trunks = [
            (t, trunk) for t, trunk in self._trunks(gap).items() if trunk.span[1] - trunk.span[0] > 0.01
        ]
        for position, k in enumerate(ordered([trunk for _, trunk in trunks])):
            self.tracks[trunks[k][0], gap] = position
        return len(trunks)

    def _place_columns(self, counts: Sequence[int]) -> None:
        widths = [0.0] * (len(counts) + 1)
        for index, column in enumerate(self.layers.columns):
            widths[column] = max(widths[column], self.sizes(index)[0])
        gaps = [MARGIN_LEFT + MARGIN_RIGHT + TRACK * max(count - 1, 0) for count in counts]
        starts = list(accumulate((w + gap for w, gap in zip(widths, gaps, strict=False)), initial=0.0))
        self.middles = [start + w / 2 for start, w in zip(starts, widths, strict=True)]
        self.gaps = [start + w for start, w in zip(starts, widths, strict=True)]

    def _points(self, edge: Edge, entry: Entry) -> list[Point]:
        place, first = tree(edge), self.layers.columns[edge.source]
        y = self._height(place, first)
        half = self.sizes.half_width(edge.source, y - self.layers.heights[edge.source])
        points = [(self.middles[first] + half, y)]
        for gap in range(first, self._column(edge)):
            after = self._after(edge, entry, gap)
            if abs(after - y) > 0.01:
                x = self.gaps[gap] + MARGIN_LEFT + TRACK * self.tracks[place, gap]
                points += [(x, y), (x, after)]
                y = after
        return [*points, *self._last(edge, entry)]

    def _last(self, edge: Edge, entry: Entry) -> list[Point]:
        x, middle = self.middles[self._column(edge)], self.layers.heights[edge.target]
        if entry.side == "left":
            return [(x - self.sizes.half_width(edge.target, entry.y - middle), entry.y)]
        return [(x, entry.y), (x, middle + (RADIUS if entry.side == "below" else -RADIUS))]

    def placement(self) -> Placement:
        lines = [self._points(edge, entry) for edge, entry in zip(self.edges, self.entries, strict=True)]
        boxes = []
        for index, (column, y) in enumerate(zip(self.layers.columns, self.layers.heights, strict=True)):
            w, h = self.sizes(index)
            boxes.append(Box(self.middles[column] - w / 2, y - h / 2, w, h))
        rooms = [CAPTION if node.kind in ENDS[1:] else 0.0 for node in self.sizes.nodes]
        heights = [y for line in lines for _, y in line]
        left, right = min(box.x for box in boxes), max(box.x + box.w for box in boxes)
        top = min([*heights, *(box.y for box in boxes)])
        bottom = max([*heights, *(box.y + box.h + room for box, room in zip(boxes, rooms, strict=True))])
        return Placement(
            tuple(Box(_round(box.x - left), _round(box.y - top), box.w, box.h) for box in boxes),
            tuple(Route(e, _line(line, left, top)) for e, line in zip(self.edges, lines, strict=True)),
            _round(right - left),
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
