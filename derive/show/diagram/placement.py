"""The choice among a few layouts, which differ in how the library is asked: the plainest picture is kept."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from derive.show.diagram.flow import Edge
from derive.show.diagram.geometry import Placement, Sizes
from derive.show.diagram.layers import STYLES, Attempt, arrange, find_columns
from derive.show.diagram.operations import Node
from derive.show.diagram.quality import price
from derive.show.diagram.routing import route
from derive.show.diagram.straighten import straighten


def place(nodes: Sequence[Node], edges: Sequence[Edge]) -> Placement:
    """The best of a few layouts."""
    sizes = Sizes(nodes)
    found = []
    for order in _orders(nodes, edges):
        columns = find_columns(sizes, edges, order)
        for style, upside_down in product(STYLES, (False, True)):
            layers = arrange(sizes, edges, Attempt(columns, order, style, upside_down))
            straighten(sizes, layers)
            found.append(route(sizes, layers))
    return min(found, key=lambda picture: price(nodes, picture))


def _orders(nodes: Sequence[Node], edges: Sequence[Edge]) -> list[list[int]]:
    """Orders in which to hand over the nodes: as written, and from the carry outwards to the input."""
    spine = {end for edge in edges if edge.flow == "carry" for end in (edge.source, edge.target)}
    written = list(range(len(nodes)))
    outwards = sorted(written, key=lambda i: (i not in spine, ("past", "input").count(nodes[i].kind), i))
    return [written, outwards]
