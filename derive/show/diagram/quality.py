"""How much a picture asks of the reader."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from derive.show.diagram.geometry import Placement, Route, Tree, tree
from derive.show.diagram.operations import Node


def price(nodes: Sequence[Node], picture: Placement) -> float:
    """The less the better: wires on top of each other, crossings, corners, a bent carry, room, odd order."""
    corners = {point for route in picture.routes for point in route.points[1:-1]}
    bent = sum(len(route.points) - 2 for route in picture.routes if route.edge.flow == "carry")
    area = picture.width * picture.height
    wires = (
        50.0 * overlaps(picture.routes) + 3.0 * crossings(picture.routes) + 0.5 * len(corners) + 8.0 * bent
    )
    return wires + area / 2e4 + _disorder(nodes, picture)


def crossings(routes: Sequence[Route]) -> int:
    """How often wires of different trees cross."""
    flat = {(tree(r.edge), piece) for r in routes for piece in r.pieces if piece[0][1] == piece[1][1]}
    steep = {(tree(r.edge), piece) for r in routes for piece in r.pieces if piece[0][0] == piece[1][0]}
    return sum(
        t != u and _strictly(a[0], c[0], b[0]) and _strictly(c[1], a[1], d[1])
        for t, (a, b) in flat
        for u, (c, d) in steep
    )


def _strictly(a: float, value: float, b: float) -> bool:
    return min(a, b) < value < max(a, b)


def overlaps(routes: Sequence[Route]) -> int:
    """How often wires of different trees lie on top of each other, and so cannot be told apart."""
    return sum(_stacked(routes, axis) for axis in (0, 1))


def _stacked(routes: Sequence[Route], axis: int) -> int:
    pieces: set[tuple[Tree, float, float, float]] = set()
    for route in routes:
        for a, b in route.pieces:
            if a[axis] == b[axis]:
                low, high = sorted((a[1 - axis], b[1 - axis]))
                pieces.add((tree(route.edge), a[axis], low, high))
    return sum(
        t != u and abs(at - other) < 2 and max(low, below) < min(high, above)
        for (t, at, low, high), (u, other, below, above) in combinations(sorted(pieces), 2)
    )


def _disorder(nodes: Sequence[Node], picture: Placement) -> float:
    """How far a picture is from the habit of the field: the carry on top, the input at the bottom."""
    boxes = picture.boxes
    carried = {route.edge.source for route in picture.routes if route.edge.flow == "carry"}
    starts = [index for index, node in enumerate(nodes) if node.kind in ("past", "input")]
    starts.sort(key=lambda index: boxes[index].y)
    ranks = [0 if index in carried else 2 if nodes[index].kind == "input" else 1 for index in starts]
    low = sum(boxes[index].centre[1] > picture.height / 2 for index in carried)
    return 12.0 * low + 3.0 * sum(a > b for a, b in combinations(ranks, 2))
