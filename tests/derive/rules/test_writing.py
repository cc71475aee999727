"""How the state is written: equations, refusals, promises, and the parameters at which nothing changes."""

import numpy as np
import pytest
from hypothesis import given

import derive
from derive import (
    Cell,
    Input,
    Parameter,
    RuleDoesNotApply,
    State,
    Step,
    Vector,
    hard_sigmoid,
    relu,
    sigmoid,
    tanh,
)
from derive.errors import AlreadyHolds, DeriveError
from derive.symbols import affine_parameters
from tests.neutral import assert_same, drawn, extended, moves, new_vectors, opened
from tests.strategies import cells, gated_cells

s, h, c, x = State("s"), State("h"), State("c"), Input("x")
i, f, g, s_tilde = Vector("i"), Vector("f"), Vector("g"), Vector("s_tilde")
W, U, b = affine_parameters()
V = Parameter("V", "n", "n")


def incremental() -> Cell:
    return derive.apply("write-incrementally", "vanilla").after


def written() -> Cell:
    return derive.apply("gate-write", incremental()).after


def applied(rule: str, cell: Cell) -> Step | None:
    try:
        return derive.apply(rule, cell)
    except RuleDoesNotApply:
        return None


def test_write_incrementally() -> None:
    step = derive.apply("write-incrementally", "vanilla")
    assert step.changes() == (
        ["sₜ = tanh(W sₜ₋₁ + U xₜ + b)"],
        ["s̃ₜ = tanh(W sₜ₋₁ + U xₜ + b)", "sₜ = sₜ₋₁ + s̃ₜ"],
    )
    assert [str(claim) for claim in step.claims] == ["proved: at s̃ = 0 the step returns s unchanged"]


def test_gate_write_names_its_parameters_after_the_gate() -> None:
    step = derive.apply("gate-write", incremental())
    assert step.changes() == (["sₜ = sₜ₋₁ + s̃ₜ"], ["iₜ = σ(W_i sₜ₋₁ + U_i xₜ + b_i)", "sₜ = sₜ₋₁ + iₜ ⊙ s̃ₜ"])
    assert list(step.after.equations) == [i, s_tilde, s]
    assert [claim.statement for claim in step.claims] == ["at i = 0 the step returns s unchanged"]


def test_gate_forget_reads_what_the_other_gates_read() -> None:
    squashed = derive.apply("squash-reads", written()).after
    step = derive.apply("gate-forget", squashed)
    assert step.changes() == (
        ["sₜ = sₜ₋₁ + iₜ ⊙ s̃ₜ"],
        ["fₜ = σ(W_f tanh(sₜ₋₁) + U_f xₜ + b_f)", "sₜ = fₜ ⊙ sₜ₋₁ + iₜ ⊙ s̃ₜ"],
    )
    assert [claim.statement for claim in step.claims] == ["at f = 1, i = 0 the step returns s unchanged"]


def test_a_new_gate_has_the_activation_of_the_others() -> None:
    equations = {i: hard_sigmoid(V @ s.prev + b), s: s.prev + i * tanh(W @ s.prev)}
    step = derive.apply("gate-forget", Cell("hard", equations, output=s), gate="k")
    assert step.after.line(Vector("k")) == "kₜ = hard_sigmoid(V_k sₜ₋₁ + b_k)"


def test_a_new_gate_without_input() -> None:
    cell = Cell("deaf", {s: s.prev + tanh(W @ s.prev)}, output=s)
    assert derive.apply("gate-write", cell).after.line(i) == "iₜ = σ(W_i sₜ₋₁ + b_i)"


def test_names_that_are_taken_get_a_number() -> None:
    cell = incremental()
    assert new_vectors(derive.apply("gate-write", cell, gate="s")) == ["s2"]
    taken = derive.apply("rename", cell, names={"W": "W_i"}).after
    assert new_vectors(derive.apply("gate-write", taken)) == ["i2"]


def test_parameters_of_a_copied_gate_stay_apart() -> None:
    """A gate with parameters W and W_i: both copies would be called W_f."""
    W_i = Parameter("W_i", "n", "n")
    cell = Cell("two-reads", {i: sigmoid(W @ s.prev + W_i @ tanh(s.prev)), s: s.prev + i * tanh(V @ s.prev)})
    step = derive.apply("gate-forget", cell)
    assert step.after.line(f) == "fₜ = σ(W_f sₜ₋₁ + W_f2 tanh(sₜ₋₁))"


def test_couple_forget_to_write() -> None:
    step = derive.apply("couple-forget-to-write", "prototype")
    assert step.changes() == (
        ["iₜ = σ(W_i sₜ₋₁ + U_i xₜ + b_i)", "sₜ = fₜ ⊙ sₜ₋₁ + iₜ ⊙ s̃ₜ"],
        ["sₜ = fₜ ⊙ sₜ₋₁ + (1 - fₜ) ⊙ s̃ₜ"],
    )
    assert [str(claim) for claim in step.claims] == [
        "proved: at f = 1 the step returns s unchanged",
        "proved: s stays in [-1, 1] (assuming s starts in [-1, 1])",
    ]


def test_coupling_an_unbounded_candidate_promises_no_box() -> None:
    step = derive.apply(
        "couple-forget-to-write", derive.cell("prototype").with_activations({"s_tilde": relu})
    )
    assert [(claim.name, claim.status) for claim in step.claims] == [
        ("carries-s", "proved"),
        ("bounded-s", "unknown"),
    ]


def test_coupling_scaled_writes_cannot_prove_the_box() -> None:
    cell = Cell(
        "scaled",
        {i: sigmoid(V @ s.prev), f: sigmoid(W @ s.prev), g: tanh(U @ x), s: f * s.prev + b * i * g},
    )
    step = derive.apply("couple-forget-to-write", cell)
    assert step.claims[1].status == "unknown"


def test_a_gate_may_be_a_complement() -> None:
    """gate-forget's promise sets 1 - i to 0, not i."""
    cell = Cell("mirrored", {i: sigmoid(V @ s.prev), s: s.prev + (1 - i) * tanh(W @ s.prev)}, output=s)
    step = derive.apply("gate-forget", cell)
    assert [claim.statement for claim in step.claims] == ["at f = 1, i = 1 the step returns s unchanged"]
    assert [claim.status for claim in step.claims] == ["proved"]


def test_a_candidate_that_is_a_fraction_is_no_gate() -> None:
    cell = incremental().with_activations({"s_tilde": sigmoid})
    gated = derive.apply("gate-write", cell).after
    assert gated.line(s) == "sₜ = sₜ₋₁ + iₜ ⊙ s̃ₜ"
    lone = derive.apply("gate-forget", cell).after
    with pytest.raises(RuleDoesNotApply, match="no write gate of its own"):
        derive.apply("couple-forget-to-write", lone)


TWO = Cell(
    "two-memories",
    {h: h.prev + tanh(W @ h.prev + U @ x), c: c.prev + tanh(V @ h + b)},
    output=c,
    states=["h", "c"],
)


def test_state_selects_the_memory() -> None:
    assert derive.apply("gate-write", TWO).changes()[0] == ["hₜ = hₜ₋₁ + tanh(W hₜ₋₁ + U xₜ)"]
    step = derive.apply("gate-write", TWO, state="c")
    assert step.changes() == (
        ["cₜ = cₜ₋₁ + tanh(V hₜ + b)"],
        ["iₜ = σ(W_i cₜ₋₁ + U_i xₜ + b_i)", "cₜ = cₜ₋₁ + iₜ ⊙ tanh(V hₜ + b)"],
    )


def test_without_a_choice_the_first_memory_that_accepts_is_taken() -> None:
    once = derive.apply("gate-forget", TWO).after
    assert derive.apply("gate-forget", once).changes()[0] == ["cₜ = cₜ₋₁ + tanh(V hₜ + b)"]


@pytest.mark.parametrize("rule", ["gate-write", "write-incrementally"])
def test_an_unknown_state(rule: str) -> None:
    with pytest.raises(DeriveError, match=r"lstm has no state 'cc'; did you mean 'c'\? States: h, c"):
        derive.apply(rule, "lstm", state="cc")


def refusal(rule: str, cell: Cell | str, **options: str) -> RuleDoesNotApply:
    with pytest.raises(RuleDoesNotApply) as caught:
        derive.apply(rule, cell, **options)
    return caught.value


def test_a_shadow_state_is_no_memory() -> None:
    refused = refusal("gate-write", "lstm", state="h")
    assert not isinstance(refused, AlreadyHolds)
    assert (
        str(refused)
        == "lstm: h does not carry its past; the rule needs one that does\n  at: hₜ = oₜ ⊙ tanh(cₜ)"
    )
    refused = refusal("write-incrementally", "lstm", state="h")
    assert str(refused) == "lstm: h is a shadow of another state, not a memory\n  at: hₜ = oₜ ⊙ tanh(cₜ)"
    assert isinstance(refusal("write-incrementally", "lstm"), AlreadyHolds)


def test_nothing_to_gate() -> None:
    cell = Cell("rest", {f: sigmoid(W @ s.prev), s: f * s.prev}, output=s)
    assert str(refusal("gate-write", cell)) == "rest: nothing is written to s\n  at: sₜ = fₜ ⊙ sₜ₋₁"


def test_refusals_to_couple() -> None:
    assert isinstance(refusal("couple-forget-to-write", "gru"), AlreadyHolds)
    whole = refusal("couple-forget-to-write", written())
    assert str(whole) == "vanilla: the carry of s is 1, not a forget gate\n  at: sₜ = sₜ₋₁ + iₜ ⊙ s̃ₜ"
    cell = Cell(
        "busy",
        {i: sigmoid(V @ s.prev), f: sigmoid(W @ s.prev), g: tanh(U @ x + V @ i), s: f * s.prev + i * g},
    )
    elsewhere = refusal("couple-forget-to-write", cell)
    assert str(elsewhere) == "busy: the write gate i is also read elsewhere\n  at: gₜ = tanh(V iₜ + U xₜ)"


def test_a_coupling_written_the_other_way_round_is_one() -> None:
    cell = Cell("cho", {i: sigmoid(V @ s.prev), s: (1 - i) * s.prev + i * tanh(W @ s.prev)}, output=s)
    assert isinstance(refusal("couple-forget-to-write", cell), AlreadyHolds)


@given(cells())
def test_one_step_from_zero_is_the_same_however_it_is_written(cell: Cell) -> None:
    step = applied("write-incrementally", cell)
    if step is not None:
        (target,) = (v for v in cell.equations if cell.equations[v] != step.after.equations[v])
        params = drawn(cell)
        assert_same(cell, step.after, (params, params), states={target.name: np.zeros(3)}, T=1)


def test_from_elsewhere_it_is_not() -> None:
    step = derive.apply("write-incrementally", "vanilla")
    params = drawn(step.before)
    assert moves(step, (params, params))


@pytest.mark.parametrize("rule", ["gate-write", "gate-forget"])
@given(gated_cells())
def test_an_open_gate_changes_nothing(rule: str, cell: Cell) -> None:
    step = applied(rule, cell)
    if step is None:
        return
    (gate,) = new_vectors(step)
    params = drawn(cell)
    after = opened(step.after, gate, extended(step, params))
    if after is not None:
        assert_same(step.before, step.after, (params, after))


@pytest.mark.parametrize("rule", ["gate-write", "gate-forget"])
def test_a_half_open_gate_changes_something(rule: str) -> None:
    step = derive.apply(rule, incremental())
    params = drawn(step.before)
    assert moves(step, (params, extended(step, params)))


@given(gated_cells())
def test_coupling_changes_nothing_where_the_write_gate_mirrors_the_forget_gate(cell: Cell) -> None:
    step = applied("couple-forget-to-write", cell)
    if step is None:
        return
    params = drawn(cell)
    mirrored = {p: -params[p.removesuffix("_i") + "_f"] for p in params if p.endswith("_i")}
    before = params | mirrored
    assert mirrored
    assert_same(step.before, step.after, (before, {p: before[p] for p in step.after.parameters}))


def test_coupling_changes_something_elsewhere() -> None:
    step = derive.apply("couple-forget-to-write", "prototype")
    params = drawn(step.before)
    assert moves(step, (params, {p: params[p] for p in step.after.parameters}))
