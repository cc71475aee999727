"""Long wires made straight where nothing stands in the way: each step less is a corner less to follow."""

from __future__ import annotations

from collections.abc import Sequence

from derive.show.diagram.flow import Edge
from derive.show.diagram.geometry import CAPTION, CIRCLES, Sizes, Tree, tree
from derive.show.diagram.layers import Layers

CLEAR, ALIKE = 8.0, 10.0
"""The least distance between a passing wire and a node, or another passing wire."""


def straighten(sizes: Sizes, edges: Sequence[Edge], layers: Layers) -> None:
    """Move level stretches of wires to the height of what they lead from or to."""
    for place in sorted({tree(edge) for edge in edges}):
        stretch: list[int] = []
        for column in [c for t, c in sorted(layers.passes) if t == place]:
            if stretch and layers.passes[place, column] != layers.passes[place, stretch[-1]]:
                _move(sizes, edges, layers, place, stretch)
                stretch = stretch if layers.passes[place, column] == layers.passes[place, stretch[-1]] else []
            stretch.append(column)
        if stretch:
            _move(sizes, edges, layers, place, stretch)


def _move(sizes: Sizes, edges: Sequence[Edge], layers: Layers, place: Tree, stretch: list[int]) -> None:
    """One level stretch to the height, among those beside it, that saves the most corners.

    A source that stands at the same height and has no other wires goes along.
    """
    source, now = place[0], layers.passes[place, stretch[0]]
    beside = _beside(sizes, edges, layers, place, stretch)
    alone = not sizes.nodes[source].inputs and all(tree(e) == place for e in edges if e.source == source)
    along = alone and stretch[0] == layers.columns[source] + 1 and layers.heights[source] == now
    if along:
        beside = beside[1:]

    def corners(y: float) -> int:
        return sum(abs(y - other) > 0.01 for other in beside)

    def fits(y: float) -> bool:
        room = sizes(source)[1] / 2 + CAPTION if along else 0.0
        stays = not along or _free(sizes, layers, place, layers.columns[source], y, room)
        return stays and all(_free(sizes, layers, place, column, y) for column in stretch)

    best = min(filter(fits, beside), key=lambda y: (corners(y), abs(y - now), y), default=now)
    if corners(best) < corners(now):
        layers.heights[source] = best if along else layers.heights[source]
        for column in stretch:
            layers.passes[place, column] = best


def _beside(sizes: Sizes, edges: Sequence[Edge], layers: Layers, place: Tree, stretch: list[int]) -> list[float]:
    """The heights from which the tree comes and to which it goes; a circle may be entered from any."""
    first, last = stretch[0], stretch[-1]
    found = [layers.passes.get((place, first - 1), layers.heights[place[0]])]
    if (place, last + 1) in layers.passes:
        found.append(layers.passes[place, last + 1])
    for edge in edges:
        column = layers.columns[edge.target]
        if tree(edge) == place and first < column <= last + 1 and sizes.nodes[edge.target].kind not in CIRCLES:
            found.append(layers.heights[edge.target] + sizes.pin(edge.target, edge.slot))
    return found


def _free(sizes: Sizes, layers: Layers, place: Tree, column: int, y: float, room: float = 0.0) -> bool:
    """Whether a wire may pass a column at a height, or its source, which takes some room, may stand there."""
    near = (
        abs(y - layers.heights[i]) < sizes(i)[1] / 2 + CLEAR + room
        for i, c in enumerate(layers.columns)
        if c == column and (i != place[0])
    )
    passing = (other for (t, c), other in layers.passes.items() if c == column and t != place)
    return not any(near) and all(abs(y - other) > ALIKE + room for other in passing)
