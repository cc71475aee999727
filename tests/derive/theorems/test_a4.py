"""A4: what bounds the prototype and what does not, in proofs and in runs."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import derive
from derive import DeriveError, State, Vector
from derive.claims.bounded import stays_in
from derive.claims.tools.drives import Numbers
from derive.symbols import variance
from derive.theorems.a4 import (
    THEOREM,
    _check_deviation,
    _check_same,
    _check_variance,
    centred,
    deviations_bounded,
    growth_claims,
    is_the_prototype_where_units_agree,
    leaves_every_box,
    normalization,
    variance_below_one,
)

pytest.importorskip("z3")
pytest.importorskip("cvc5")

NORMALIZED = derive.cell("normalized-prototype")


def test_everything_is_proved_and_rechecks() -> None:
    claims = THEOREM.prove()
    assert [(c.name, c.status) for c in claims if c.status != "proved"] == []
    assert [c.name for c in claims if not c.recheck()] == []


@pytest.mark.parametrize("name", ["prototype", "normalized-prototype"])
def test_a_run_grows_by_nearly_one_a_step(name: str) -> None:
    cell = derive.cell(name)
    at_most, grows = growth_claims(cell)
    assert (at_most.statement, grows.status) == ("|sₜ| ≤ |s₀| + t", "proved")
    run = Numbers.from_plain(cell, grows.certificate["run"])
    sizes = np.array([np.abs(s).max() for (s,) in run.states(cell)])
    assert len(sizes) == 51
    assert np.diff(sizes).min() > 0.99
    assert np.diff(sizes).max() <= 1.0


def test_that_the_normalized_state_is_bounded_is_refuted() -> None:
    for size in (1, 10, 1000):
        claim = stays_in(NORMALIZED, "s", -size, size)
        assert (claim.status, claim.recheck()) == ("refuted", True)
        run = Numbers.from_plain(NORMALIZED, claim.counterexample["run"])
        assert np.abs(run.state[0]).max() <= size
        assert np.abs(run.states(NORMALIZED)[-1][0]).max() > size
        assert leaves_every_box(NORMALIZED, size=size).status == "proved"


@pytest.mark.parametrize("seed", range(10))
def test_the_spread_is_bounded_in_random_runs(seed: int) -> None:
    """With large weights too; the centred one is bounded itself."""
    rng = np.random.default_rng(seed)
    for cell in (NORMALIZED, centred()):
        n = int(rng.integers(2, 6))
        parameters = {
            p: 10 * rng.normal(size=[n if a == "n" else 2 for a in axes])
            for p, axes in cell.parameters.items()
        }
        state = (100 * rng.normal(size=n),)
        for x in rng.normal(size=(20, 1, 2)):
            _, state = derive.evaluate(cell, parameters, x, state)
            assert state[0].var() < 1
            assert np.abs(state[0] - state[0].mean()).max() < (n - 1) ** 0.5
            if cell is not NORMALIZED:
                assert np.abs(state[0]).max() < (n - 1) ** 0.5


def test_the_bound_of_a_deviation_is_nearly_reached() -> None:
    """One unit far from the others: 1% less would be wrong."""
    cell, n = NORMALIZED, 5
    parameters = {p: np.zeros([n if a == "n" else 1 for a in axes]) for p, axes in cell.parameters.items()}
    parameters["b_f"] += 40.0
    start = np.zeros(n)
    start[0] = 1e3
    _, (end,) = derive.evaluate(cell, parameters, np.zeros((1, 1)), (start,))
    assert 0.99 * (n - 1) ** 0.5 < np.abs(end - end.mean()).max() < (n - 1) ** 0.5
    assert 0.99 < end.var() < 1


def test_with_the_mean_subtracted_the_state_is_bounded() -> None:
    claim = deviations_bounded(centred())
    assert claim.statement.startswith("|sₜ| < √(n - 1)")
    assert deviations_bounded(NORMALIZED).statement.startswith("|sₜ - mean(sₜ)| < √(n - 1)")
    assert variance_below_one(centred()).statement.endswith("and its mean is 0")


def test_equal_units_are_those_of_the_prototype() -> None:
    assert is_the_prototype_where_units_agree(NORMALIZED, "prototype").status == "proved"
    assert is_the_prototype_where_units_agree(NORMALIZED, "gru").status == "unknown"
    with pytest.raises(DeriveError, match="stands for 0"):  # equal units are 0 once the mean is gone
        is_the_prototype_where_units_agree(centred(), "prototype")


def test_other_normalizations_are_read_or_refused() -> None:
    """Half the 1 under the root still bounds; a root of the wrong variance is none of these."""
    a, s = Vector("a"), State("s")
    equations = dict(NORMALIZED.equations)
    for added, told in ((derive.Rational(1, 2), True), (2, True)):
        cell = NORMALIZED.replace(
            equations={**equations, s: a / (variance(a) + added) ** derive.Rational(1, 2)}
        )
        assert (variance_below_one(cell).status == "proved") == told
        assert variance_below_one(cell).recheck()
    for wrong in (a / (variance(2 * a) + 1) ** derive.Rational(1, 2), a / (variance(a) + 1)):
        with pytest.raises(DeriveError, match="not divided by"):
            normalization(NORMALIZED.replace(equations={**equations, s: wrong}), s)
    with pytest.raises(DeriveError, match="not divided by"):
        variance_below_one("prototype")


def test_tampered_certificates_fail() -> None:
    for claim, check in (
        (variance_below_one(NORMALIZED), _check_variance),
        (deviations_bounded(NORMALIZED), _check_deviation),
        (is_the_prototype_where_units_agree(NORMALIZED, "prototype"), _check_same),
    ):
        document = copy.deepcopy(claim.to_json())
        assert check(document)
        assert not check({**document, "statement": f"{document['statement']}, and |sₜ| < 1"})
    # the certificate of the centred cell does not serve the other
    other = {
        **deviations_bounded(centred()).to_json(),
        "cell": deviations_bounded(NORMALIZED).to_json()["cell"],
    }
    assert not _check_deviation(other)
