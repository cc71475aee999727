"""Widths: what broadcasting really does with every value of every loop."""

import numpy as np
import pytest

from codegen.loop import Loop
from codegen.writing.widths import Width, together, widths
from derive.symbols import Quantity
from tests.codegen.writing.steps import CELLS, steps
from tests.loops import Counting, Env

B = 2


class AsTheyAre(Counting):
    """Values with the shape that their formula gives them; a mean is one number a row."""

    def mean(self, vector):
        return np.broadcast_to(vector, (B, np.shape(vector)[-1])).mean(-1, keepdims=True)

    def _wide(self, symbol, expr, env, sizes):
        return self.formula(expr, env)


def shape(width: Width, size: int) -> tuple[int, ...]:
    return {Width.FULL: (B, size), Width.ROW: (B, 1), Width.UNIT: (size,), Width.NUMBER: ()}[width]


def measured(loop: Loop, env: Env, sizes: dict[str, int]) -> Env:
    count = AsTheyAre((B,))
    found = dict(env)
    count.statements(loop.forward, found, sizes)
    back = loop.backward
    at_hand = {q: v for q, v in found.items() if q not in {s.symbol for s in back.recomputed}}
    count.statements(back.recomputed, at_hand, sizes)
    given = [*back.carried.values(), *back.arriving.values()]
    at_hand |= {q: np.ones((B, sizes[q.axes[0]])) for q in given}
    count.statements(back.statements, at_hand, sizes)
    return {**found, **at_hand}


@pytest.mark.parametrize("sink", [False, True], ids=["outside", "sunk"])
@pytest.mark.parametrize("name", CELLS)
def test_every_value_has_the_width_it_is_said_to_have(name: str, sink: bool) -> None:
    some = steps(name, sink=sink)
    loop, run = some.loop, some.run
    env: Env = {**run.matrices, **run._taken(0)}
    env |= {q: run.outside[source] for q, source in loop.constants.items()}
    env |= {s.prev: value for s, value in run.initial.items()}
    values = measured(loop, env, run.sample.sizes)
    declared = widths(loop)
    bound: list[Quantity] = [
        symbol
        for statement in (*loop.forward, *loop.backward.recomputed, *loop.backward.statements)
        for symbol in statement.symbols
    ]
    assert bound
    for symbol in bound:
        size = run.sample.sizes[symbol.axes[0]]
        assert np.shape(values[symbol]) == shape(declared[symbol], size), (symbol, declared[symbol])


def test_there_are_narrow_values_to_measure() -> None:
    found = {width for name in CELLS for width in widths(steps(name).loop).values()}
    assert {Width.FULL, Width.ROW, Width.UNIT, Width.NUMBER} <= found


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ([], Width.NUMBER),
        ([Width.NUMBER], Width.NUMBER),
        ([Width.ROW, Width.NUMBER], Width.ROW),
        ([Width.UNIT, Width.UNIT], Width.UNIT),
        ([Width.ROW, Width.UNIT], Width.FULL),
        ([Width.FULL, Width.ROW], Width.FULL),
    ],
)
def test_together(parts: list[Width], whole: Width) -> None:
    assert together(parts) is whole
