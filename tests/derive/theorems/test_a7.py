"""A7: latencies and ages of read gates, which steps change them, and false ones refuted by two runs."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import derive
from derive import DeriveError
from derive.claims import recheck_certificate
from derive.claims.latency import read_latency
from derive.evaluate import step
from derive.theorems.a7 import THEOREM, _check, changed_by, latencies, up_to_date_is_wrong

EXPECTED = {
    **dict.fromkeys(
        ("prototype", "normalized-prototype", "gru", "pseudo-lstm", "pseudo-lstm-d2", "pseudo-lstm-d3"),
        (0, 0),
    ),
    "pseudo-lstm-d23": (0, 0),
    **dict.fromkeys(("pseudo-lstm-d1", "pseudo-lstm-d12", "pseudo-lstm-d13", "lstm"), (1, 1)),
    "peephole-lstm": (1, 0),
}
"""(latency, age)."""


def test_everything_is_proved_and_rechecks() -> None:
    claims = THEOREM.prove()
    assert [(c.name, c.status) for c in claims if c.status != "proved"] == []
    assert [c.name for c in claims if not c.recheck()] == []


def test_latencies_and_ages_of_the_catalogue() -> None:
    found = {}
    for name in derive.catalogue():
        for claim in latencies(name):
            found[name] = (claim.certificate["latency"], claim.certificate["age"])
    assert found == EXPECTED


def test_one_step_changes_the_latency_and_peepholes_the_age() -> None:
    changes = {
        what: [s for s in changed_by("peephole-lstm", what).certificate["steps"] if s[1] != s[2]]
        for what in ("latency", "age")
    }
    assert changes == {
        "latency": [["read-after-write", 0, 1]],
        "age": [["read-after-write", 0, 1], ["add-peepholes", 1, 0]],
    }
    assert "by no step" in changed_by("pseudo-lstm", "latency").statement


def test_the_gate_of_the_lstm_does_not_move_with_the_newest_input() -> None:
    """What the candidate of step t reads through is o[t-1]; the peephole's o[t] moves with c[t]."""
    rng = np.random.default_rng(0)
    for name in ("lstm", "peephole-lstm"):
        cell = derive.cell(name)
        parameters = {p: rng.normal(size=(2,) * len(axes)) for p, axes in cell.parameters.items()}
        before = tuple(rng.normal(size=2) for _ in cell.states)
        moved = []
        for x in (np.zeros(2), np.ones(2)):
            h, c = (step(cell, parameters, np.zeros(2), before)[s] for s in ("h", "c"))
            vectors = step(cell, parameters, x, (h, c))
            moved.append((h, vectors["c_tilde"], vectors["o"]))
        assert (moved[0][0] == moved[1][0]).all()
        assert np.abs(moved[0][1] - moved[1][1]).max() > 1e-3  # through U alone
        # with the input's own matrix at 0, o still moves with c where there are peepholes
        parameters["U_o"] = parameters["U_o"] * 0
        gates = [step(cell, parameters, x, before)["o"] for x in (np.zeros(2), np.ones(2))]
        assert (np.abs(gates[0] - gates[1]).max() > 1e-3) == (name == "peephole-lstm")


@pytest.mark.parametrize(
    ("name", "wrong"), [("lstm", 0), ("peephole-lstm", 0), ("pseudo-lstm", 1), ("gru", 1)]
)
def test_a_wrong_latency_is_refuted_by_two_runs(name: str, wrong: int) -> None:
    cell = derive.cell(name)
    claim = read_latency(cell, cell.states[-1], wrong)
    assert (claim.status, claim.recheck()) == ("refuted", True)
    assert up_to_date_is_wrong(cell, wrong).status == "proved"
    one, other = (np.array(run["inputs"]) for run in claim.counterexample["runs"])
    assert (one != other).any(axis=1).sum() == 1
    tampered = copy.deepcopy(claim.to_json())
    tampered["counterexample"]["runs"][1] = tampered["counterexample"]["runs"][0]
    assert not recheck_certificate(tampered)


def test_without_a_read_gate_there_is_nothing_to_be_wrong_about() -> None:
    with pytest.raises((DeriveError, ValueError)):
        up_to_date_is_wrong("vanilla")


def test_tampered_certificates_fail() -> None:
    document = copy.deepcopy(changed_by("peephole-lstm", "latency").to_json())
    assert _check(document)
    document["certificate"]["steps"] = document["certificate"]["steps"][:-1]
    assert not _check(document)
    true = copy.deepcopy(changed_by("peephole-lstm", "age").to_json())
    true["certificate"]["steps"][0][1:] = [1, 1]
    assert not _check(true)
