"""Read latency: 0 where the gate is of this step, 1 in the LSTM, and the age that peepholes repair."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import derive
from derive import Cell, Input, State, Vector, affine_parameters, sigmoid, tanh
from derive.anatomy import memories
from derive.claims import recheck_certificate
from derive.claims.latency import read_latency
from derive.claims.tools.drives import Numbers
from tests.strategies import cells, gated_cells

s, h, c, x = State("s"), State("h"), State("c"), Input("x")
o, g = Vector("o"), Vector("g")
W, U, b = affine_parameters()
W_o, U_o, b_o = affine_parameters("o")

NOW = (
    "prototype",
    "normalized-prototype",
    "gru",
    "pseudo-lstm",
    "pseudo-lstm-d2",
    "pseudo-lstm-d3",
    "pseudo-lstm-d23",
)
LATE = ("pseudo-lstm-d1", "pseudo-lstm-d12", "pseudo-lstm-d13", "lstm", "peephole-lstm")
EXPECTED = dict.fromkeys(NOW, (0, 0)) | dict.fromkeys(LATE, (1, 1)) | {"peephole-lstm": (1, 0)}


@pytest.mark.parametrize("name", derive.catalogue())
def test_the_catalogue(name: str) -> None:
    claims = [claim for claim in derive.prove(name) if claim.kind == "latency"]
    found = {(c.certificate["latency"], c.certificate["age"]) for c in claims}
    assert found == ({EXPECTED[name]} if name in EXPECTED else set())
    assert all(claim.status == "proved" and claim.recheck() for claim in claims)


def test_the_certificate_is_the_path() -> None:
    claim = read_latency(derive.cell("lstm"), "c")
    assert claim.certificate["path"] == ["c_tilde", "h"]
    assert (claim.certificate["gate"], claim.gist) == ("o", "1")
    assert claim.statement == (
        "c̃ₜ reads c through o, whose newest input was xₜ₋₁, "
        "and whose newest c was 1 step older than what it gates"
    )


def test_a_gate_that_sees_the_input_through_a_state_is_later_still() -> None:
    """o reads h alone, and h holds the input of the last step."""
    cell = Cell(
        "late",
        {
            o: sigmoid(W_o @ h.prev),
            g: tanh(W @ (o * s.prev)),
            s: s.prev + g,
            h: tanh(U @ x),
        },
        output=s,
    )
    claim = read_latency(cell, s)
    assert claim.certificate["latency"] == 1
    assert claim.certificate["path"] == ["g"]
    assert claim.recheck()


@pytest.mark.parametrize(
    ("name", "state", "wrong"),
    [
        ("lstm", "c", 0),
        ("lstm", "c", 2),
        ("peephole-lstm", "c", 0),
        ("gru", "s", 1),
        ("pseudo-lstm-d2", "s", 3),
    ],
)
def test_a_wrong_latency_is_refuted_by_two_runs(name: str, state: str, wrong: int) -> None:
    cell = derive.cell(name)
    claim = read_latency(cell, state, wrong)
    assert claim.status == "refuted"
    assert claim.recheck()
    one, other = (Numbers.from_plain(cell, run) for run in claim.counterexample["runs"])
    differing = np.flatnonzero((one.inputs != other.inputs).any(axis=1))
    assert len(differing) == 1
    tampered = copy.deepcopy(claim.to_json())
    tampered["counterexample"]["runs"][1] = tampered["counterexample"]["runs"][0]
    assert not recheck_certificate(tampered)


@pytest.mark.parametrize(("key", "value"), [("latency", 0), ("age", 0), ("path", ["c_tilde"]), ("gate", "i")])
def test_tampered_certificates_fail(key: str, value: object) -> None:
    document = copy.deepcopy(read_latency(derive.cell("lstm"), "c").to_json())
    assert recheck_certificate(document)
    document["certificate"][key] = value
    assert not recheck_certificate(document)


@pytest.mark.parametrize(("wrong", "word"), [(0, "xₜ,"), (2, "xₜ₋₂,")])
def test_a_latency_tampered_with_its_statement_fails(wrong: int, word: str) -> None:
    document = copy.deepcopy(read_latency(derive.cell("lstm"), "c").to_json())
    document["certificate"]["latency"] = wrong
    document["statement"] = document["statement"].replace("xₜ₋₁,", word)
    assert not recheck_certificate(document)


@given(st.one_of(cells(), gated_cells()))
def test_both_methods_agree(cell: Cell) -> None:
    for memory in memories(cell):
        claim = read_latency(cell, memory.state)
        if claim is not None:
            assert claim.status == "proved"
            assert claim.recheck()
            for wrong in {0, 1, 2} - {claim.certificate["latency"]}:
                false = read_latency(cell, memory.state, wrong)
                assert false is not None
                assert false.status != "proved"
                assert false.recheck() == (false.status == "refuted")
