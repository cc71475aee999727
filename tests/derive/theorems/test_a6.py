"""A6: reads within (-1, 1), a state that is not, growth of at most 1 a step."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import derive
from derive.claims.bounded import stays_in
from derive.claims.reads import reads_bounded
from derive.claims.tools.drives import Numbers
from derive.evaluate import step
from derive.theorems.a4 import growth_claims
from derive.theorems.a6 import THEOREM, _check, vectors_within

pytest.importorskip("z3")
pytest.importorskip("cvc5")

PSEUDO = derive.cell("pseudo-lstm")


def test_everything_is_proved_and_rechecks() -> None:
    claims = THEOREM.prove()
    assert [(c.name, c.status) for c in claims if c.status != "proved"] == []
    assert [c.name for c in claims if not c.recheck()] == []


def test_the_state_leaves_where_the_reads_stay() -> None:
    _, grows = growth_claims(PSEUDO)
    run = Numbers.from_plain(PSEUDO, grows.certificate["run"])
    sizes = [np.abs(s).max() for (s,) in run.states(PSEUDO)]
    assert sizes[-1] > 49
    assert np.diff(sizes).max() <= 1
    state = run.state
    for x in run.inputs:
        vectors = step(PSEUDO, run.parameters, x, state)
        assert all(np.abs(v).max() <= 1 for name, v in vectors.items() if name != "s")
        state = (vectors["s"],)


def test_false_bounds_are_refuted() -> None:
    for size in (1, 100):
        claim = stays_in(PSEUDO, "s", -size, size)
        assert (claim.status, claim.recheck()) == ("refuted", True)
    raw = reads_bounded(derive.cell("prototype"), "s")
    assert (raw.status, raw.recheck()) == ("refuted", True)
    assert raw.counterexample["value"] >= 500


def test_a_vector_outside_is_not_proved() -> None:
    assert vectors_within("normalized-prototype").status == "unknown"  # a is read, and grows
    assert vectors_within(PSEUDO.with_activations({"s_tilde": "relu"})).status == "unknown"
    assert vectors_within(PSEUDO.with_activations({"s_tilde": "sigmoid"})).status == "proved"


def test_tampered_certificates_fail() -> None:
    document = copy.deepcopy(vectors_within(PSEUDO).to_json())
    assert _check(document)
    assert not _check({**document, "statement": f"sₜ, {document['statement']}"})
    relu = PSEUDO.with_activations({"s_tilde": "relu"})
    other = {**document, "cell": reads_bounded(relu, "s").to_json()["cell"]}
    assert not _check(other)
