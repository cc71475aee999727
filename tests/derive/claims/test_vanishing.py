"""Finite changes vanish under the condition; a condition that is 2% too weak is refuted by two runs."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import derive
from derive import Cell, Input, State, affine_parameters, sigmoid, softsign, tanh
from derive.bounds.symbols import norm_symbol
from derive.claims import recheck_certificate
from derive.claims.tools.drives import Numbers
from derive.claims.vanishing import vanishes

pytest.importorskip("z3")
pytest.importorskip("cvc5")

s, x = State("s"), Input("x")
W, U, b = affine_parameters()
VANILLA = derive.cell("vanilla")
norm = norm_symbol("W")


def unit(phi: derive.Activation) -> Cell:
    return VANILLA.with_activations({"s": phi})


@pytest.mark.parametrize(("phi", "limit"), [(tanh, 1), (softsign, 1), (sigmoid, 4)])
def test_the_condition_of_the_article(phi: derive.Activation, limit: int) -> None:
    """‖W‖ < 1/γ: 4 for σ, 1 for tanh."""
    for condition in (None, norm < limit):
        claim = vanishes(unit(phi), condition)
        assert claim is not None
        assert (claim.status, claim.recheck()) == ("proved", True)
    left, op, right = vanishes(unit(phi)).certificate["condition"]
    scale = 1.0 if left == "norm_W" else 1 / limit
    assert op == "<"
    assert float(derive.Rational(right[1])) / scale == pytest.approx(limit)


@pytest.mark.parametrize(("phi", "limit"), [(tanh, 1), (sigmoid, 4)])
def test_a_condition_two_percent_too_weak_is_refuted(phi: derive.Activation, limit: int) -> None:
    cell = unit(phi)
    claim = vanishes(cell, norm < limit * derive.Rational(51, 50))
    assert claim is not None
    assert (claim.status, claim.recheck()) == ("refuted", True)
    one, other = (Numbers.from_plain(cell, run) for run in claim.counterexample["runs"])
    first, second = (
        derive.evaluate(cell, run.parameters, run.inputs, run.state)[1][0] for run in (one, other)
    )
    assert np.abs(first - second).max() > np.abs(one.state[0] - other.state[0]).max()
    assert np.abs(one.parameters["W"]).sum(1).max() < limit * 1.02
    tampered = copy.deepcopy(claim.to_json())
    tampered["counterexample"]["runs"][0]["parameters"]["W"] = [[9.0, 0.0], [0.0, 9.0]]
    assert not recheck_certificate(tampered)


def test_where_a_state_carries_nothing_is_claimed() -> None:
    """At f = 1 nothing vanishes, whatever the norms."""
    for name in ("prototype", "pseudo-lstm", "lstm"):
        assert vanishes(derive.cell(name)) is None


def test_tampered_certificates_fail() -> None:
    document = vanishes(VANILLA).to_json()
    assert recheck_certificate(document)
    weaker = copy.deepcopy(document)
    weaker["certificate"]["condition"] = ["norm_W", "<", ["num", "51/50"]]
    weaker["statement"] = document["statement"].replace("‖W‖ < 1", "‖W‖ < 51/50")
    assert not recheck_certificate(weaker)


@pytest.mark.parametrize("seed", range(8))
def test_large_changes_shrink(seed: int) -> None:
    """At ‖W‖ = 0.9 two runs from anywhere in the box come together by 0.9 a step at least."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(5, 5))
    weights *= 0.9 / np.abs(weights).sum(1).max()
    params = {"W": weights, "U": rng.normal(size=(5, 2)), "b": rng.normal(size=5)}
    inputs = rng.normal(size=(10, 2))
    starts = rng.uniform(-1, 1, size=(2, 5))
    ends = [np.stack(Numbers(params, inputs, (start,)).states(VANILLA))[:, 0] for start in starts]
    distances = np.abs(ends[0] - ends[1]).max(1)
    assert np.all(distances[1:] <= 0.9 * distances[:-1] + 1e-15)
