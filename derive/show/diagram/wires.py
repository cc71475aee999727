"""The paint of the wires: trees with rounded corners, dots where they divide, arrowheads where they end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from derive.show.diagram.flow import Flow
from derive.show.diagram.geometry import Point, Route, Tree, tree
from derive.show.diagram.markup import label, n
from derive.show.diagram.typeset import upright

ORDER: tuple[Flow, ...] = ("now", "read", "carry")
"""From the lowest to the uppermost where they cross."""
CORNER = 5.0


def wires(routes: Sequence[Route]) -> Iterator[str]:
    """Tree by tree, each over a white halo, so that a crossing reads as one wire above the other."""
    trees: dict[Tree, list[Route]] = {}
    for route in routes:
        trees.setdefault(tree(route.edge), []).append(route)
    for source, flow in sorted(trees, key=lambda place: (ORDER.index(place[1]), place[0])):
        members = trees[source, flow]
        forks = _forks(members)
        path = "".join(path_of(points, forks) for points in _branches(members))
        yield f'<g class="tree {flow}" data-source="{source}">'
        yield f'<path d="{path}" class="wire halo"/>'
        yield f'<path d="{path}" class="wire {flow}"/>'
        yield from (f'<circle cx="{n(x)}" cy="{n(y)}" r="2.6" class="tip {flow}"/>' for x, y in forks)
        for route in members:
            yield tip(route.points, flow)
            if route.edge.negative:
                yield _minus(route.points)
        yield "</g>"


def _branches(members: list[Route]) -> Iterator[list[Point]]:
    """Each wire from where it leaves the wires before it: nothing is stroked twice, so dashes stay dashes."""
    drawn: list[tuple[Point, Point]] = []
    for route in members:
        points, start = list(route.points), 0
        for k, end in enumerate(route.points[1:]):
            shared = _along(points[k], end, drawn)
            if shared is None:
                break
            start, points[k] = k, shared
            if shared != end:
                break
        drawn += route.pieces
        yield shortened([p for k, p in enumerate(points) if k == start or (k > start and p != points[k - 1])])


def _along(start: Point, end: Point, drawn: list[tuple[Point, Point]]) -> Point | None:
    """How far a piece runs on drawn pieces, from its start; None where its start is on none of them."""
    reached: list[Point] = []
    for a, b in drawn:
        for k in (0, 1):
            if a[k] == b[k] == start[k] == end[k]:
                low, high = sorted((a[1 - k], b[1 - k]))
                if low <= start[1 - k] <= high:
                    reach = min(max(end[1 - k], low), high)
                    reached.append((start[0], reach) if k == 0 else (reach, start[1]))
    return max(reached, key=lambda p: abs(p[0] - start[0]) + abs(p[1] - start[1]), default=None)


def _forks(members: list[Route]) -> list[Point]:
    """The points at which a tree divides: at least three arms."""
    pieces = sorted({piece for route in members for piece in route.pieces})
    corners = sorted({p for piece in pieces for p in piece})

    def arms(p: Point) -> set[tuple[int, int]]:
        return {_way(p, end) for piece in pieces if _between(piece[0], p, piece[1]) for end in piece} - {
            (0, 0)
        }

    return [p for p in corners if len(arms(p)) > 2]


def _between(a: Point, p: Point, b: Point) -> bool:
    return all(min(a[k], b[k]) <= p[k] <= max(a[k], b[k]) for k in (0, 1))


def _way(a: Point, b: Point) -> tuple[int, int]:
    """The direction from one point to another, along an axis."""
    (dx, dy) = (b[0] - a[0], b[1] - a[1])
    return (dx > 0) - (dx < 0), (dy > 0) - (dy < 0)


def shortened(points: list[Point]) -> list[Point]:
    """The line stops inside its arrowhead, so that the tip is sharp."""
    dx, dy = _way(points[-2], points[-1])
    return [*points[:-1], (points[-1][0] - 5 * dx, points[-1][1] - 5 * dy)]


def path_of(points: Sequence[Point], sharp: Sequence[Point] = ()) -> str:
    """A polyline as path data, its corners rounded but for the sharp ones."""
    text = [f"M{n(points[0][0])} {n(points[0][1])}"]
    for a, b, c in zip(points, points[1:], points[2:], strict=False):
        r = 0.0 if b in sharp else min(CORNER, _distance(a, b) / 2, _distance(b, c) / 2)
        before, after = _towards(b, a, r), _towards(b, c, r)
        text.append(f"L{n(before[0])} {n(before[1])}Q{n(b[0])} {n(b[1])} {n(after[0])} {n(after[1])}")
    text.append(f"L{n(points[-1][0])} {n(points[-1][1])}")
    return "".join(text)


def _distance(a: Point, b: Point) -> float:
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


def _towards(start: Point, end: Point, step: float) -> Point:
    dx, dy = _way(start, end)
    return start[0] + step * dx, start[1] + step * dy


def tip(points: Sequence[Point], flow: Flow) -> str:
    """An arrowhead at the end of a line."""
    (dx, dy), (x, y) = _way(points[-2], points[-1]), points[-1]
    length, half = (9.0, 4.6) if flow == "carry" else (7.5, 3.2)
    bx, by = x - length * dx, y - length * dy
    corners: Iterable[Point] = ((x, y), (bx - half * dy, by + half * dx), (bx + half * dy, by - half * dx))
    return f'<polygon points="{" ".join(f"{n(cx)},{n(cy)}" for cx, cy in corners)}" class="tip {flow}"/>'


def _minus(points: Sequence[Point]) -> str:
    """The sign beside an arrowhead whose value is subtracted."""
    (dx, dy), (x, y) = _way(points[-2], points[-1]), points[-1]
    return label(upright("−"), x - 6 * dx + 8 * abs(dy), y - 6 * dy - 8 * abs(dx), 13)
