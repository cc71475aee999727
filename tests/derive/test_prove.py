"""Claims that structure decides about whole cells, and the forget gates found in them."""

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
