"""All claims about whole cells, and the forget gates found in them."""

from __future__ import annotations

import pytest

import derive
from derive import Cell, Input, State, Vector, affine_parameters, sigmoid, tanh


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
    assert statuses("vanilla")["morphs-s"] == "proved"
    assert statuses("prototype")["carries-s"] == "proved"
    assert statuses("prototype")["grows-s"] == "proved"
    assert statuses("gru")["bounded-s"] == "proved"
    assert statuses("gru")["carries-s"] == "proved"
    assert statuses("normalized-prototype")["morphs-s"] == "proved"
    assert "carries-s" not in statuses("normalized-prototype")
    assert statuses("pseudo-lstm")["squashed-reads-s"] == "proved"
    assert statuses("prototype")["squashed-reads-s"] == "refuted"
    assert statuses("lstm")["squashed-reads-c"] == "proved"
    assert statuses("peephole-lstm")["squashed-reads-c"] == "refuted"


def test_names_of_claims_are_unique_and_end_in_a_state() -> None:
    for name in derive.catalogue():
        names = [claim.name for claim in derive.prove(name)]
        assert len(set(names)) == len(names)


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
    claim = next(c for c in derive.prove(scaled) if c.name == "bounded-s")
    assert "stays" not in claim.statement


def test_a_copy_of_the_state_is_the_state() -> None:
    copied = Cell("copied", {u: 1 * s.prev, f: blind, g: tanh(W @ u + U @ x + b), s: f * u + (1 - f) * g})
    assert statuses(copied)["squashed-reads-s"] == "refuted"
    assert statuses(copied)["carries-s"] == "proved"
    shown = Cell("shown", {f: blind, a: f * s.prev + U @ x, s: a, y: 3 * a}, output=y)
    assert statuses(shown)["squashed-reads-s"] == "refuted"


def test_a_write_that_is_no_polynomial_is_left_undecided() -> None:
    root = Cell(
        "root", {f: gate, g: candidate, s: f ** derive.Rational(1, 2) * s.prev + (1 - f) * g}, output=s
    )
    assert "stays" not in next(c for c in derive.prove(root) if c.name == "bounded-s").statement


def test_where_the_second_method_does_not_agree_nothing_is_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("derive.claims.carry._along_the_way", lambda *_: s.prev)
    from derive.claims.carry import carries_at
    from derive.prove import _agreed

    wrong = carries_at(derive.cell("gru"), "s", {"z": 0})
    assert wrong.status == "proved"
    agreed = _agreed(wrong)
    assert (agreed.status, agreed.certificate, agreed.recheck()) == ("unknown", None, False)
    assert "does not agree" in agreed.method
