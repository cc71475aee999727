"""How a cell shows itself in a notebook: name, equations, reference."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from derive.cell import Cell


def cell_html(cell: Cell) -> str:
    """A small self-contained block; the equations are LaTeX, which notebooks typeset."""
    title = html.escape(cell.title or cell.name)
    reference = f"<p><small>{html.escape(cell.reference)}</small></p>" if cell.reference else ""
    return f"<div><strong>{title}</strong>$$\n{html.escape(cell.latex(), quote=False)}\n$${reference}</div>"
