"""What the pictures of a study share: one look a cell throughout, panels in rows, a legend below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING

from codegen.figures import inline_svg, new_figure, svg
from codegen.study.reporting.groups import cells
from codegen.study.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 9.4
"""Of every picture, in inches: about 900 pixels on a page."""
FONT = 9.0

# Okabe and Ito (2008, Color Universal Design) without its yellow, which is pale on white, then colours of
# Paul Tol's schemes.  The markers repeat after another number, so that no two of 84 cells look the same.
_COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"),
    *("#882255", "#999933", "#332288", "#888888", "#44aa99"),
)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


@dataclass(frozen=True)
class Picture:
    """An SVG file with its caption; `name` is short, and unique on a page."""

    name: str
    file: str
    caption: str

    @property
    def svg(self) -> str:
        """The element for a page."""
        return inline_svg(self.file, self.name, self.caption)

    def _repr_svg_(self) -> str:
        return self.file


@dataclass(frozen=True)
class Look:
    """How a cell is drawn."""

    colour: str
    marker: str


def looks(results: Results) -> dict[str, Look]:
    """The same for a cell in all pictures of a study."""
    return {
        cell: Look(colour, marker)
        for cell, colour, marker in zip(cells(results), cycle(_COLOURS), cycle(_MARKERS), strict=False)
    }


class Panels:
    """Axes in rows and columns, each under its title."""

    def __init__(self, titles: Sequence[str], columns: int, height: float, *, sharey: bool = False) -> None:
        """Args: one title a panel, in reading order; at most so many columns; the height of a row, inches."""
        columns = min(columns, len(titles))
        rows = -(-len(titles) // columns)
        self.figure: Figure = new_figure(WIDTH, height * rows + 0.5)
        grid = self.figure.subplots(rows, columns, sharey="row" if sharey else False, squeeze=False)
        self.columns = columns
        self.axes: list[Axes] = list(grid.flat[: len(titles)])
        for spare in grid.flat[len(titles) :]:
            spare.remove()
        for axes, title in zip(self.axes, titles, strict=True):
            axes.set_title(title, fontsize=FONT + 1, loc="left")
            axes.tick_params(labelsize=FONT - 1)
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(True, color="#e4e4e4", linewidth=0.6)
            axes.set_axisbelow(True)

    def label(self, x: str, y: str) -> None:
        """Name the axes: below the lowest panels, and left of the first of each row."""
        for axes in self.axes[-self.columns :]:
            axes.set_xlabel(x, fontsize=FONT)
        for axes in self.axes[:: self.columns]:
            axes.set_ylabel(y, fontsize=FONT)

    def whole_numbers(self) -> None:
        """Ticks of x at whole numbers alone."""
        from matplotlib.ticker import MaxNLocator

        for axes in self.axes:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))

    def legend(self, shown: Mapping[str, Look]) -> None:
        """The cells, below all panels."""
        from matplotlib.lines import Line2D

        handles = [
            Line2D([], [], color=look.colour, marker=look.marker, markersize=5, label=cell)
            for cell, look in shown.items()
        ]
        self.figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=FONT)

    def svg(self) -> str:
        """The picture as an SVG file."""
        return svg(self.figure)
