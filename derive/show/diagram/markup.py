"""Small pieces of SVG: numbers, labels, rectangles."""

from __future__ import annotations

from html import escape

from derive.show.diagram.geometry import Box
from derive.show.diagram.typeset import SUB, Label, Run, ems


def n(value: float) -> str:
    """A coordinate, as short as two decimals allow."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def label(text: Label, x: float, y: float, size: float, style: str = "") -> str:
    """A label centred at x, its letters' middle at y; ``dy`` lowers subscripts, as all viewers know it."""
    spans: list[str] = []
    level = 0.0
    for run in text:
        scale = size * (SUB if run.sub else 1)
        wanted = 0.26 * size if run.sub else 0.0
        spans.append(_span(run, scale, size, 0.0, wanted - level))
        level = wanted
        if run.accent:
            spans += _accent(run, scale, size)
    given = f' class="{style}"' if style else ""
    return f'<text x="{n(x)}" y="{n(y + 0.32 * size)}" font-size="{n(size)}"{given}>{"".join(spans)}</text>'


def _span(run: Run, scale: float, size: float, dx: float, dy: float) -> str:
    moves = {"dx": dx, "dy": dy}
    shifts = "".join(f' {name}="{n(value)}"' for name, value in moves.items() if abs(value) > 0.004)
    font = f' font-size="{n(scale)}"' if scale != size else ""
    slant = ' font-style="italic"' if run.italic else ""
    return f"<tspan{shifts}{font}{slant}>{escape(run.text, quote=False)}</tspan>"


_ACCENT = 0.333
"""The width of a spacing accent."""


def _accent(run: Run, scale: float, size: float) -> list[str]:
    """An accent, moved back above the last letter, and a thin space that moves forward again."""
    letter = run.text[-1]
    back = (ems(letter) + _ACCENT) / 2 * scale - 0.06 * scale
    lift = 0.2 * scale if letter.isupper() or letter in "bdfhklt" else 0.0
    forward = back - _ACCENT * scale
    above = _span(Run(run.accent), scale, size, -back, -lift)
    return [above, f'<tspan dx="{n(forward)}" dy="{n(lift)}" font-size="1">\u200a</tspan>']


def rectangle(box: Box, radius: float, style: str) -> str:
    place = f'x="{n(box.x)}" y="{n(box.y)}" width="{n(box.w)}" height="{n(box.h)}"'
    return f'<rect {place} rx="{n(radius)}" class="{style}"/>'
