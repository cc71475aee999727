"""How the state is bounded: equations, refusals, promises, and where nothing changes."""

from typing import Any

import pytest
from hypothesis import given
from sympy import Rational, sqrt

import derive
from derive import (
    Cell,
    Input,
    RuleDoesNotApply,
    State,
    Step,
    UnknownRule,
    Vector,
    mean,
    relu,
    sigmoid,
    softsign,
    tanh,
    variance,
)
from derive.errors import AlreadyHolds
from derive.symbols import affine_parameters
from tests.neutral import assert_same, drawn, moves
from tests.strategies import cells, gated_cells

s, h, c, x = State("s"), State("h"), State("c"), Input("x")
a, f, o, y = Vector("a"), Vector("f"), Vector("o"), Vector("y")
W, U, b = affine_parameters()


def applied(rule: str, cell: Cell, **options: Any) -> Step | None:
    try:
        return derive.apply(rule, cell, **options)
    except RuleDoesNotApply:
        return None


def refusal(rule: str, cell: Cell | str, **options: Any) -> RuleDoesNotApply:
    with pytest.raises(RuleDoesNotApply) as caught:
        derive.apply(rule, cell, **options)
    return caught.value


# normalize-state


def test_normalize_state() -> None:
    step = derive.apply("normalize-state", "prototype")
    assert step.after.equations[s] == a / sqrt(variance(a) + 1)
    assert step.after.equations[a] == step.before.equations[s]
    assert step.after == derive.cell("normalized-prototype").replace(name="prototype")


def test_normalize_with_centring() -> None:
    step = derive.apply("normalize-state", "prototype", center=True)
    assert step.after.equations[s] == (a - mean(a)) / sqrt(variance(a) + 1)


def test_the_memory_of_an_lstm_is_normalized_before_its_shadow_reads_it() -> None:
    step = derive.apply("normalize-state", "lstm")
    assert [v.name for v in step.after.equations] == ["i", "o", "f", "c_tilde", "a", "c", "h"]


def test_normalize_state_refuses() -> None:
    done = refusal("normalize-state", "normalized-prototype")
    assert isinstance(done, AlreadyHolds)
    assert str(done) == (
        "normalized-prototype: s is already normalized\n  at: sₜ = aₜ / √(mean((aₜ - mean(aₜ))²) + 1)"
    )
    assert "no state carries its past" in str(refusal("normalize-state", "vanilla"))


def test_a_mean_inside_the_candidate_is_no_normalization() -> None:
    cell = Cell("centred", {s: s.prev + tanh(W @ (s.prev - mean(s.prev)))}, output=s)
    step = derive.apply("normalize-state", cell)
    assert step.after.equations[a] == cell.equations[s]
    inline = cell.equations[s] / sqrt(variance(s.prev) + 1)
    assert isinstance(refusal("normalize-state", Cell("inline", {s: inline}, output=s)), AlreadyHolds)


@given(gated_cells())
def test_a_single_unit_has_no_variance(cell: Cell) -> None:
    step = applied("normalize-state", cell)
    if step is not None:
        params = drawn(cell, n=1)
        assert_same(cell, step.after, (params, params), n=1)


def test_several_units_have() -> None:
    step = derive.apply("normalize-state", "prototype")
    params = drawn(step.before)
    assert moves(step, (params, params))


# squash-reads


def test_squash_reads() -> None:
    step = derive.apply("squash-reads", "prototype")
    assert step.after == derive.cell("pseudo-lstm").replace(name="prototype")
    assert [str(claim) for claim in step.claims] == [
        "proved: every read of s passes an activation of bounded range and stays in (-1, 1)"
    ]
    assert all(claim.recheck() for claim in step.claims)


def test_squash_reads_of_a_shadow_state() -> None:
    """The present is squashed where the shadow reads it, and the past nowhere in its own carry."""
    plain = derive.apply("read-after-write", "prototype").after
    step = derive.apply("squash-reads", plain)
    assert step.after.line(h) == "hₜ = oₜ ⊙ tanh(sₜ)"
    assert step.after.line(s) == plain.line(s)
    assert step.after.output == "y"


def test_an_unbounded_activation_promises_nothing() -> None:
    step = derive.apply("squash-reads", "prototype", activation="relu")
    assert step.after.line(y) == "yₜ = relu(sₜ)"
    assert [claim.status for claim in step.claims] == ["unknown"]


def test_a_read_through_an_unbounded_activation_is_squashed_inside() -> None:
    cell = Cell("rectified", {s: s.prev + W @ relu(s.prev) + b, y: tanh(s)}, output=y)
    step = derive.apply("squash-reads", cell)
    assert step.after.line(s) == "sₜ = sₜ₋₁ + W relu(tanh(sₜ₋₁)) + b"
    assert [claim.status for claim in step.claims] == ["proved"]
    assert isinstance(refusal("squash-reads", step.after), AlreadyHolds)


def test_a_read_through_another_bounded_activation_is_left() -> None:
    cell = Cell("soft", {s: s.prev + W @ softsign(s.prev) + U @ x, y: s + b}, output=y)
    step = derive.apply("squash-reads", cell)
    assert step.after.line(s) == "sₜ = sₜ₋₁ + W softsign(sₜ₋₁) + U xₜ"
    assert step.after.line(y) == "yₜ = tanh(sₜ) + b"


def test_partly_squashed_reads() -> None:
    """The old cell has tanh(s') as well: the law puts s' for it on both sides."""
    cell = Cell("partly", {f: sigmoid(W @ tanh(s.prev)), s: f * s.prev + tanh(W @ s.prev + U @ x)}, output=s)
    step = derive.apply("squash-reads", cell)
    before, after = step.agreement
    assert before == after
    assert {k.xreplace({}) for k in before} == {tanh(s), tanh(s.prev)}


def test_squash_reads_refuses() -> None:
    done = refusal("squash-reads", "lstm")
    assert isinstance(done, AlreadyHolds)
    assert "c is already squashed wherever it is not a gate that reads it" in str(done)
    peeping = refusal("squash-reads", "peephole-lstm")  # gates may see it unsquashed
    assert isinstance(peeping, AlreadyHolds)
    assert str(peeping).endswith("at: iₜ = σ(W_i hₜ₋₁ + U_i xₜ + P_i cₜ₋₁ + b_i)")


def test_unknown_activations() -> None:
    with pytest.raises(UnknownRule, match=r"activation='tahn'; did you mean 'tanh'\?"):
        derive.apply("squash-reads", "prototype", activation="tahn")


@given(gated_cells())
def test_squashing_with_the_identity_changes_nothing(cell: Cell) -> None:
    step = applied("squash-reads", cell, activation="identity")
    if step is not None:
        params = drawn(cell)
        assert_same(cell, step.after, (params, params))


def test_squashing_with_anything_else_does() -> None:
    step = derive.apply("squash-reads", "prototype")
    params = drawn(step.before)
    assert moves(step, (params, params))


@given(cells())
def test_squashing_is_done_after_once(cell: Cell) -> None:
    """On any cell at all: the promise holds, and a second application finds nothing to do."""
    for state in cell.states:
        step = applied("squash-reads", cell, state=state)
        if step is not None:
            assert [claim.status for claim in step.claims] == ["proved"]
            assert isinstance(refusal("squash-reads", step.after, state=state), AlreadyHolds)


def test_state_selects_the_memory() -> None:
    cell = Cell(
        "two-memories",
        {h: h.prev + tanh(W @ h.prev + U @ x), c: c.prev + Rational(1, 2) * (W @ c.prev) + h},
        output=c,
    )
    step = derive.apply("squash-reads", cell, state="c")
    assert step.after.line(c) == "cₜ = cₜ₋₁ + W tanh(cₜ₋₁) / 2 + hₜ"
    assert step.after.line(h) == cell.line(h)
