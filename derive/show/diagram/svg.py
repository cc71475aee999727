"""The paint: a placed graph as a self-contained SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from derive.show.diagram.flow import Flow
from derive.show.diagram.geometry import ENDS, SMALL, TEXT, Box, Placement, Point, Sizes
from derive.show.diagram.markup import label, n, rectangle
from derive.show.diagram.operations import Node
from derive.show.diagram.typeset import upright, width
from derive.show.diagram.wires import path_of, shortened, tip, wires

PAD, LINE = 14.0, 20.0
STYLE = """\
text { font-family: "Times New Roman", "Liberation Serif", "STIX Two Text", serif }
text { fill: #1a1a1a; text-anchor: middle }
.small { font-family: Helvetica, Arial, "Liberation Sans", sans-serif; fill: #555 }
.wire { fill: none; stroke-linejoin: round }
.wire.now { stroke: #333; stroke-width: 1.2 }
.wire.read { stroke: #0072b2; stroke-width: 1.4; stroke-dasharray: 5 3 }
.wire.carry { stroke: #d55e00; stroke-width: 3.2 }
.wire.halo { stroke: #fff; stroke-width: 5.5 }
.tip.now { fill: #333 } .tip.read { fill: #0072b2 } .tip.carry { fill: #d55e00 }
.box { stroke: #333; stroke-width: 1.1; fill: #fff }
.gate { fill: #fdf1d0 } .candidate { fill: #dcefe3 } .affine { fill: #f1f1f1 }
.carried { fill: #fbe6da } .shadow { fill: #dfedf6 }
.rule { stroke: #333; stroke-width: 0.6; opacity: 0.45 }
.sign { stroke: #1a1a1a; stroke-width: 1.2; fill: none }
.dot { fill: #1a1a1a }"""
FLOWS: dict[Flow, str] = {"carry": "carry", "read": "read of the past", "now": "this step"}
BLOCKS = {"gate": "gate", "candidate": "candidate", "affine": "linear map"}


def draw(
    nodes: Sequence[Node], placement: Placement, *, output: str | None, title: str, description: str
) -> str:
    """The SVG text; the same input gives the same bytes."""
    kinds = {_kind(node) for node in nodes if node.kind == "block"}
    flows = {route.edge.flow for route in placement.routes}
    legend, (legend_width, legend_height) = _legend(flows, kinds, max(placement.width + PAD, 330.0))
    w = max(placement.width, legend_width) + 2 * PAD
    h = placement.height + 12 + legend_height + 2 * PAD
    below = PAD + placement.height + 12
    size = f'viewBox="0 0 {n(w)} {n(h)}" width="{n(w)}" height="{n(h)}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{escape(title, quote=False)}</title>",
        f"<desc>{escape(description, quote=False)}</desc>",
        f"<style>\n{STYLE}\n</style>",
        f'<rect width="{n(w)}" height="{n(h)}" fill="#fff"/>',
        f'<g transform="translate({n((w - placement.width) / 2)} {n(PAD)})">',
        *wires(placement.routes),
        *_nodes(nodes, placement, output),
        "</g>",
        f'<g class="legend" transform="translate({n((w - legend_width) / 2)} {n(below)})">',
        *legend,
        "</g>",
        "</svg>",
        "",
    ]
    return "\n".join(lines)


def _kind(node: Node) -> str:
    """What a block is: fractions, another activation's values, or a linear map alone."""
    return "gate" if node.gate else "candidate" if node.label else "affine"


def _nodes(nodes: Sequence[Node], placement: Placement, output: str | None) -> Iterator[str]:
    sizes = Sizes(nodes)
    carries = [route.edge for route in placement.routes if route.edge.flow == "carry"]
    carried = {end for edge in carries for end in (edge.source, edge.target)}
    for index, (node, box) in enumerate(zip(nodes, placement.boxes, strict=True)):
        named = f' data-name="{escape(node.symbol)}"' if node.symbol else ""
        yield f'<g class="node {node.kind}"{named}>'
        if node.kind in ("product", "sum"):
            yield from _circle(node, box)
        elif node.kind == "block":
            yield from _block(node, box, sizes, index)
        elif node.kind in ENDS:
            yield from _end(node, box, index in carried, output)
        elif node.kind in ("tag", "parameter"):
            yield label(node.name or node.label, *box.centre, TEXT)
        else:
            yield rectangle(box, 5, "box")
            yield label(node.label, *box.centre, TEXT - 1)
        yield "</g>"


def _circle(node: Node, box: Box) -> Iterator[str]:
    x, y = box.centre
    yield f'<circle cx="{n(x)}" cy="{n(y)}" r="{n(box.w / 2)}" class="box"/>'
    if node.kind == "sum":
        yield f'<path d="M{n(x - 5.5)} {n(y)}h11M{n(x)} {n(y - 5.5)}v11" class="sign"/>'
    else:
        yield f'<circle cx="{n(x)}" cy="{n(y)}" r="2.2" class="dot"/>'


def _block(node: Node, box: Box, sizes: Sizes, index: int) -> Iterator[str]:
    """On the left the weights, each at the height of its wire; on the right the activation and the name."""
    yield rectangle(box, 6, f"box {_kind(node)}")
    rule = box.x + sizes.rows
    if node.label or node.name:
        yield f'<path d="M{n(rule)} {n(box.y)}v{n(box.h)}" class="rule"/>'
    for k, row in enumerate(node.rows):
        yield label(row.label, (box.x + rule) / 2, box.centre[1] + sizes.row(index, k), TEXT)
    x, y = (rule + box.x + box.w) / 2, box.centre[1]
    both = bool(node.name and node.label)
    if node.label:
        yield label(node.label, x, y - 10 * both, TEXT + 1)
    if node.name:
        yield label(node.name, x, y + 11 * both, TEXT + 1)


def _end(node: Node, box: Box, carried: bool, output: str | None) -> Iterator[str]:
    """A state, the input or the output, on an edge of the step."""
    state = node.kind in ("past", "new")
    yield rectangle(box, box.h / 2, f"box {'carried' if carried else 'shadow'}" if state else "box")
    yield label(node.name, *box.centre, TEXT + 1)
    shown = node.kind in ("new", "output") and node.symbol == output
    caption = "input" if node.kind == "input" else "output" if shown else ""
    if caption:
        yield label(upright(caption), box.centre[0], box.y + box.h + 8, SMALL - 1, "small")


def _legend(flows: set[Flow], kinds: set[str], room: float) -> tuple[list[str], tuple[float, float]]:
    """What each kind of wire and of block is, in as many lines as the width asks for."""
    entries = [(flow, words) for flow, words in FLOWS.items() if flow in flows]
    swatches = [(kind, words) for kind, words in BLOCKS.items() if kind in kinds]
    lines: list[str] = []
    x, y, widest = 0.0, SMALL / 2, 0.0
    for style, words in [*entries, *swatches]:
        sample = 28.0 if style in FLOWS else 14.0
        w = sample + 6 + width(upright(words), SMALL) * 1.06
        if x and x + w > room:
            x, y = 0.0, y + LINE
        lines += _sample(style, x, y, sample)
        lines.append(label(upright(words), x + 6 + (w + sample - 6) / 2, y, SMALL, "small"))
        widest, x = max(widest, x + w), x + w + 18
    return lines, (widest, y + SMALL / 2)


def _sample(style: str, x: float, y: float, length: float) -> Iterator[str]:
    if style in BLOCKS:
        yield rectangle(Box(x, y - 6, length, 12), 3, f"box {style}")
        return
    line: list[Point] = [(x, y), (x + length, y)]
    yield f'<path d="{path_of(shortened(line))}" class="wire {style}"/>'
    yield from (tip(line, flow) for flow in FLOWS if flow == style)
