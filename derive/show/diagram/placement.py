"""The choice among a few layouts, which differ in how the library's ties are broken: the plainest picture is kept."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from derive.show.diagram.flow import Edge
from derive.show.diagram.geometry import Placement, Route, Sizes, tree
from derive.show.diagram.layers import STYLES, arrange, columns
from derive.show.diagram.operations import Node
from derive.show.diagram.routing import route
from derive.show.diagram.straighten import straighten


def place(nodes: Sequence[Node], edges: Sequence[Edge]) -> Placement:
    """The best of a few layouts."""
    sizes = Sizes(nodes)
    found = []
    for order in _orders(nodes, edges):
        placed = columns(sizes, edges, order)
        for style, upside_down in product(STYLES, (False, True)):
            layers = arrange(sizes, edges, placed, order, style, upside_down)
            straighten(sizes, edges, layers)
            found.append(route(sizes, edges, layers))
    return min(found, key=lambda picture: price(nodes, picture))


def _orders(nodes: Sequence[Node], edges: Sequence[Edge]) -> list[list[int]]:
    """Orders in which to hand over the nodes: the library breaks ties by them."""
    spine = {end for edge in edges if edge.flow == "carry" for end in (edge.source, edge.target)}
    natural = list(range(len(nodes)))
    outwards = sorted(natural, key=lambda i: (i not in spine, nodes[i].kind == "input", nodes[i].kind == "past", i))
    return [natural, outwards]


def price(nodes: Sequence[Node], picture: Placement) -> float:
    """How much a picture asks of the reader: crossings, corners, length, a bent carry, an unusual order."""
    corners = {p for r in picture.routes for p in r.points[1:-1]}
    bent = sum(len(r.points) - 2 for r in picture.routes if r.edge.flow == "carry")
    area = picture.width * picture.height
    return 50.0 * overlaps(picture.routes) + 3.0 * crossings(picture.routes) + 0.5 * len(corners) + 8.0 * bent + area / 2e4 + _disorder(nodes, picture)


def crossings(routes: Sequence[Route]) -> int:
    """How often wires of different trees cross."""
    flat = {(tree(r.edge), piece) for r in routes for piece in r.pieces if piece[0][1] == piece[1][1]}
    steep = {(tree(r.edge), piece) for r in routes for piece in r.pieces if piece[0][0] == piece[1][0]}
    return sum(
        t != u and min(a[0], b[0]) < c[0] < max(a[0], b[0]) and min(c[1], d[1]) < a[1] < max(c[1], d[1])
        for t, (a, b) in flat
        for u, (c, d) in steep
    )


def overlaps(routes: Sequence[Route]) -> int:
    """How often wires of different trees lie on top of each other, and so cannot be told apart."""
    pieces = sorted({(tree(r.edge), *sorted(piece)) for r in routes for piece in r.pieces})
    return sum(
        t != u and a[k] == b[k] and c[k] == d[k] and abs(a[k] - c[k]) < 2 and max(a[1 - k], c[1 - k]) < min(b[1 - k], d[1 - k])
        for i, (t, a, b) in enumerate(pieces)
        for u, c, d in pieces[i + 1 :]
        for k in (0, 1)
    )


def _disorder(nodes: Sequence[Node], picture: Placement) -> float:
    """How far a picture is from the habit of the field: the carry on top, the input at the bottom."""
    carried = {r.edge.source for r in picture.routes if r.edge.flow == "carry"}
    starts = sorted((i for i, n in enumerate(nodes) if n.kind in ("past", "input")), key=lambda i: picture.boxes[i].y)
    ranks = [0 if i in carried else 2 if nodes[i].kind == "input" else 1 for i in starts]
    middle = picture.height / 2
    low = sum(picture.boxes[i].centre[1] > middle for i in carried)
    return 12.0 * low + 3.0 * sum(a > b for i, a in enumerate(ranks) for b in ranks[i + 1 :])
