"""The data flow of a cell as a networkx DiGraph: who reads whom, through what, and from which step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import networkx as nx
import sympy

from derive.symbols import Input, Linear, Previous, Quantity, State, Vector


@dataclass(frozen=True, order=True)
class Use:
    """One way in which a vector enters an equation.

    ``through`` names the linear maps between the vector and the equation, outermost first; empty means
    elementwise. ``lag`` is 0 for this step's value and 1 for the last step's.
    """

    lag: int
    through: tuple[str, ...]

    @property
    def kind(self) -> str:
        return "linear" if self.through else "elementwise"


def uses(expr: sympy.Expr, through: tuple[str, ...] = ()) -> Iterator[tuple[Quantity, Use]]:
    """Every vector that an expression mentions, with how."""
    if isinstance(expr, Linear):
        yield from uses(expr.vector, (*through, expr.map.name))
    elif isinstance(expr, Vector | Input | Previous):
        yield expr, Use(int(isinstance(expr, Previous)), through)
    else:
        for arg in expr.args:
            yield from uses(arg, through)


def dataflow(equations: Mapping[Vector, sympy.Expr], output: str | None) -> nx.DiGraph:
    """Nodes are names with ``kind`` in {"input", "state", "vector"}, ``axes`` and ``output``.

    An edge u → v says that v's equation reads u.  Its ``uses`` is a sorted tuple of :class:`Use`; ``lag``
    is the smallest lag among them and ``kind`` is "elementwise", "linear", or "mixed".  A state that reads
    its own past is a self-loop.  The graph is frozen, like the cell that it belongs to; ``graph.copy()``
    can be changed.
    """
    graph = nx.DiGraph()
    for symbol, expr in equations.items():
        _node(graph, symbol, output)
        found: dict[Quantity, set[Use]] = {}
        for source, use in uses(expr):
            source = source.state if isinstance(source, Previous) else source
            found.setdefault(source, set()).add(use)
        for source, how in found.items():
            _node(graph, source, output)
            kinds = {use.kind for use in how}
            graph.add_edge(
                source.name,
                symbol.name,
                uses=tuple(sorted(how)),
                lag=min(use.lag for use in how),
                kind=kinds.pop() if len(kinds) == 1 else "mixed",
            )
    return nx.freeze(graph)


def _node(graph: nx.DiGraph, symbol: Quantity, output: str | None) -> None:
    kind = {Input: "input", State: "state"}.get(type(symbol), "vector")
    graph.add_node(symbol.name, kind=kind, axes=symbol.axes, output=symbol.name == output)
