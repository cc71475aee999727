"""A self-contained HTML page about trained cells: equations, derivation, data flow, checks, curves."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import derive
from codegen.checking.report import CheckReport
from codegen.figures import inline_svg, svg
from codegen.training import EpochReport
from derive import Cell, Derivation
from derive.counts import counts
from derive.show.latex import LatexNotation

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 3rem; border-top: 1px solid #ddd; padding-top: 1.5rem; }
pre { background: #f6f6f4; padding: .8rem 1rem; overflow-x: auto; font-size: .82rem; line-height: 1.45; }
svg { max-width: 100%; height: auto; } figure { margin: 1.5rem 0; }
figcaption { color: #555; font-size: .9rem; } td, th { padding: .2rem .9rem .2rem 0; text-align: right; }
td:first-child, th:first-child { text-align: left; } summary { cursor: pointer; }
.ok { color: #18794e; } .bad { color: #b00020; }
"""


@dataclass(frozen=True)
class Trained:
    """What the page tells about one cell; ``history`` has one report an epoch."""

    cell: Cell
    derivation: Derivation
    check: CheckReport
    source: str
    history: Sequence[EpochReport]


def report_html(title: str, introduction: str, trained: Sequence[Trained]) -> str:
    """The page; needs matplotlib for the equations and the curves."""
    parts = [f"<h1>{html.escape(title)}</h1><p>{html.escape(introduction)}</p>"]
    caption = "Validation loss after each epoch, in nats a word."
    parts.append(_figure(inline_svg(curves_svg(trained), "curves", caption), caption))
    parts.append(_summary(trained))
    parts += [_section(item) for item in trained]
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style>'
    return f"<!doctype html>\n<html lang='en'><head>{head}</head><body>\n{''.join(parts)}\n</body></html>\n"


def _section(item: Trained) -> str:
    cell = item.cell
    verdict = "ok" if item.check else "bad"
    equations = inline_svg(equations_svg(cell), f"equations-{cell.name}", f"Equations of {cell.name}.")
    return "\n".join(
        [
            f"<h2>{html.escape(cell.title or cell.name)}</h2><p>{html.escape(cell.reference)}</p>",
            _figure(equations, html.escape(str(counts(cell)))),
            _figure(derive.diagram(cell), "Data flow of one step."),
            f"<p class='{verdict}'>{html.escape(str(item.check).splitlines()[0])}</p>",
            _details("The derivation, step by step", str(item.derivation)),
            _details("Every comparison of the check", str(item.check)),
            _details("The emitted PyTorch source", item.source),
        ]
    )


def _summary(trained: Sequence[Trained]) -> str:
    titles = ("cell", "best epoch", "nats a word", "perplexity", "max |state|")
    rows = [f"<table><tr>{''.join(f'<th>{title}</th>' for title in titles)}</tr>"]
    for item in trained:
        best = min(item.history, key=lambda r: r.valid.nats)
        peak = max(r.max_state for r in item.history)
        values = (best.epoch, f"{best.valid.nats:.4f}", f"{best.valid.perplexity:.1f}", f"{peak:.1f}")
        rows.append(
            f"<tr><td>{html.escape(item.cell.name)}</td>{''.join(f'<td>{v}</td>' for v in values)}</tr>"
        )
    return "".join([*rows, "</table>"])


def _details(summary: str, text: str) -> str:
    return f"<details><summary>{html.escape(summary)}</summary><pre>{html.escape(text)}</pre></details>"


def _figure(picture: str, caption: str) -> str:
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"


def equations_svg(cell: Cell) -> str:
    """The equations, typeset."""
    from matplotlib.figure import Figure

    notation = LatexNotation(cell.equations)
    lines = [f"${notation(symbol)} = {notation(expr)}$" for symbol, expr in cell.equations.items()]
    figure = Figure(figsize=(7.5, 0.42 * len(lines)))
    for index, line in enumerate(lines):
        figure.text(
            0.01, 1 - (index + 0.5) / len(lines), line, fontsize=15, va="center", math_fontfamily="cm"
        )
    return svg(figure)


def curves_svg(trained: Sequence[Trained]) -> str:
    """Validation loss by epoch, one line a cell."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7.5, 3.6), layout="constrained")
    axes = figure.subplots()
    for item in trained:
        epochs = [r.epoch for r in item.history]
        axes.plot(
            epochs, [r.valid.nats for r in item.history], marker="o", markersize=4, label=item.cell.name
        )
    axes.set_xlabel("epoch")
    axes.set_ylabel("validation loss, nats a word")
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    return svg(figure)
