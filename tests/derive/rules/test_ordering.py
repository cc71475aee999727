"""Reading after writing: the shadow state, its names, its refusals, and when the order does not matter."""

import numpy as np
import pytest
from hypothesis import given

import derive
from derive import Activated, Cell, Input, Parameter, RuleDoesNotApply, State, Vector, sigmoid, tanh
from derive.errors import AlreadyHolds
from derive.symbols import affine_parameters
from tests.neutral import Arrays, assert_same, drawn, moves
from tests.strategies import gated_cells

s, h, c, x = State("s"), State("h"), State("c"), Input("x")
f, o, y = Vector("f"), Vector("o"), Vector("y")
W, U, b = affine_parameters()
V = Parameter("V", "n", "n")


def refusal(cell: Cell | str, **options: str) -> RuleDoesNotApply:
    with pytest.raises(RuleDoesNotApply) as caught:
        derive.apply("read-after-write", cell, **options)
    return caught.value


def test_the_hiccup() -> None:
    step = derive.apply("read-after-write", "pseudo-lstm")
    assert step.changes() == (
        ["s̃ₜ = tanh(W(oₜ ⊙ tanh(sₜ₋₁)) + U xₜ + b)"],
        ["s̃ₜ = tanh(W hₜ₋₁ + U xₜ + b)", "hₜ = oₜ ⊙ tanh(sₜ)"],
    )
    assert step.after.states == ("h", "s")
    assert [(claim.name, claim.status) for claim in step.claims] == [("shadow-h", "proved")]


def test_an_output_that_was_the_read_becomes_the_shadow() -> None:
    step = derive.apply("read-after-write", "pseudo-lstm-d3")
    assert step.after.output == "h"
    assert y not in step.after.equations


def test_every_reader_of_the_read_reads_the_shadow() -> None:
    step = derive.apply("read-after-write", "pseudo-lstm-d2")
    readers = [v.name for v, e in step.after.equations.items() if e.has(h.prev)]
    assert readers == ["i", "f", "s_tilde"]


def test_the_shadow_has_a_free_name() -> None:
    taken = derive.apply("rename", "prototype", names={"W": "h"}).after
    assert derive.apply("read-after-write", taken).after.states == ("h2", "s")
    assert derive.apply("read-after-write", "prototype", shadow="m").after.states == ("m", "s")


def test_a_carry_that_looks_like_the_read_stays() -> None:
    """f both carries the state and gates its read: f ⊙ s' stands twice, and only one is a read."""
    cell = Cell("double", {f: sigmoid(U @ x), s: f * s.prev + tanh(W @ (f * s.prev))}, output=s)
    step = derive.apply("read-after-write", cell)
    assert step.after.line(s) == "sₜ = fₜ ⊙ sₜ₋₁ + tanh(W hₜ₋₁)"
    only = Cell("single", {f: sigmoid(U @ x), s: f * s.prev + tanh(W @ s.prev)}, output=s)
    assert "does not read it through a gate" in str(refusal(only))


def test_refusals() -> None:
    done = refusal("lstm")
    assert isinstance(done, AlreadyHolds)
    assert str(done) == (
        "lstm: the candidate of c already reads a shadow of it\n  at: cₜ = fₜ ⊙ cₜ₋₁ + iₜ ⊙ c̃ₜ"
    )
    ungated = refusal(derive.apply("write-incrementally", "vanilla").after)
    assert not isinstance(ungated, AlreadyHolds)
    assert str(ungated) == (
        "vanilla: the candidate of s does not read it through a gate of this step\n  at: sₜ = sₜ₋₁ + s̃ₜ"
    )
    assert "no state carries its past" in str(refusal("vanilla"))
    assert "h does not carry its past" in str(refusal("pseudo-lstm-d1", state="h"))


def constant(cell: Cell, gate: str, params: Arrays) -> Arrays:
    """Parameters at which a gate is the same at every step: then it is never out of date."""
    own = [p for p in cell.parameters if cell.equations[Vector(gate)].has(cell.symbols[p])]
    return params | {p: np.zeros_like(params[p]) for p in own if p not in cell.biases}


def compare(cell: Cell) -> None:
    step = derive.apply("read-after-write", cell)
    gate, read = "r" if cell.name == "gru" else "o", step.after.equations[h]
    params = constant(cell, gate, drawn(cell))
    past = np.random.default_rng(3).uniform(-0.9, 0.9, 3)
    bias = params.get(f"b_{gate}", np.zeros(3))
    opening = cell.equations[Vector(gate)].activation.numpy(bias)
    squashes = [node.activation.numpy for node in read.atoms(Activated)]
    seen = squashes[0](past) if squashes else past
    assert_same(cell, step.after, (params, params), states={"s": past, "h": opening * seen})


@pytest.mark.parametrize("cell", ["prototype", "gru", "pseudo-lstm", "pseudo-lstm-d2", "pseudo-lstm-d23"])
def test_with_a_constant_read_gate_the_order_does_not_matter(cell: str) -> None:
    compare(derive.cell(cell))


@given(gated_cells())
def test_with_a_constant_read_gate_the_order_never_matters(cell: Cell) -> None:
    try:
        derive.apply("read-after-write", cell)
    except RuleDoesNotApply:
        return
    compare(cell)


def test_otherwise_it_does() -> None:
    step = derive.apply("read-after-write", "pseudo-lstm")
    params = drawn(step.before)
    assert moves(step, (params, params))
