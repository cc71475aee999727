"""Peepholes: who sees what, full or diagonal, and that at P = 0 nothing changes."""

from typing import Any

import pytest
from hypothesis import given

import derive
from derive import Cell, Input, Parameter, RuleDoesNotApply, State, UnknownRule, Vector, sigmoid, tanh
from derive.errors import AlreadyHolds
from derive.symbols import affine_parameters
from tests.neutral import assert_same, drawn, extended, moves
from tests.strategies import cells, gated_cells

s, h, c, x = State("s"), State("h"), State("c"), Input("x")
f, o = Vector("f"), Vector("o")
W, U, b = affine_parameters()
V = Parameter("V", "n", "n")


def refusal(cell: Cell | str, **options: Any) -> RuleDoesNotApply:
    with pytest.raises(RuleDoesNotApply) as caught:
        derive.apply("add-peepholes", cell, **options)
    return caught.value


def test_the_read_gate_sees_the_state_just_written() -> None:
    step = derive.apply("add-peepholes", "lstm")
    assert step.after == derive.cell("peephole-lstm").replace(name="lstm")
    assert [str(claim) for claim in step.claims] == [
        "proved: i sees cₜ₋₁ even at o = 0",
        "proved: f sees cₜ₋₁ even at o = 0",
    ]


def test_diagonal_peepholes() -> None:
    step = derive.apply("add-peepholes", "lstm", form="diagonal")
    assert step.after.line(o) == "oₜ = σ(W_o hₜ₋₁ + U_o xₜ + p_o ⊙ cₜ + b_o)"
    assert step.after.line(f) == "fₜ = σ(W_f hₜ₋₁ + U_f xₜ + p_f ⊙ cₜ₋₁ + b_f)"
    assert step.after.parameters["p_o"] == ("n",)


def test_without_a_shadow_every_gate_sees_the_past() -> None:
    step = derive.apply("add-peepholes", "pseudo-lstm-d2")
    assert step.changes()[1] == [
        "iₜ = σ(W_i(oₜ ⊙ tanh(sₜ₋₁)) + U_i xₜ + P_i sₜ₋₁ + b_i)",
        "fₜ = σ(W_f(oₜ ⊙ tanh(sₜ₋₁)) + U_f xₜ + P_f sₜ₋₁ + b_f)",
    ]


def test_the_parameter_has_a_free_name() -> None:
    taken = derive.apply("rename", "lstm", names={"U": "P_o"}).after
    assert derive.apply("add-peepholes", taken).after.parameters.keys() >= {"P_i", "P_f", "P_o2"}


def test_refusals() -> None:
    assert isinstance(refusal("peephole-lstm"), AlreadyHolds)
    assert isinstance(refusal("peephole-lstm", form="diagonal"), AlreadyHolds)
    seeing = refusal("pseudo-lstm-d1")
    assert not isinstance(seeing, AlreadyHolds)
    assert str(seeing) == (
        "pseudo-lstm-d1: every gate already reads c ungated\n  at: iₜ = σ(W_i tanh(cₜ₋₁) + U_i xₜ + b_i)"
    )
    hidden = refusal(derive.apply("write-incrementally", "vanilla").after)
    assert str(hidden) == "vanilla: no read gate hides s\n  at: sₜ = sₜ₋₁ + s̃ₜ"
    with pytest.raises(UnknownRule, match=r"form='diag'; did you mean 'diagonal'\? Choices"):
        derive.apply("add-peepholes", "lstm", form="diag")


@pytest.mark.parametrize("form", ["full", "diagonal"])
@given(gated_cells())
def test_at_zero_nothing_changes(form: str, cell: Cell) -> None:
    check_zero(cell, form)


@pytest.mark.parametrize("form", ["full", "diagonal"])
@pytest.mark.parametrize("cell", ["lstm", "pseudo-lstm-d2", "pseudo-lstm-d12", "pseudo-lstm-d23"])
def test_at_zero_nothing_changes_in_the_catalogue(form: str, cell: str) -> None:
    assert check_zero(derive.cell(cell), form)


def check_zero(cell: Cell, form: str) -> bool:
    try:
        step = derive.apply("add-peepholes", cell, form=form)
    except RuleDoesNotApply:
        return False
    params = drawn(cell)
    after = extended(step, params)
    assert_same(cell, step.after, (params, after))
    new = set(after) - set(params)
    return moves(step, (params, after | {p: drawn(step.after)[p] for p in new}))


@given(cells())
def test_the_promise_is_rechecked_on_any_cell(cell: Cell) -> None:
    """Also where a gate sees the state just written, which is itself a vector that could be put in."""
    try:
        step = derive.apply("add-peepholes", cell)
    except RuleDoesNotApply:
        return
    told = [claim for claim in step.claims if claim.status != "unknown"]  # or only the read gate is blind
    assert all(claim.status == "proved" and claim.recheck() for claim in told)


def test_a_late_gate_without_shadow() -> None:
    cell = Cell(
        "late",
        {
            o: sigmoid(U @ x),
            s: s.prev + tanh(V @ (o * s.prev)),
            f: sigmoid(W @ (o * s.prev)),
            h: f * s + b * h.prev,
        },
        output=h,
    )
    step = derive.apply("add-peepholes", cell, state="s")
    assert step.after.line(f) == "fₜ = σ(W(oₜ ⊙ sₜ₋₁) + P_f sₜ)"
    assert step.after.line(o) == "oₜ = σ(U xₜ + P_o sₜ₋₁)"
    assert [claim.statement for claim in step.claims] == ["f sees sₜ even at o = 0"]
    assert all(claim.recheck() for claim in step.claims)
