"""What the tests of diagrams share: the pictures of cells, and ways to read them back."""

from collections.abc import Iterator, Sequence
from functools import cache
from xml.etree import ElementTree

import sympy

from derive import Activated, Cell, Input, Linear, Parameter, Previous, State, Vector
from derive.show.diagram import diagram
from derive.show.diagram.flow import Edge, edges
from derive.show.diagram.geometry import Placement
from derive.show.diagram.operations import Node, operations
from derive.show.diagram.placement import place
from derive.show.diagram.typeset import plain, quantity

SVG = "{http://www.w3.org/2000/svg}"

s, x = State("s"), Input("x")


@cache
def svg_of(name: str) -> str:
    return diagram(name)


@cache
def picture(subject: Cell) -> tuple[tuple[Node, ...], tuple[Edge, ...], Placement]:
    nodes = operations(subject)
    wires = edges(nodes)
    return nodes, wires, place(nodes, wires)


def parse(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def groups(root: ElementTree.Element) -> Iterator[tuple[list[str], str, list[str]]]:
    """Of each drawn node: its kinds, its vector, its labels."""
    for group in root.iter(f"{SVG}g"):
        kinds = group.get("class", "").split()
        if kinds[:1] == ["node"]:
            labels = ["".join(text.itertext()).replace("\u200a", "") for text in group.iter(f"{SVG}text")]
            yield kinds[1:], group.get("data-name", ""), labels


def spelt(symbol: Vector | Previous | Parameter | Input) -> str:
    return plain(quantity(symbol)).replace("_", "")


def names(nodes: Sequence[Node]) -> dict[int, tuple[str, int]]:
    """The vectors that nodes compute, with their lag."""
    found = {wire.source: (n.symbol, 0) for n in nodes if n.kind in ("new", "output") for wire in n.inputs}
    found |= {
        i: (n.symbol, 0) for i, n in enumerate(nodes) if n.kind in ("block", "tag", "input") and n.symbol
    }
    return found | {i: (n.symbol, 1) for i, n in enumerate(nodes) if n.kind == "past"}


def vectors(nodes: Sequence[Node], index: int) -> set[tuple[str, int]]:
    """What a node's value is made of, elementwise."""
    if index in names(nodes):
        return {names(nodes)[index]}
    return {vector for wire in nodes[index].inputs for vector in vectors(nodes, wire.source)}


def coefficient_of_past(subject: Cell, state: str) -> sympy.Expr:
    """The elementwise coefficient of a state's past in its write, by polynomial algebra alone."""
    values: dict[sympy.Expr, sympy.Expr] = {}
    for symbol, expr in subject.equations.items():
        opaque = {node: sympy.Dummy() for node in expr.atoms(Linear, Activated)}
        powers = {node: sympy.Dummy() for node in expr.xreplace(opaque).atoms(sympy.Pow)}
        values[symbol] = sympy.expand(expr.xreplace(opaque).xreplace(powers).xreplace(values))
    past = Previous(state, *subject.axes(state))
    return values[subject.symbols[state]].coeff(past, 1)


def carried(nodes: Sequence[Node], wires: Sequence[Edge]) -> set[str]:
    return {nodes[e.target].symbol for e in wires if e.flow == "carry" and nodes[e.target].kind == "new"}


def single(expr: sympy.Expr, **more: sympy.Expr) -> Cell:
    """A cell with one state, and the vectors in ``more`` before it."""
    return Cell("single", {**{Vector(name): value for name, value in more.items()}, s: expr}, output=s)
