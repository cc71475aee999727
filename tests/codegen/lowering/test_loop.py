"""The loop form: run by an independent interpreter, it gives the evaluator's values and exact gradients."""

import dataclasses
from functools import cache

import numpy as np
import pytest
import sympy

import derive
from codegen.checking.gradients import Gradients, by_complex_step
from codegen.checking.sample import Array, Sample, draw
from codegen.loop import Loop, is_past
from codegen.lowering import lower
from codegen.lowering.loop import lower_loop
from codegen.plan import Assignment, Product
from derive import Cell, Input, Parameter, State, Vector, tanh
from tests.codegen.unusual_cells import UNUSUAL
from tests.loops import LoopRun, NotAtHand

CELLS = [*map(derive.cell, derive.catalogue()), *UNUSUAL]
BY_NAME = {cell.name: cell for cell in CELLS}
each = pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
FORMS = {"outside": {"sink": False}, "sunk": {"sink": True}, "inside": {"sink": True, "inputs": True}}
each_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


@cache
def exact(cell: Cell) -> tuple[Sample, Gradients]:
    """A sample and its gradients, once for each cell."""
    sample = draw(cell, seed=1, steps=3)
    return sample, by_complex_step(sample)


@cache
def loop(name: str, *, sink: bool = False, inputs: bool = False) -> Loop:
    return lower_loop(lower(BY_NAME[name]), sink=sink, inputs=inputs)


def names(symbols) -> list[str]:
    return [symbol.name for symbol in symbols]


def assert_close(found: Array, expected: Array, what: str) -> None:
    scale = np.abs(expected).max(initial=1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * scale, err_msg=what)


@each
@each_form
def test_values_and_gradients_are_exact(cell: Cell, form: dict[str, bool]) -> None:
    sample, gradients = exact(cell)
    run = LoopRun(loop(cell.name, **form), sample)
    output, last = sample.values()
    assert_close(run.output, output, "output")
    for state, mine, theirs in zip(cell.states, run.last, last, strict=True):
        assert_close(mine, theirs, f"last {state}")
    for name, value in sample.vectors().items():
        assert_close(run.vector(cell.symbols[name]), value, name)
    mine = run.gradients()
    for name in cell.parameters:
        assert_close(mine.parameters[name], gradients.parameters[name], f"gradient of {name}")
    assert_close(mine.inputs, gradients.inputs, "gradient of the input")
    for state, found, expected in zip(cell.states, mine.state, gradients.state, strict=True):
        assert_close(found, expected, f"gradient of the first {state}")


@each
@each_form
def test_nothing_is_kept_in_vain(cell: Cell, form: dict[str, bool]) -> None:
    """Without any one of the kept vectors the way back lacks something."""
    whole = loop(cell.name, **form)
    sample, _ = exact(cell)
    for vector in whole.kept:
        without = tuple(v for v in whole.kept if v != vector)
        with pytest.raises(NotAtHand):
            LoopRun(dataclasses.replace(whole, kept=without), sample).gradients()


@each
@each_form
def test_what_is_cheap_is_computed_again_and_is_needed(cell: Cell, form: dict[str, bool]) -> None:
    whole = loop(cell.name, **form)
    sample, _ = exact(cell)
    assert not {s.symbol for s in whole.backward.recomputed} & set(whole.stored)
    for statement in whole.backward.recomputed:
        rest = tuple(s for s in whole.backward.recomputed if s != statement)
        backward = dataclasses.replace(whole.backward, recomputed=rest)
        with pytest.raises(NotAtHand):
            LoopRun(dataclasses.replace(whole, backward=backward), sample).gradients()


@each
@each_form
def test_operands_and_what_is_read_of_the_past_are_stored_or_taken(cell: Cell, form: dict[str, bool]) -> None:
    whole = loop(cell.name, **form)
    for product in whole.products:
        operand = product.operand
        held = operand.state in whole.stored if is_past(operand) else operand in (*whole.stored, *whole.taken)
        assert held or operand in whole.constants, f"{operand} is in no memory of all steps"


@each
@each_form
def test_a_product_is_bare_and_what_is_added_to_it_lies_as_its_rows_do(
    cell: Cell, form: dict[str, bool]
) -> None:
    whole = loop(cell.name, **form)
    for product in whole.products:
        assert not any(part.biases for part in product.parts)
        if not product.addends:
            continue
        if (onto := whole.onto(product)) is not None:
            row, first = onto.symbols, onto.symbols.index(product.addends[0])
            readers = [s for s in whole.forward if set(product.addends) & s.reads]
            assert readers == [product], "something else reads sums that the product overwrites"
        else:
            index, first = whole.added(product)
            row = whole.blocks[index].symbols
        assert row[first : first + len(product.addends)] == product.addends


def test_the_lstm_keeps_its_gates_and_one_squashed_state() -> None:
    lstm = loop("lstm")
    assert names(lstm.exports) == ["h"]
    assert sorted(names(lstm.kept)) == sorted(["c", "i", "o", "f", "c_tilde", "tanh_c"])
    (product,) = lstm.products
    assert lstm.shared_delta(product) == (0, 0)
    assert lstm.constants == {}


def test_the_gru_multiplies_what_its_read_gate_left() -> None:
    gru = loop("gru")
    assert names(p.operand for p in gru.products) == ["s[t-1]", "r_s_prev"]
    assert "r_s_prev" in names(gru.kept)  # the gradient of W reads it at all steps
    assert [gru.shared_delta(p) for p in gru.products] == [(0, 0), (0, 2)]


def test_sinking_takes_elementwise_formulas_into_the_loop() -> None:
    outside, sunk = loop("blind-gate"), loop("blind-gate", sink=True)
    assert "i" in names(outside.before.symbols)
    assert "i" not in names(sunk.before.symbols)
    assert "i" in [symbol.name for s in sunk.forward for symbol in s.symbols]
    assert all(isinstance(s, Product) for s in sunk.before)
    outside, sunk = loop("pseudo-lstm"), loop("pseudo-lstm", sink=True)
    assert names(outside.after.symbols) == ["y"]
    assert not sunk.after
    assert names(sunk.exports) == ["y"]


def test_a_product_after_the_loop_stays_there_and_so_does_what_reads_it() -> None:
    late = loop("late-output-gate", sink=True)
    assert late.after.products
    assert names(late.exports) == ["s"]


def test_states_that_only_the_input_writes_are_copied() -> None:
    """The second step reads the state, so that the loop must have it under its own name."""
    entering = loop("state-before")
    assert entering.forward[0] == Assignment(State("h"), Vector("h_new"))
    ((block,),) = [[b for b in entering.blocks if Vector("h_new") in b.symbols]]
    assert block.sources[block.symbols.index(Vector("h_new"))] == State("h")


def test_what_parameters_alone_give_is_a_constant() -> None:
    f, complement = Vector("f"), Vector("one_minus_f")
    assert loop("constant-gate").constants == {f: f, complement: complement}
    assert loop("diagonal-peephole").constants == {Parameter("p", "n"): Parameter("p", "n")}


def test_a_product_of_parameters_before_the_loop_is_no_block() -> None:
    """W tanh(b) is (n,); sunk into the loop it would be taken for (T, B, n)."""
    W, U, V = Parameter("W", "n", "n"), Parameter("U", "n", "m"), Parameter("V", "n", "n")
    s, i, b = State("s"), Vector("i"), Parameter("b", "n")
    cell = Cell("once", {i: tanh(b), s: tanh(W @ i + U @ Input("x")) + V @ s.prev}, output=s)
    plan = lower(cell)
    product = plan.before.products[0]
    assert not product.operand.has(Input)
    for form in FORMS.values():
        sample = draw(cell, seed=0)
        run = LoopRun(lower_loop(plan, **form), sample)
        assert product.symbols[0] not in run.loop.taken
        assert_close(run.output, sample.values()[0], "output")
        for mine, theirs in run.gradients().pairs(by_complex_step(sample)):
            assert_close(mine, theirs, "gradient")


def test_lowering_is_deterministic() -> None:
    for cell in UNUSUAL:
        one, other = loop(cell.name, sink=True), lower_loop(lower(cell), sink=True)
        assert one.forward == other.forward
        assert one.kept == other.kept
        assert one.backward.statements == other.backward.statements


def test_cheapness_is_counted_in_operations() -> None:
    """1 - z is computed again; a value of three operations or with a root is kept."""
    s, x, z, q = State("s"), Input("x", "n"), Vector("z"), Vector("q")
    W = Parameter("W", "n", "n")
    cheap = Cell("cheap", {z: W @ s.prev, q: 1 - z, s: q * tanh(q * x)}, output=s)
    dear = Cell("dear", {z: W @ s.prev, q: 1 - z * x * s.prev, s: q * tanh(q * x)}, output=s)
    root = Cell("root", {z: W @ s.prev, q: (z**2 + 1) ** sympy.Rational(1, 2), s: q * tanh(q * x)}, output=s)
    for cell, kept in ((cheap, False), (dear, True), (root, True)):
        made = lower_loop(lower(cell), sink=False)
        assert ("q" in names(made.kept)) is kept, cell.name
        assert ("q" in names(s.symbol for s in made.backward.recomputed)) is not kept, cell.name
