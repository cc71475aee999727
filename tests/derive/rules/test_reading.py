"""How the state is read: equations, refusals, promises, and the parameters at which nothing changes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given

import derive
from derive import Cell, Input, Parameter, RuleDoesNotApply, State, Step, Vector, sigmoid, tanh
from derive.errors import AlreadyHolds
from derive.symbols import affine_parameters
from tests.neutral import OPEN, assert_same, drawn, extended, moves, new_vectors, opened
from tests.strategies import gated_cells

s, h, c, x = State("s"), State("h"), State("c"), Input("x")
i, f, o, y, s_tilde = Vector("i"), Vector("f"), Vector("o"), Vector("y"), Vector("s_tilde")
W, U, b = affine_parameters()
V = Parameter("V", "n", "n")


def applied(rule: str, cell: Cell, **options: Any) -> Step | None:
    try:
        return derive.apply(rule, cell, **options)
    except RuleDoesNotApply:
        return None


def refusal(rule: str, cell: Cell | str, **options: Any) -> RuleDoesNotApply:
    with pytest.raises(RuleDoesNotApply) as caught:
        derive.apply(rule, cell, **options)
    return caught.value


def incremental() -> Cell:
    return derive.apply("write-incrementally", "vanilla").after


# gate-read


def test_gate_read() -> None:
    step = derive.apply("gate-read", incremental())
    assert step.changes() == (
        ["s̃ₜ = tanh(W sₜ₋₁ + U xₜ + b)"],
        ["oₜ = σ(W_o sₜ₋₁ + U_o xₜ + b_o)", "s̃ₜ = tanh(W(oₜ ⊙ sₜ₋₁) + U xₜ + b)"],
    )
    assert [str(claim) for claim in step.claims] == ["proved: at o = 0, s̃ does not read sₜ₋₁"]


def test_gate_read_of_an_inline_candidate_leaves_the_carry_alone() -> None:
    cell = Cell("inline", {s: s.prev + tanh(W @ s.prev + b)}, output=s)
    step = derive.apply("gate-read", cell)
    assert step.after.line(s) == "sₜ = sₜ₋₁ + tanh(W(oₜ ⊙ sₜ₋₁) + b)"


def test_gate_read_promises_nothing_where_another_gate_reads_for_the_candidate() -> None:
    """i ⊙ s' stays readable at o = 0: a promise would be broken."""
    cell = Cell(
        "half",
        {i: sigmoid(U @ x), s_tilde: tanh(W @ s.prev + V @ (i * s.prev)), s: s.prev + s_tilde},
        output=s,
    )
    step = derive.apply("gate-read", cell)
    assert step.after.line(s_tilde) == "s̃ₜ = tanh(W(oₜ ⊙ sₜ₋₁) + V(iₜ ⊙ sₜ₋₁))"
    assert [claim.status for claim in step.claims] == ["unknown"]


def test_gate_read_refuses() -> None:
    assert isinstance(refusal("gate-read", "lstm"), AlreadyHolds)  # it reads through the shadow state
    cell = Cell("blind", {s: s.prev + tanh(U @ x)}, output=s)
    refused = refusal("gate-read", cell)
    assert not isinstance(refused, AlreadyHolds)
    assert str(refused) == "blind: the candidate of s does not read it\n  at: sₜ = sₜ₋₁ + tanh(U xₜ)"


@given(gated_cells())
def test_an_open_read_gate_changes_nothing(cell: Cell) -> None:
    step = applied("gate-read", cell)
    if step is None:
        return
    (gate,) = new_vectors(step)
    params = drawn(cell)
    after = opened(step.after, gate, extended(step, params))
    if after is not None:
        assert_same(step.before, step.after, (params, after))


# gate-gate-reads


def test_gate_gate_reads() -> None:
    step = derive.apply("gate-gate-reads", "pseudo-lstm")
    assert [v.name for v, e in step.after.equations.items() if e != step.before.equations[v]] == ["i", "f"]
    assert step.after.line(f) == "fₜ = σ(W_f(oₜ ⊙ tanh(sₜ₋₁)) + U_f xₜ + b_f)"
    assert step.after.line(o) == step.before.line(o)  # it cannot read through itself
    assert [claim.statement for claim in step.claims] == [
        "at o = 0, i does not read sₜ₋₁",
        "at o = 0, f does not read sₜ₋₁",
    ]


def test_gate_gate_reads_through_a_shadow() -> None:
    step = derive.apply("gate-gate-reads", "pseudo-lstm-d1")
    assert step.after.line(o) == "oₜ = σ(W_o hₜ₋₁ + U_o xₜ + b_o)"  # h is of the last step: no circle
    assert step.after == derive.cell("pseudo-lstm-d12").replace(name="pseudo-lstm-d1")


def test_gate_gate_reads_promises_nothing_of_a_gate_with_a_peephole() -> None:
    peeping = Cell(
        "peeping",
        {
            o: sigmoid(U @ x),
            f: sigmoid(W @ tanh(s.prev) + b * s.prev),
            s: f * s.prev + tanh(V @ (o * tanh(s.prev))),
        },
        output=s,
    )
    step = derive.apply("gate-gate-reads", peeping)
    assert step.after.line(f) == "fₜ = σ(W(oₜ ⊙ tanh(sₜ₋₁)) + b ⊙ sₜ₋₁)"
    assert [claim.status for claim in step.claims] == ["unknown"]


def test_gate_gate_reads_refuses() -> None:
    refused = refusal("gate-gate-reads", incremental())
    assert str(refused) == ("vanilla: no read gate: nothing reads s through a gate\n  at: sₜ = sₜ₋₁ + s̃ₜ")
    alone = refusal("gate-gate-reads", derive.apply("gate-read", incremental()).after)
    assert not isinstance(alone, AlreadyHolds)  # the read gate is the only gate
    assert "no gate besides o reads sₜ₋₁" in str(alone)
    done = refusal("gate-gate-reads", "pseudo-lstm-d2")
    assert isinstance(done, AlreadyHolds)
    assert "i already reads tanh(sₜ₋₁) through o\n  at: iₜ = " in str(done)


# gate-output


def test_gate_output_of_a_state() -> None:
    step = derive.apply("gate-output", "gru")
    assert step.changes() == (["output: sₜ"], ["yₜ = rₜ ⊙ sₜ", "output: yₜ"])
    assert [claim.statement for claim in step.claims] == ["at r = 0, the output y is zero"]


def test_gate_output_of_a_vector() -> None:
    step = derive.apply("gate-output", "pseudo-lstm")
    assert step.changes() == (["yₜ = tanh(sₜ)"], ["yₜ = oₜ ⊙ tanh(sₜ)"])


def test_gate_output_shows_the_shadow_that_is_there() -> None:
    step = derive.apply("gate-output", "pseudo-lstm-d12")
    assert step.changes() == (["yₜ = tanh(cₜ)", "output: yₜ"], ["output: hₜ"])
    assert [str(claim) for claim in step.claims] == ["proved: at o = 0, the output h is zero"]


def test_gate_output_refuses() -> None:
    none = derive.cell("prototype").replace(output=None)
    assert str(refusal("gate-output", none)) == (
        "prototype: the cell has no output that a gate could close\n  at: sₜ = fₜ ⊙ sₜ₋₁ + iₜ ⊙ s̃ₜ"
    )
    assert isinstance(refusal("gate-output", "lstm"), AlreadyHolds)
    assert isinstance(refusal("gate-output", "pseudo-lstm-d3"), AlreadyHolds)
    other = Cell(
        "aside",
        {o: sigmoid(W @ s.prev), s: s.prev + tanh(V @ (o * s.prev)), h: tanh(W @ h.prev + V @ s)},
        output=h,
    )
    assert "the output is the state h, not a read of s" in str(refusal("gate-output", other))
    inside = Cell(
        "inside",
        {o: sigmoid(W @ s.prev), y: tanh(W @ s.prev), s: s.prev + tanh(V @ (o * s.prev) + V @ y)},
        output=y,
    )
    assert str(refusal("gate-output", inside)) == (
        "inside: the output y is also read inside the cell\n  at: yₜ = tanh(W sₜ₋₁)"
    )


@pytest.mark.parametrize("rule", ["gate-gate-reads", "gate-output"])
@pytest.mark.parametrize("cell", ["prototype", "gru", "pseudo-lstm", "pseudo-lstm-d1", "pseudo-lstm-d12"])
def test_a_read_gate_at_one_hides_nothing(rule: str, cell: str) -> None:
    step = applied(rule, derive.cell(cell))
    if step is None:
        assert (rule, cell) == ("gate-gate-reads", "pseudo-lstm-d12")
        return
    gate = "r" if cell == "gru" else "o"
    params = opened(step.before, gate, drawn(step.before))
    assert params is not None
    rng = np.random.default_rng(0)
    past = rng.uniform(-0.9, 0.9, 3)
    start = {"c": past, "h": np.tanh(past)}
    assert_same(step.before, step.after, (params, params), states=start)
    usual = drawn(step.before)
    assert moves(step, (usual, usual))


@pytest.mark.parametrize("rule", ["gate-gate-reads", "gate-output"])
@given(gated_cells())
def test_a_read_gate_at_one_hides_nothing_of_any_cell(rule: str, cell: Cell) -> None:
    step = applied(rule, cell)
    if step is None or len(cell.states) > 1:  # with a shadow state the start matters: tested above
        return
    params = opened(cell, "o", drawn(cell))
    if params is not None:
        assert_same(cell, step.after, (params, params))


# reset-after


def test_reset_after() -> None:
    assert derive.apply("reset-after", "gru").changes() == (
        ["s̃ₜ = tanh(W(rₜ ⊙ sₜ₋₁) + U xₜ + b)"],
        ["s̃ₜ = tanh(rₜ ⊙ (W sₜ₋₁) + U xₜ + b)"],
    )
    biased = derive.apply("reset-after", "gru", bias=True)
    assert biased.changes()[1] == ["s̃ₜ = tanh(rₜ ⊙ (W sₜ₋₁ + b_W) + U xₜ + b)"]
    assert biased.after.parameters["b_W"] == ("n",)


def test_reset_after_changes_the_product_wherever_it_stands() -> None:
    cell = Cell(
        "shared",
        {o: sigmoid(U @ x), f: sigmoid(W @ (o * s.prev)), s: f * s.prev + tanh(W @ (o * s.prev) + b)},
        output=s,
    )
    assert derive.apply("reset-after", cell).changes()[1] == [
        "fₜ = σ(oₜ ⊙ (W sₜ₋₁))",
        "sₜ = fₜ ⊙ sₜ₋₁ + tanh(oₜ ⊙ (W sₜ₋₁) + b)",
    ]


def test_reset_after_refuses() -> None:
    assert isinstance(refusal("reset-after", derive.apply("reset-after", "gru").after), AlreadyHolds)
    refused = refusal("reset-after", "lstm")
    assert str(refused) == (
        "lstm: the candidate of c has no matrix product of a gated read\n  at: cₜ = fₜ ⊙ cₜ₋₁ + iₜ ⊙ c̃ₜ"
    )
    bare = Cell("bare", {o: sigmoid(U @ x), s: o * s.prev + o * tanh(W @ (-o))}, output=s)
    assert not isinstance(refusal("reset-after", bare), AlreadyHolds)  # W(-o): nothing is left to multiply
    wide = Cell(
        "wide",
        {
            (k := Vector("k", "m")): sigmoid(Parameter("K", "m", "n") @ s.prev),
            s: s.prev + tanh(U @ (k * x)),
        },
        output=s,
    )
    assert "no matrix product" in str(refusal("reset-after", wide))  # the gate has the axis of the input


@pytest.mark.parametrize("bias", [False, True])
@given(gated_cells())
def test_reset_after_changes_nothing_where_the_matrix_is_diagonal(bias: bool, cell: Cell) -> None:
    step = applied("reset-after", cell, bias=bias)
    if step is None:
        return
    (node,) = step.agreement[0]
    params = drawn(cell)
    params[node.map.name] = np.diag(np.diag(params[node.map.name]))
    assert_same(cell, step.after, (params, extended(step, params)))


def test_reset_after_is_another_cell_elsewhere() -> None:
    step = derive.apply("reset-after", "gru", bias=True)
    params = drawn(step.before)
    assert moves(step, (params, extended(step, params)))
    diagonal = params | {"W": np.diag(np.diag(params["W"]))}
    assert moves(step, (diagonal, extended(step, diagonal) | {"b_W": np.full(3, OPEN)}))


# the options


@pytest.mark.parametrize("rule", ["gate-gate-reads", "gate-output", "gate-read"])
def test_state_must_be_a_memory(rule: str) -> None:
    assert "h does not carry its past" in str(refusal(rule, "lstm", state="h"))


def test_state_selects_the_memory() -> None:
    two = Cell(
        "two-memories",
        {h: h.prev + tanh(W @ h.prev + U @ x), c: c.prev + tanh(V @ c.prev + b + W @ h)},
        output=c,
    )
    assert derive.apply("gate-read", two).changes()[0] == ["hₜ = hₜ₋₁ + tanh(W hₜ₋₁ + U xₜ)"]
    step = derive.apply("gate-read", two, state="c", gate="r")
    assert step.changes() == (
        ["cₜ = cₜ₋₁ + tanh(W hₜ + V cₜ₋₁ + b)"],
        ["rₜ = σ(W_r cₜ₋₁ + U_r xₜ + b_r)", "cₜ = cₜ₋₁ + tanh(W hₜ + V(rₜ ⊙ cₜ₋₁) + b)"],
    )
