"""A1: γ, finite changes, the condition; wrong ones refuted; pairs of trajectories try to break the bound."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

import derive
from derive import ACTIVATIONS, Activation
from derive.activations import a
from derive.bounds.symbols import norm_symbol
from derive.claims.tools.drives import Numbers
from derive.claims.tools.pieces import pieces
from derive.theorems.a1 import (
    THEOREM,
    _check_apart,
    _check_changes,
    _check_condition,
    finite_changes,
    vanishes_if,
)
from derive.theorems.tools import slopes
from derive.theorems.tools.facts import with_activation
from derive.theorems.tools.slopes import difference, steepest_slope

pytest.importorskip("z3")
pytest.importorskip("cvc5")

W = norm_symbol("W")
PHI = [phi for phi in ACTIVATIONS.values() if phi.lipschitz.is_Rational]
GAMMA = {"sigmoid": "1/4", "tanh": "1", "relu": "1", "softsign": "1", "hard_sigmoid": "1/6"}


def test_everything_is_proved_and_rechecks() -> None:
    claims = THEOREM.prove()
    assert len(claims) == 3 * len(PHI)
    assert [(c.name, c.status) for c in claims if c.status != "proved"] == []
    assert [c.name for c in claims if not c.recheck()] == []


@pytest.mark.parametrize(("phi", "limit"), [("sigmoid", "4"), ("tanh", "1")])
def test_the_numbers_of_the_article(phi: str, limit: str) -> None:
    claim = vanishes_if(with_activation("vanilla", ACTIVATIONS[phi]), sympy.Integer(limit))
    assert claim.status == "proved"
    assert claim.statement.startswith(f"‖W‖ < {limit} ⇒ Δsₜ₊ₖ → 0")
    assert claim.statement.endswith("the engine's own condition is the same")


@pytest.mark.parametrize("name", GAMMA)
def test_gamma_from_the_formula(name: str) -> None:
    claim = steepest_slope("A1", ACTIVATIONS[name])
    assert (claim.status, claim.certificate["gamma"]) == ("proved", GAMMA[name])
    grid = np.linspace(-30, 30, 200_001)
    slope = np.abs(np.diff(ACTIVATIONS[name].numpy(grid)) / np.diff(grid))
    assert slope.max() == pytest.approx(float(sympy.Rational(GAMMA[name])), rel=1e-3)


def test_a_gamma_that_is_too_small_is_not_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    """The formula decides, not what the activation declares."""

    class Modest:
        name, text, latex, kinks = "tanh", "", r"\tanh", ()
        formula, lipschitz = sympy.tanh(a), sympy.Rational(9, 10)

    known = pieces(ACTIVATIONS["tanh"])
    monkeypatch.setattr(slopes, "pieces", lambda _: known)
    monkeypatch.setattr(slopes, "steepest_point", lambda _: sympy.S.Zero)
    claim = steepest_slope("A1", Modest())  # type: ignore[arg-type]
    assert (claim.status, claim.method) == ("unknown", "a slope is not shown to be at most γ")


@pytest.mark.parametrize("phi", PHI, ids=str)
def test_a_condition_ten_percent_too_weak_is_refuted(phi: Activation) -> None:
    """‖W‖ < 1.1/γ: two runs from a thousandth apart are at least as far apart 200 steps later."""
    cell = with_activation("vanilla", phi)
    claim = vanishes_if(cell, sympy.Rational(11, 10) / phi.lipschitz)
    assert (claim.status, claim.recheck()) == ("refuted", True)
    one, other = (Numbers.from_plain(cell, run) for run in claim.counterexample["runs"])
    assert np.linalg.norm(one.parameters["W"], 2) < 1.1 / float(phi.lipschitz)
    ends = [derive.evaluate(cell, n.parameters, n.inputs, n.state)[1][0] for n in (one, other)]
    assert np.abs(ends[0] - ends[1]).max() >= np.abs(one.state[0] - other.state[0]).max() > 0
    tampered = copy.deepcopy(claim.to_json())
    assert _check_apart(tampered)
    for run in tampered["counterexample"]["runs"]:
        run["parameters"]["W"] = [[9.0, 0.0], [0.0, 9.0]]
    assert not _check_apart(tampered)


@pytest.mark.parametrize("phi", PHI, ids=str)
def test_a_rate_two_percent_too_small_is_refuted(phi: Activation) -> None:
    claim = finite_changes(with_activation("vanilla", phi), sympy.Rational(98, 100) * phi.lipschitz * W)
    assert (claim.status, claim.recheck()) == ("refuted", True)


def test_a_certificate_says_no_more_than_it_proves() -> None:
    changes = finite_changes("vanilla", W).to_json()
    condition = vanishes_if("vanilla", 1).to_json()
    assert _check_changes(changes)
    assert _check_condition(condition)
    assert not _check_changes({**changes, "statement": changes["statement"].replace("‖W‖", "‖W‖/2")})
    wider = {**condition["certificate"], "limit": "2"}
    told = condition["statement"].replace("< 1 ", "< 2 ")
    assert not _check_condition({**condition, "statement": told, "certificate": wider})


def test_differences_without_a_derivative() -> None:
    vanilla, gru = derive.cell("vanilla"), derive.cell("gru")
    assert difference(vanilla, vanilla.symbols["s"]) == W
    assert difference(gru, gru.symbols["z"]) == norm_symbol("W_z") / 4
    assert difference(gru, gru.symbols["s"]) == sympy.oo  # a product of two things that change


@given(st.sampled_from(PHI), st.sampled_from([2, np.inf]), st.integers(0, 2**31), st.floats(0.1, 3.0))
def test_pairs_of_trajectories_cannot_break_it(phi: Activation, norm: float, seed: int, size: float) -> None:
    """The claim ‖Δs_k‖ ≤ (γ‖W‖)ᵏ ‖Δs_0‖ attacked with random weights, inputs and starts."""
    rng = np.random.default_rng(seed)
    cell = with_activation("vanilla", phi)
    weights = size * rng.normal(size=(3, 3))
    parameters = {"W": weights, "U": rng.normal(size=(3, 2)), "b": rng.normal(size=3)}
    rate = float(phi.lipschitz) * np.linalg.norm(weights, norm)
    first = 2 * rng.normal(size=3)
    second = first + 10.0 ** rng.uniform(-3, 1) * rng.normal(size=3)
    inputs = rng.normal(size=(5, 2))
    allowed = np.linalg.norm(first - second, norm)
    for x in inputs:
        (first,), (second,) = (derive.evaluate(cell, parameters, x[None], (v,))[1] for v in (first, second))
        allowed *= rate
        assert np.linalg.norm(first - second, norm) <= allowed * (1 + 1e-9) + 1e-12
