"""Data-flow diagrams: the operations of one step, drawn as SVG."""

from __future__ import annotations

from derive.catalogue import cell as find
from derive.cell import Cell
from derive.show.diagram.flow import edges
from derive.show.diagram.operations import operations
from derive.show.diagram.placement import place
from derive.show.diagram.svg import draw


def diagram(cell: Cell | str) -> str:
    """The data flow of a cell as an SVG: time runs from left to right.

    The carry of a state is a bold line, a read of the past is dashed, what is made in this step is thin.
    """
    cell = find(cell)
    nodes = operations(cell)
    placement = place(nodes, edges(nodes))
    return draw(nodes, placement, output=cell.output, title=cell.title or cell.name, description=str(cell))
