"""Stages: their operations are those that the interpreter of the loop counts one by one."""

import pytest
import sympy

import derive
from codegen.checking.sample import BATCH, draw
from codegen.lowering import lower
from codegen.lowering.loop import lower_loop
from codegen.plan import Counts
from codegen.stages import B, Group, Stage, Stages, T, loop_stages, plan_stages
from derive import Cell, Input, Parameter, State, Vector, tanh
from derive.counts import counts
from tests.codegen.unusual_cells import UNUSUAL
from tests.loops import LoopRun, Tally

STEPS = 3
CELLS = [*map(derive.cell, derive.catalogue()), *UNUSUAL]
each = pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
both = pytest.mark.parametrize("sink", [False, True], ids=["outside", "sunk"])
n, m = sympy.symbols("n m", positive=True, integer=True)

SECTIONS = {
    "once": "once a call",
    "before": "before the loop: all steps at once",
    "forward": "each step",
    "after": "after the loop: all steps at once",
}


def stages(name: str, *, sink: bool = False) -> Stages:
    return loop_stages(lower_loop(lower(derive.cell(name)), sink=sink))


def group(found: Stages, title: str) -> Group:
    return next((g for g in found.groups if g.title == title), Group(title, ()))


def tally(found: list[Stage], sizes: dict) -> Tally:
    """The table's counts in numbers."""
    total = sum((stage.counts for stage in found), Counts())
    values = (total.multiply_adds, total.elementwise, total.activations)
    return Tally(*(int(sympy.sympify(v).subs(sizes)) for v in values))


# tanh(1) is a number to the run, and one activation a step to codegen.plan.elementwise_counts
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
@both
def test_operations_are_those_of_a_run(cell: Cell, sink: bool) -> None:
    loop = lower_loop(lower(cell), sink=sink)
    sample = draw(cell, seed=0, steps=STEPS)
    run = LoopRun(loop, sample)
    run.gradients()
    counted, found = run.count.tallies, loop_stages(loop)
    sizes = {sympy.Symbol(a, positive=True, integer=True): k for a, k in sample.sizes.items()}
    sizes |= {T: STEPS, B: BATCH}
    for section, title in SECTIONS.items():
        assert tally(list(group(found, title).stages), sizes) == counted[section], section
    back = group(found, "each step back").stages
    again = [s for s in back if s.kind == "recomputed"]
    assert tally(again, sizes) == counted["recomputed"]
    assert tally([s for s in back if s.kind != "recomputed"], sizes) == counted["reverse"]
    late = group(found, "after the way back: all steps at once").stages
    assert tally([s for s in late if s.kind == "gradient"], sizes) == counted["matrices"]
    assert tally([s for s in late if s.kind == "sum"], sizes) == counted["sums"]
    assert {s.kind for s in late} <= {"gradient", "sum"}


@each
def test_forward_products_are_those_of_the_equations(cell: Cell) -> None:
    """Whatever the form; what is computed once a call counts once."""
    plan = lower(cell)
    forms = [plan_stages(plan), *(loop_stages(lower_loop(plan, sink=sink)) for sink in (False, True))]
    totals = {sympy.expand(f.total(way_back=False).counts.multiply_adds) for f in forms}
    assert len(totals) == 1
    if cell.name in derive.catalogue():
        assert totals == {sympy.expand(T * B * counts(cell).multiply_adds)}


@pytest.mark.parametrize("name", derive.catalogue())
def test_the_way_back_costs_two_products_for_each_of_the_way_there(name: str) -> None:
    """One for the operand, one for the matrix; without the input's own gradient."""
    found = stages(name)
    inputs = sum((s.counts.multiply_adds for s in group(found, SECTIONS["before"]).stages), sympy.S.Zero)
    forward = found.total(way_back=False).counts.multiply_adds
    back = found.total(way_back=True).counts.multiply_adds
    assert sympy.expand(back - 2 * forward + inputs) == 0
    optional = [s for g in found.groups for s in g.stages if s.optional]
    assert sum(s.counts.multiply_adds for s in optional) == inputs


def test_bytes_of_the_lstm_counted_by_hand() -> None:
    found = stages("lstm", sink=True)
    product, block = group(found, "each step").stages
    assert product.read == sympy.expand(T * B * n + T * 4 * n**2)  # h, and the matrices
    assert product.written == 4 * n * T * B
    assert block.read == sympy.expand((4 + 4 + 1) * n * T * B + 4 * n * T)  # both sums, the old c, the biases
    assert block.written == (4 + 3) * n * T * B  # four gates, and c, tanh(c), h
    (before,) = group(found, SECTIONS["before"]).stages
    assert before.read == sympy.expand(T * B * m + 4 * n * m)
    assert before.written == 4 * n * T * B
    gradient, *sums = group(found, "after the way back: all steps at once").stages
    assert gradient.read == sympy.expand(T * B * (4 * n + n))
    assert gradient.written == 4 * n**2
    assert [(s.kind, s.read, s.written) for s in sums] == [("sum", T * B * n, n)] * 4  # of the biases


def test_what_stays_within_a_stage_is_not_moved() -> None:
    """d_c_tilde of the LSTM is used up where it is made; d_c goes on to the next step."""
    back = group(stages("lstm", sink=True), "each step back").stages
    first = next(s for s in back if s.kind == "elementwise")
    assert any(line.startswith("d_i = ") for line in first.formulas)
    made = {line.split(" = ")[0] for line in first.formulas}
    assert len(made) * n * T * B != first.written
    assert first.written / (n * T * B) < len(made)


def test_recomputed_values_move_nothing_and_their_readers_read_what_they_are_made_of() -> None:
    """q = z x is computed again where it is read: from z and x, which are read anyway."""
    s, z, q, x = State("s"), Vector("z"), Vector("q"), Input("x", "n")
    cell = Cell("cheap", {z: Parameter("W", "n", "n") @ s.prev, q: z * x, s: q * tanh(q) + z**2}, output=s)
    again, block, *_ = group(loop_stages(lower_loop(lower(cell), sink=False)), "each step back").stages
    assert (again.kind, again.formulas, again.read, again.written) == ("recomputed", ("q = z ⊙ x",), 0, 0)
    assert block.read == 5 * n * T * B  # z, x, tanh(q), and what arrives from outside and from later


def test_a_mean_is_one_number_a_row() -> None:
    found = stages("normalized-prototype")
    means = [s for s in group(found, "each step").stages if s.kind == "mean"]
    assert [s.written for s in means] == [T * B, T * B]
    assert [s.name for s in found.stored if s.numbers == T * B] == ["mean_a"]


def test_stored_are_exports_and_what_is_kept() -> None:
    for name in derive.catalogue():
        loop = lower_loop(lower(derive.cell(name)), sink=True)
        found = loop_stages(loop)
        given = [s.name for s in found.stored if s.why == "given"]
        assert len(given) == len(loop.exports)
        assert len(found.stored) == len(loop.stored)


def test_totals_are_sums_without_what_is_optional() -> None:
    found = stages("gru")
    both_ways = found.total(way_back=False).counts + found.total(way_back=True).counts
    assert both_ways == found.total().counts
    every = sum((s.read for g in found.groups for s in g.stages), sympy.S.Zero)
    optional = sum((s.read for g in found.groups for s in g.stages if s.optional), sympy.S.Zero)
    assert sympy.expand(every - optional - found.total().read) == 0
    assert optional != 0


def test_phases_show_no_way_back_and_say_so() -> None:
    found = plan_stages(lower(derive.cell("gru")))
    assert found.form == "phases"
    assert not any(g.way_back for g in found.groups)
    assert found.stored == ()
    assert found.uncounted == ("the way back, which autograd records",)


def test_what_autograd_does_outside_the_loop_is_said_to_be_uncounted() -> None:
    assert stages("pseudo-lstm").uncounted
    assert not stages("pseudo-lstm", sink=True).uncounted
