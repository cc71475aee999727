"""What each wire carries: the state on its way through the step, a read of the past, or a value of this step.

The *carry* of a state is every path from its past to its present through sums and elementwise products alone,
linear in that past.  Every other use of a past state is a *read*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from derive.show.diagram.operations import Node

Flow = Literal["carry", "read", "now"]


@dataclass(frozen=True)
class Edge:
    """The wire into input ``slot`` of node ``target``."""

    source: int
    target: int
    slot: int
    flow: Flow
    negative: bool


def edges(nodes: Sequence[Node]) -> tuple[Edge, ...]:
    """All wires of the graph, in the order of the nodes that they enter."""
    carried = _carries(nodes)
    past = _past_only(nodes)

    def flow(source: int, target: int, slot: int) -> Flow:
        return "carry" if (target, slot) in carried else "read" if past[source] else "now"

    return tuple(
        Edge(wire.source, target, slot, flow(wire.source, target, slot), wire.negative)
        for target, node in enumerate(nodes)
        for slot, wire in enumerate(node.inputs)
    )


def _carries(nodes: Sequence[Node]) -> set[tuple[int, int]]:
    """The wires (target, slot) that lie on the carry of some state."""
    found: set[tuple[int, int]] = set()
    for start, node in enumerate(nodes):
        if node.kind == "past":
            onward = _linear_wires(nodes, start)
            ends = [i for i, other in enumerate(nodes) if other.kind == "new" and other.symbol == node.symbol]
            while ends:
                target = ends.pop()
                for slot in onward.get(target, ()):
                    found.add((target, slot))
                    ends.append(nodes[target].inputs[slot].source)
    return found


def _linear_wires(nodes: Sequence[Node], start: int) -> dict[int, list[int]]:
    """For each node that is linear, elementwise, in the value of ``start``: the inputs that make it so."""
    found: dict[int, list[int]] = {start: []}
    for index, node in enumerate(nodes):
        slots = [slot for slot, wire in enumerate(node.inputs) if wire.source in found]
        if index != start and slots and _keeps_linear(node, slots):
            found[index] = slots
    return found


def _keeps_linear(node: Node, slots: list[int]) -> bool:
    if node.kind == "product":
        return len(slots) == 1
    return node.kind in ("sum", "scale", "tag", "new")


def _past_only(nodes: Sequence[Node]) -> list[bool]:
    """Whether a node's value is what the past left, squashed or scaled perhaps, and nothing of this step."""
    found: list[bool] = []
    for node in nodes:
        sources = [wire.source for wire in node.inputs if nodes[wire.source].kind != "parameter"]
        inherits = node.kind != "block" and bool(sources) and all(found[s] for s in sources)
        found.append(node.kind == "past" or inherits)
    return found
