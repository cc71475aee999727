"""Products and runs of formulas: everything once, after what it reads, in as few runs as can be."""

import pytest
import sympy
from hypothesis import assume, given

from codegen.errors import CodegenError
from codegen.loop import Loop
from codegen.lowering import lower
from codegen.lowering.loop import lower_loop
from codegen.triton.schedule import Level, Multiply, Sum, backward_levels, forward_levels
from derive import Cell, cell
from tests.strategies import cells


def loop_of(of: Cell) -> Loop:
    return lower_loop(lower(of), sink=True)


def assert_in_order(levels: list[Level]) -> None:
    bound = {symbol for level in levels for s in (*level.products, *level.run) for symbol in s.symbols}
    done: set[sympy.Symbol] = set()
    for level in levels:
        for statement in (*level.products, *level.run):
            assert statement.reads & bound <= done, f"{statement} comes before what it reads"
            assert not done & set(statement.symbols), f"{statement} comes twice"
            done |= set(statement.symbols)


@given(cells())
def test_each_statement_once_and_after_what_it_reads(random: Cell) -> None:
    try:
        loop = loop_of(random)
    except CodegenError:
        assume(False)
    forward, backward = forward_levels(loop), backward_levels(loop)
    assert_in_order(forward)
    assert_in_order(backward)
    bound = {symbol for level in forward for s in level.run for symbol in s.symbols}
    assert bound == {symbol for s in loop.forward for symbol in s.symbols}
    sums = {s.constant for level in backward for s in level.run if isinstance(s, Sum)}
    assert sums == {c for c, expr in loop.backward.sums.items() if expr != 0}


@pytest.mark.parametrize(
    ("name", "forward", "backward"),
    [("lstm", 1, 2), ("peephole-lstm", 2, 3), ("gru", 2, 3), ("prototype", 2, 3)],
)
def test_one_run_a_product_and_one_more_backward(name: str, forward: int, backward: int) -> None:
    loop = loop_of(cell(name))
    assert len(forward_levels(loop)) == forward
    assert len(backward_levels(loop)) == backward


def test_products_of_the_same_past_come_together() -> None:
    (level,) = forward_levels(loop_of(cell("lstm")))
    (product,) = level.products
    assert isinstance(product, Multiply)
    assert len(product.symbols) == 4
