"""A5: the GRU's box, from any start in it; a smaller one is left; other activations."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import derive
from derive import Rational
from derive.claims.bounded import stays_in
from derive.claims.tools.drives import Numbers
from derive.theorems.a5 import THEOREM, _check, smaller_is_left, solved_box, within

pytest.importorskip("z3")
pytest.importorskip("cvc5")

GRU = derive.cell("gru")


def test_everything_is_proved_and_rechecks() -> None:
    claims = THEOREM.prove()
    assert [(c.name, c.status) for c in claims if c.status != "proved"] == []
    assert [c.name for c in claims if not c.recheck()] == []


def test_the_box_is_the_published_one() -> None:
    claim = solved_box("gru")
    assert (claim.statement, claim.status) == ("s stays in [-1, 1]", "proved")
    assert (claim.certificate["low"], claim.certificate["high"]) == ("-1", "1")


@pytest.mark.parametrize("part", [Rational(9, 10), Rational(98, 100)])
def test_a_smaller_box_is_refuted_with_numbers(part: Rational) -> None:
    claim = stays_in(GRU, "s", -part, part)
    assert (claim.status, claim.recheck()) == ("refuted", True)
    run = Numbers.from_plain(GRU, claim.counterexample["run"])
    assert np.abs(run.state[0]).max() <= float(part)
    assert np.abs(run.states(GRU)[-1][0]).max() > float(part) * 1.01
    assert smaller_is_left("gru", part=part).status == "proved"


def test_what_has_no_box_or_a_larger_one_is_not_proved() -> None:
    assert within(GRU.with_activations({"s_tilde": "relu"})).status == "unknown"
    assert within("prototype").status == "unknown"
    assert within("gru", low=Rational(-9, 10), high=1).status == "unknown"
    assert within(GRU.with_activations({"s_tilde": "sigmoid"})).status == "proved"


def test_tampered_certificates_fail() -> None:
    document = copy.deepcopy(within("gru").to_json())
    assert _check(document)
    smaller = copy.deepcopy(document)
    smaller["certificate"]["high"] = "9/10"
    assert not _check(smaller)
    foreign = copy.deepcopy(document)
    foreign["cell"] = within(GRU.with_activations({"s_tilde": "softsign"})).to_json()["cell"]  # the same box
    assert not _check(foreign)


@given(st.integers(0, 2**31), st.floats(0.1, 30.0))
def test_runs_from_any_start_stay(seed: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    parameters = {p: size * rng.normal(size=(3,) * len(axes)) for p, axes in GRU.parameters.items()}
    state = (rng.choice([-1.0, 1.0, 0.3], size=3),)
    for x in size * rng.normal(size=(10, 1, 3)):
        _, state = derive.evaluate(GRU, parameters, x, state)
        assert np.abs(state[0]).max() <= 1.0
