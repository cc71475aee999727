"""Matplotlib figures as SVG text: the same bytes every time, and safe to stand beside others on a page."""

from __future__ import annotations

import html
import io
import re
from typing import TYPE_CHECKING

from codegen.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, its sides in inches, laid out so that nothing overlaps.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(
            "pictures need matplotlib, which is not installed: pip install 'cellwright[report]'"
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def svg(figure: Figure) -> str:
    """The figure as a whole SVG file, without a date or a version in it."""
    import matplotlib as mpl

    buffer = io.StringIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context({"svg.hashsalt": "cellwright"}):  # ids that are random otherwise
        figure.savefig(buffer, format="svg", metadata=metadata, transparent=True)
    return buffer.getvalue()


def inline_svg(text: str, name: str, description: str) -> str:
    """The `<svg>` element of a file for a page: ids that start with `name`, and a title that is read out.

    `description` is text; it is escaped here.
    """
    element = text[text.index("<svg") :]
    element = re.sub(r'\bid="', f'id="{name}-', element)
    element = re.sub(r'href="#', f'href="#{name}-', element)
    element = re.sub(r"url\(#", f"url(#{name}-", element)
    opening, rest = element.split(">", 1)
    title = f'<title id="{name}-title">{html.escape(description)}</title>'
    return f'{opening} role="img" aria-labelledby="{name}-title">{title}{rest}'
