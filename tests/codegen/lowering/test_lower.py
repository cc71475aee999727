"""``lower``: what is computed when, and that the plan is well-formed."""

import pytest
import sympy
from hypothesis import given

import derive
from codegen.errors import Unsupported
from codegen.lowering import lower
from codegen.plan import Assignment, Phase, Plan
from derive import Cell, Input, Linear, MeanMap, Parameter, Previous, State, Vector, tanh
from derive.counts import counts
from tests.codegen.unusual_cells import UNUSUAL
from tests.strategies import cells

n, m = sympy.symbols("n m", positive=True, integer=True)
CATALOGUE = [derive.cell(name) for name in derive.catalogue()]


def unusual(name: str) -> Plan:
    return lower(next(cell for cell in UNUSUAL if cell.name == name))


def names(symbols) -> list[str]:
    return [symbol.name for symbol in symbols]


def assert_well_formed(plan: Plan) -> None:
    """Every name is bound once, before it is used: in the same phase, or in one that hands it over."""
    handed = [symbol for block in plan.handed for symbol in block]
    inputs = {q for q in plan.cell.symbols.values() if isinstance(q, Input)}
    old = {state.prev for state in plan.states}
    reachable = {
        "once": set(),
        "before": inputs,
        "step": {*plan.once.symbols, *handed, *old},
        "after": {*plan.recorded, *old, *inputs},
    }
    for phase, known in reachable.items():
        assert_bound(getattr(plan, phase), known)
    everything = [s for phase in reachable for s in getattr(plan, phase).symbols]
    assert len(set(everything)) == len(everything)
    assert set(plan.cell.equations) <= set(everything)
    assert set(handed) <= {*plan.before.symbols, *inputs}
    for product in plan.step.products:
        assert not product.addends or product.addends in plan.handed


def assert_bound(phase: Phase, known: set) -> None:
    bound = set(known)
    for statement in phase:
        reads = {q for q in statement.reads if not isinstance(q, Parameter | MeanMap)}
        assert reads <= bound, f"{statement} reads {reads - bound}"
        bound |= set(statement.symbols)


@pytest.mark.parametrize("cell", [*CATALOGUE, *UNUSUAL], ids=lambda cell: cell.name)
def test_plans_are_well_formed(cell: Cell) -> None:
    assert_well_formed(lower(cell))


@given(cells())
def test_plans_of_any_cell_are_well_formed(cell: Cell) -> None:
    plan = lower(cell)
    assert_well_formed(plan)
    for phase in (plan.once, plan.before, plan.step, plan.after):
        operands = [product.operand for product in phase.products]
        assert len(set(operands)) == len(operands), "two products of one vector"
        for statement in phase:
            formula = statement.expr if isinstance(statement, Assignment) else statement.operand
            assert all(isinstance(node.map, MeanMap) for node in formula.atoms(Linear))


@given(cells())
def test_nothing_in_the_step_could_have_been_computed_before(cell: Cell) -> None:
    plan = lower(cell)
    state_dependent = {*plan.step.symbols, *(state.prev for state in plan.states)}
    for product in plan.step.products:
        assert product.operand.atoms(*map(type, state_dependent)) & state_dependent


@pytest.mark.parametrize("cell", CATALOGUE, ids=lambda cell: cell.name)
def test_catalogue_multiply_adds_are_those_of_the_equations(cell: Cell) -> None:
    assert sympy.expand(lower(cell).counts.multiply_adds - counts(cell).multiply_adds) == 0


@pytest.mark.parametrize("cell", CATALOGUE, ids=lambda cell: cell.name)
def test_the_input_goes_into_one_product(cell: Cell) -> None:
    plan = lower(cell)
    (product,) = plan.before.statements
    assert {part.matrix.name for part in product.parts} == {p for p in cell.parameters if p.startswith("U")}
    assert all(part.biases for part in product.parts)


def test_lstm_step_has_one_product_that_takes_the_input_along() -> None:
    plan = lower(derive.cell("lstm"))
    (product,) = plan.step.products
    assert names(product.symbols) == ["a_i", "a_o", "a_f", "a_c_tilde"]
    assert names(product.addends) == ["x_i", "x_o", "x_f", "x_c_tilde"]
    assert plan.step.counts.multiply_adds == 4 * n**2
    assert plan.before.counts.multiply_adds == 4 * n * m


def test_pseudo_lstm_shares_the_squashed_state_and_shows_it_after_the_loop() -> None:
    plan = lower(derive.cell("pseudo-lstm"))
    shared = [s for s in plan.step if isinstance(s, Assignment) and s.shared]
    assert names(s.symbol for s in shared) == ["tanh_s_prev"]
    assert names(plan.after.symbols) == ["y"]
    assert names(plan.late_reads) == ["s"]


def test_peepholes_of_two_states_are_two_products_and_one_of_the_new_state() -> None:
    plan = lower(derive.cell("peephole-lstm"))
    assert [str(p.operand) for p in plan.step.products] == ["h[t-1]", "c[t-1]", "c"]


def test_a_right_side_inside_another_is_used_by_its_name() -> None:
    plan = lower(derive.cell("pseudo-lstm-d1"))  # h = o tanh(c), y = tanh(c)
    h = next(s for s in plan.step if names(s.symbols) == ["h"])
    assert isinstance(h, Assignment)
    assert names(sorted(h.expr.atoms(Vector), key=str)) == ["o", "y"]
    assert not plan.after


def test_a_gate_that_does_not_read_the_state_is_computed_before_the_loop() -> None:
    plan = unusual("blind-gate")
    assert "i" in names(plan.before.symbols)
    assert "i" in names(plan.recorded)


def test_a_gate_without_input_or_state_is_computed_once() -> None:
    assert "f" in names(unusual("constant-gate").once.symbols)


def test_an_output_gate_that_nothing_reads_back_is_computed_after_the_loop() -> None:
    plan = unusual("late-output-gate")
    assert names(plan.after.symbols)[-2:] == ["g", "y"]
    assert any(isinstance(q, Previous) for q in plan.late_reads)
    assert len(plan.step.products) == 1


def test_two_biases_of_one_sum_are_taken_together() -> None:
    (product,) = unusual("two-biases").before.products
    assert sorted(names(product.parts[0].biases)) == ["b", "b_i"]


def test_vectors_with_two_axes_are_refused() -> None:
    memory = State("memory", "slots", "n")
    key = Parameter("K", "slots", "slots")
    cell = Cell("memory", {memory: tanh(key @ memory.prev)}, output=memory)
    with pytest.raises(Unsupported, match=r"memory has axes \('slots', 'n'\)"):
        lower(cell)
