"""Sizes, pins and places: what the layout, the routing and the paint all speak of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from derive.show.diagram.flow import Edge, Flow
from derive.show.diagram.operations import Node
from derive.show.diagram.typeset import width

Point = tuple[float, float]
Tree = tuple[int, Flow]
"""The wires that leave one node for one purpose; they are drawn as one tree."""
Passage = tuple[Tree, int]
"""A tree in a column that it passes on its way."""

TEXT, SMALL = 15.0, 11.5
PITCH = 19.0
"""From one row of a block to the next."""
APART = 7.0
"""How far from a node's middle a second tree of wires leaves it."""
RADIUS = 11.0
CAPTION = 13.0
"""Room below an end of the step for the word that says what it is."""

CIRCLES = ("product", "sum")
ENDS = ("past", "input", "new", "output")


@dataclass(frozen=True)
class Box:
    """A node's place: its left upper corner and its size."""

    x: float
    y: float
    w: float
    h: float

    @property
    def centre(self) -> Point:
        return self.x + self.w / 2, self.y + self.h / 2


@dataclass(frozen=True)
class Route:
    """A wire's way, from border to border, by horizontal and vertical pieces."""

    edge: Edge
    points: tuple[Point, ...]

    @property
    def pieces(self) -> list[tuple[Point, Point]]:
        return list(zip(self.points, self.points[1:], strict=False))


@dataclass(frozen=True)
class Placement:
    """A picture without its paint; the left upper corner of all is (0, 0)."""

    boxes: tuple[Box, ...]
    routes: tuple[Route, ...]
    width: float
    height: float


def tree(edge: Edge) -> Tree:
    return edge.source, edge.flow


class Sizes:
    """The measures of a cell's nodes; all blocks are equally wide, so that gates stand in line."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        blocks = [node for node in nodes if node.kind == "block"]
        self.rows = (
            ceil(max((width(row.label, TEXT) for node in blocks for row in node.rows), default=0.0)) + 18
        )
        self._value = ceil(max((_widest(node, TEXT + 1, TEXT + 1) for node in blocks), default=0.0)) + 16

    def __call__(self, index: int) -> tuple[float, float]:
        """Width and height of a node."""
        node = self.nodes[index]
        if node.kind in CIRCLES:
            return 2 * RADIUS, 2 * RADIUS
        if node.kind == "block":
            value = self._value if node.label or node.name else 0
            return self.rows + value, max(PITCH * len(node.rows) + 6, 46.0 if node.name else 30.0)
        text = ceil(_widest(node, TEXT, TEXT + 1))
        if node.kind in ENDS:
            return max(text + 22, 46.0), 30.0
        if node.kind in ("tag", "parameter"):
            return text + 8, 22.0
        return max(text + 12, 30.0), 26.0

    def row(self, index: int, row: int) -> float:
        """A row's distance below the middle of its block."""
        return PITCH * (row - (len(self.nodes[index].rows) - 1) / 2)

    def pin(self, index: int, slot: int) -> float:
        """How far below a node's middle an input enters, from the left."""
        node = self.nodes[index]
        if node.kind != "block":
            return 0.0
        return self.row(index, [k for k, row in enumerate(node.rows) if row.wired][slot])

    def half_width(self, index: int, offset: float) -> float:
        """From a node's middle to its border, at a distance above or below the middle."""
        w, h = self(index)
        if self.nodes[index].kind in (*CIRCLES, *ENDS):  # half discs at both ends
            return float(w / 2 - h / 2 + max((h / 2) ** 2 - offset**2, 0.0) ** 0.5)
        return w / 2


def _widest(node: Node, label: float, name: float) -> float:
    return max(width(node.label, label), width(node.name, name))
