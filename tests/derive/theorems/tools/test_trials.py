"""Trials: a quarter as published; attacks that do find what is there to find."""

import numpy as np
import pytest

import derive
from derive.activations import tanh
from derive.bounds.stability import stability
from derive.theorems.b2 import published
from derive.theorems.b5 import published as published_b5
from derive.theorems.tools.attacks import contraction, jacobians, judged, state_gains
from derive.theorems.tools.trials import contracting
from derive.theorems.tools.weights import Published, draw, each, scaled

GRU = derive.bound("gru", "inf", inputs=1)


def test_a_quarter_is_certified_as_published():
    theirs = Published(GRU.cell, GRU.setting, published_b5(GRU))
    params = scaled(theirs, draw(GRU.cell, 400, 3))
    assert theirs.certifies(params).mean() == pytest.approx(0.25, abs=0.02)
    assert not theirs.certifies({name: 3 * p for name, p in params.items()}).any()


def test_the_published_condition_in_numbers():
    found = derive.bound("vanilla", "inf", inputs=1)
    theirs = Published(found.cell, found.setting, published(tanh))
    params = draw(found.cell, 50, 0)
    norms = np.abs(params["W"]).sum(axis=2).max(axis=1)
    small = {name: p / 4.5 for name, p in params.items()}
    assert theirs.certifies(small).tolist() == (norms / 4.5 < 1).tolist()
    assert 0 < theirs.certifies(small).sum() < 50


@pytest.mark.parametrize("name", ["vanilla", "gru", "lstm"])
def test_contracting_decides_what_holds_decides(name):
    found = derive.bound(name, "inf", inputs=1)
    sets = [
        {k: size * p for k, p in one.items()}
        for one in each(draw(found.cell, 2, 5))
        for size in (0.1, 0.3, 0.6)
    ]
    ours = [contracting(found.weighted(one)) for one in sets]
    assert [norm is not None for norm in ours] == [found.holds(one) for one in sets]
    for one, norm in zip(sets, ours, strict=True):
        if norm is not None:
            assert norm[0] <= found.weighted(one).contraction(norm[1])
            assert norm[0] < 1


def test_batched_jacobians_are_those_of_the_calculus():
    cell, rng = derive.cell("lstm"), np.random.default_rng(0)
    params = next(each(draw(cell, 1, 0)))
    x, state = rng.normal(size=(3, 8)), [rng.normal(size=(3, 8)) for _ in cell.states]
    blocks = [[derive.jacobian(cell, s, t) for t in cell.states] for s in cell.states]
    at = [
        np.block([[b.evaluate(params, x[k], tuple(v[k] for v in state)) for b in row] for row in blocks])
        for k in range(3)
    ]
    assert jacobians(cell, params, x, state) == pytest.approx(np.array(at), rel=1e-9, abs=1e-12)


def test_an_attack_breaks_a_certificate_that_says_too_much():
    params = {k: p * 0.1 for k, p in next(each(draw(GRU.cell, 1, 1))).items()}
    found, rng = GRU.weighted(params), np.random.default_rng(0)
    rate, weights = contracting(found)
    assert contraction(found, (rate, weights), params, rng) <= 1 + 1e-9
    assert contraction(found, (0.8 * rate, weights), params, rng) > 1


def test_a_run_breaks_gains_that_say_too_much():
    found = stability("vanilla", "inf", inputs=1).weighted({"W": [[0.5]], "U": [[1.0]], "b": [0.0]})
    params, rng = found.intervals.params, np.random.default_rng(0)
    params = {k: np.asarray(v) for k, v in params.items()}
    assert state_gains(found, (0.5, {"s": np.ones(1)}), params, rng) <= 1
    small = {k: v * 1e-3 if k != "W" else v for k, v in params.items()}
    assert (
        state_gains(
            stability("vanilla", "inf", inputs=1).weighted(small), (0.2, {"s": np.ones(1)}), small, rng
        )
        > 1
    )


def test_judged():
    found = judged([0.5, 1 + 1e-12, 1.01, float("nan")], 2.0)
    assert (found.attacked, found.broken) == (4, 2)
