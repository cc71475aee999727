"""Dropping the recurrence: what is dropped, what stays, refusals, and that at W = 0 nothing changes."""

import pytest
from hypothesis import given, settings

import derive
from derive import Cell, Input, Parameter, RuleDoesNotApply, State, Vector, affine_parameters, sigmoid, tanh
from derive.errors import AlreadyHolds
from tests.neutral import assert_same, drawn
from tests.strategies import cells, gated_cells

s, c, h, x = State("s"), State("c"), State("h"), Input("x")
f, a, s_tilde = Vector("f"), Vector("a"), Vector("s_tilde")
W, U, b = affine_parameters()
W_f, U_f, b_f = affine_parameters("f")
V, p = Parameter("V", "n", "n"), Parameter("p", "n")
MINIMAL = Cell(
    "minimal-gated-unit",
    {
        f: sigmoid(W_f @ s.prev + U_f @ x + b_f),
        s_tilde: tanh(W @ (f * s.prev) + U @ x + b),
        s: (1 - f) * s.prev + f * s_tilde,
    },
    output=s,
)


def after(cell: Cell | str) -> Cell:
    return derive.apply("drop-recurrence", cell).after


def refusal(cell: Cell | str) -> RuleDoesNotApply:
    with pytest.raises(RuleDoesNotApply) as caught:
        derive.apply("drop-recurrence", cell)
    return caught.value


def test_the_minimal_gated_unit_becomes_linear() -> None:
    step = derive.apply("drop-recurrence", MINIMAL)
    assert step.changes()[1] == ["fₜ = σ(U_f xₜ + b_f)", "s̃ₜ = tanh(U xₜ + b)"]
    assert step.after.line(s) == MINIMAL.line(s)
    assert derive.is_linear_recurrence(step.after)
    assert not derive.is_linear_recurrence(MINIMAL)
    assert [claim.status for claim in step.claims] == ["proved", "proved"]
    assert all(claim.recheck() for claim in step.claims)


def test_a_shadow_that_nothing_reads_any_more_is_no_state() -> None:
    linear = after("lstm")
    assert linear.states == ("c",)
    assert linear.output == "h"
    assert linear.symbols["h"] == Vector("h")
    assert derive.is_linear_recurrence(linear)


def test_a_read_gate_goes_with_what_it_gated() -> None:
    assert [symbol.name for symbol in after("gru").equations] == ["z", "s_tilde", "s"]


def test_what_sees_the_state_just_written_keeps_it() -> None:
    assert after("peephole-lstm").line(Vector("o")) == "oₜ = σ(U_o xₜ + P_o cₜ + b_o)"


def test_sums_with_names_of_their_own_and_diagonal_weights() -> None:
    cell = Cell(
        "apart",
        {a: W @ tanh(s.prev) + U_f @ x, f: sigmoid(a + p * s.prev), s: p * s.prev + f * tanh(V @ f + b)},
        output=s,
    )
    linear = after(cell)
    assert linear.line(a) == "aₜ = U_f xₜ"
    assert linear.line(f) == "fₜ = σ(aₜ)"
    assert linear.line(s) == cell.line(s)  # p there is a carry; V reads the gate, which is no recurrence now


def test_a_carry_that_is_not_linear_is_promised_nothing() -> None:
    step = derive.apply("drop-recurrence", "normalized-prototype")
    assert not step.claims
    assert not derive.is_linear_recurrence(step.after)


def test_refusals() -> None:
    done = refusal(after("gru"))
    assert isinstance(done, AlreadyHolds)
    assert "gru: no gate and no candidate reads a past state through weights" in str(done)
    assert "vanilla: no state carries its past" in str(refusal("vanilla"))
    bare = Cell("bare", {f: sigmoid(W @ s.prev), s: f * s.prev + U @ x}, output=s)
    assert "nothing but the recurrence enters f\n  at: fₜ = σ(W sₜ₋₁)" in str(refusal(bare))
    joined = {
        f: sigmoid(W_f @ s.prev + b_f),
        s: f * s.prev + tanh(W @ c.prev + b),
        c: f * c.prev + (1 - f) * tanh(U @ x),
    }
    assert "without its recurrence it is no cell" in str(refusal(Cell("joined", joined, output=s)))
    assert refusal(Cell("joined", joined, output=s)).at == f
    unweighted = Cell("unweighted", {f: sigmoid(s.prev + U_f @ x), s: f * s.prev + U @ x}, output=s)
    assert "f reads a past state, and not through weights\n  at: fₜ" in str(refusal(unweighted))


@pytest.mark.parametrize("cell", ["prototype", "gru", "lstm", "peephole-lstm", "pseudo-lstm-d23"])
def test_at_zero_nothing_changes_in_the_catalogue(cell: str) -> None:
    assert check_zero(derive.cell(cell))


@settings(max_examples=25)
@given(gated_cells())
def test_at_zero_nothing_changes_in_gated_cells(cell: Cell) -> None:
    check_zero(cell)


@settings(max_examples=25)
@given(cells())
def test_at_zero_nothing_changes_in_any_cell(cell: Cell) -> None:
    check_zero(cell)


def check_zero(cell: Cell) -> bool:
    """With the weights at 0 that the law names the two cells have the same outputs."""
    try:
        step = derive.apply("drop-recurrence", cell)
    except RuleDoesNotApply:
        return False
    zeroed = {q.name for term in step.agreement[0] for q in term.atoms(Parameter)} | {
        term.map.name for term in step.agreement[0] if isinstance(term, derive.Linear)
    }
    assert zeroed
    params = {name: 0 * value if name in zeroed else value for name, value in drawn(cell).items()}
    kept = {name: value for name, value in params.items() if name in step.after.parameters}
    if cell.states == step.after.states:
        assert_same(cell, step.after, (params, kept))
    return True
