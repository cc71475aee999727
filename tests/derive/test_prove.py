"""Claims that structure decides about whole cells, and the forget gates found in them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import derive
from derive import Cell, Input, State, Vector, affine_parameters, sigmoid, tanh
from derive.anatomy import write
from tests.strategies import cells, gated_cells, numbers


def statuses(cell: str | Cell) -> dict[str, str]:
    return {claim.name: claim.status for claim in derive.prove(cell)}


@pytest.mark.parametrize("name", derive.catalogue())
def test_every_decided_claim_is_rechecked_and_every_other_says_what_was_tried(name: str) -> None:
    claims = derive.prove(name)
    assert claims
    for claim in claims:
        assert claim.name
        assert claim.statement
        assert claim.method
        assert claim.recheck() == (claim.status != "unknown")
        assert (claim.certificate is not None) == (claim.status == "proved")
        assert (claim.counterexample is not None) == (claim.status == "refuted")


def test_what_the_article_says_of_the_cells() -> None:
    assert statuses("prototype")["carries-s"] == "proved"
    assert statuses("prototype")["invariant-s"] == "unknown"
    assert statuses("gru")["invariant-s"] == "proved"
    assert statuses("gru")["carries-s"] == "proved"
    assert statuses("normalized-prototype")["carries-s"] == "unknown"
    assert statuses("pseudo-lstm")["squashed-reads-s"] == "proved"
    assert statuses("prototype")["squashed-reads-s"] == "refuted"
    assert statuses("lstm")["squashed-reads-c"] == "proved"
    assert statuses("peephole-lstm")["squashed-reads-c"] == "refuted"


def test_forget_biases_are_found_in_the_write() -> None:
    assert derive.forget_biases("lstm") == {"b_f": 1.0}
    assert derive.forget_biases("gru", 2.0) == {"b_z": 2.0}
    assert derive.forget_biases("vanilla") == {}


def test_a_forget_gate_that_is_one_minus_the_write_gate_gets_the_opposite_bias() -> None:
    s, x, i, g = State("s"), Input("x"), Vector("i"), Vector("g")
    W, U, b = affine_parameters()
    W_i, U_i, b_i = affine_parameters("i")
    cell = Cell(
        "overwriting",
        {
            i: sigmoid(W_i @ s.prev + U_i @ x + b_i),
            g: tanh(W @ s.prev + U @ x + b),
            s: (1 - i) * s.prev + i * g,
        },
        output=s,
    )
    assert derive.forget_biases(cell) == {"b_i": -1.0}


s, x, f, g, a, u, y = (
    State("s"),
    Input("x"),
    Vector("f"),
    Vector("g"),
    Vector("a"),
    Vector("u"),
    Vector("y"),
)
W, U, b = affine_parameters()
W_f, U_f, b_f = affine_parameters("f")
gate, candidate = sigmoid(W_f @ s.prev + U_f @ x + b_f), tanh(W @ s.prev + U @ x + b)
blind = sigmoid(U_f @ x + b_f)


def test_what_holds_of_an_intermediate_is_not_claimed_of_the_state() -> None:
    """a stays in [-1, 1], s = 3a does not."""
    scaled = Cell("scaled", {f: gate, g: candidate, a: f * s.prev + (1 - f) * g, s: 3 * a}, output=s)
    assert statuses(scaled)["invariant-s"] == "unknown"


def test_a_copy_of_the_state_is_the_state() -> None:
    copied = Cell("copied", {u: 1 * s.prev, f: blind, g: tanh(W @ u + U @ x + b), s: f * u + (1 - f) * g})
    assert statuses(copied)["squashed-reads-s"] == "refuted"
    assert statuses(copied)["carries-s"] == "proved"
    shown = Cell("shown", {f: blind, a: f * s.prev + U @ x, s: a, y: 3 * a}, output=y)
    assert statuses(shown)["squashed-reads-s"] == "refuted"


def test_a_state_that_nothing_reads() -> None:
    unread = Cell("unread", {f: blind, g: tanh(U @ x + b), s: f * s.prev + (1 - f) * g})
    claim = next(c for c in derive.prove(unread) if c.name == "squashed-reads-s")
    assert claim.statement == "nothing reads s"


def test_a_write_that_is_no_polynomial_is_left_undecided() -> None:
    root = Cell(
        "root", {f: gate, g: candidate, s: f ** derive.Rational(1, 2) * s.prev + (1 - f) * g}, output=s
    )
    assert statuses(root)["invariant-s"] == "unknown"


@given(st.one_of(cells(), gated_cells()), st.integers(0, 2**16))
def test_no_proved_invariant_is_left_by_a_run(cell: Cell, seed: int) -> None:
    proved = [
        c.name.removeprefix("invariant-") for c in derive.prove(cell) if c.name.startswith("invariant-")
    ]
    params, inputs, state = numbers(cell, seed=seed)
    large = {name: 5 * value for name, value in params.items()}
    start = tuple(np.clip(v, -1, 1) for v in state)
    with np.errstate(all="ignore"):
        _, last = derive.evaluate(cell, large, 3 * inputs, start)
    for name, value in zip(cell.states, last, strict=True):
        if name in proved and statuses(cell)[f"invariant-{name}"] == "proved":
            assert np.abs(value).max() <= 1 + 1e-12


@given(gated_cells())
def test_a_proved_carry_setting_returns_any_state(cell: Cell) -> None:
    for claim in derive.prove(cell):
        if claim.status == "proved" and claim.name.startswith("carries-") and claim.certificate:
            name = claim.name.removeprefix("carries-")
            found = write(cell, State(name, *cell.axes(name)))
            env = dict.fromkeys(cell.equations, 0.5) | {
                v: claim.certificate["setting"][v.name]
                for v in cell.equations
                if v.name in claim.certificate["setting"]
            }
            total = found.scale * (found.carry * found.state.prev + found.increment)
            value = total.xreplace(env)
            assert value == found.state.prev or found.via != (found.state,)
