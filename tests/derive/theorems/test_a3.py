"""A3: exact scales, Glorot's for tanh alone, and what singular values do in numbers."""

from __future__ import annotations

import numpy as np
import pytest
import sympy

import derive
from derive import ACTIVATIONS
from derive.claims.tools.plain import from_plain
from derive.theorems.a3 import (
    THEOREM,
    _check_glorot,
    _check_size,
    _check_spread,
    independent_entries_spread,
    initial_size,
    is_glorot,
    orthogonal_is_exact,
)
from derive.theorems.tools.facts import with_activation

pytest.importorskip("z3")
pytest.importorskip("cvc5")

GAMMA = {"sigmoid": 0.25, "tanh": 1.0, "relu": 1.0, "softsign": 1.0, "hard_sigmoid": 1 / 6}
UNITS = 400


def test_everything_is_proved_and_rechecks() -> None:
    claims = THEOREM.prove()
    assert [(c.name, c.status) for c in claims if c.status != "proved"] == []
    assert [c.name for c in claims if not c.recheck()] == []


@pytest.mark.parametrize("name", GAMMA)
def test_the_scales_are_the_published_ones(name: str) -> None:
    claim = initial_size(with_activation("vanilla", ACTIVATIONS[name]))
    n = sympy.Symbol("n", positive=True)
    found = {k: from_plain(v, {"n": n}) for k, v in claim.certificate["parameters"].items()}
    at = {k: float(v.subs(n, 9)) for k, v in found.items()}
    gamma = GAMMA[name]
    assert at == pytest.approx(
        {"uniform": 3**0.5 / (3 * gamma), "gaussian": 1 / (3 * gamma), "orthogonal": 1 / gamma}
    )


def test_glorot_for_tanh_and_not_for_sigma() -> None:
    assert is_glorot("vanilla").status == "proved"
    other = is_glorot(with_activation("vanilla", ACTIVATIONS["sigmoid"]))
    assert (other.status, other.recheck()) == ("refuted", True)
    assert other.counterexample["is"] == pytest.approx(4 * other.counterexample["Glorot's is"])
    document = is_glorot("vanilla").to_json()
    assert not _check_glorot({**document, "status": "refuted"})


def test_a_wrong_scale_does_not_pass() -> None:
    document = initial_size("vanilla").to_json()
    assert _check_size(document)
    wrong = {**document["certificate"], "size": ["num", "2"]}
    assert not _check_size({**document, "certificate": wrong})


def test_only_an_orthogonal_matrix_meets_it_exactly() -> None:
    """Singular values of the Jacobian at rest, measured."""
    rng = np.random.default_rng(0)
    for name in ("tanh", "sigmoid"):
        cell, gamma = with_activation("vanilla", ACTIVATIONS[name]), GAMMA[name]
        assert orthogonal_is_exact(cell).status == "proved"
        orthogonal = np.linalg.qr(rng.normal(size=(UNITS, UNITS)))[0] / gamma
        np.testing.assert_allclose(_singular_values(cell, orthogonal), 1.0, atol=1e-10)


@pytest.mark.parametrize("distribution", ["uniform", "gaussian"])
def test_independent_entries_meet_the_mean_square(distribution: str) -> None:
    """Mean square 1, mean fourth power 2, spread over [0, 2]: a quarter circle."""
    rng = np.random.default_rng(1)
    width = 3**0.5 / UNITS**0.5
    uniform, normal = rng.uniform(-width, width, (UNITS, UNITS)), rng.normal(size=(UNITS, UNITS))
    w = uniform if distribution == "uniform" else normal / UNITS**0.5
    values = _singular_values(derive.cell("vanilla"), w)
    assert np.mean(values**2) == pytest.approx(1.0, rel=0.02)
    assert np.mean(values**4) == pytest.approx(2.0, rel=0.03)
    assert values.min() < 0.02
    assert 1.9 < values.max() < 2.1
    claim = independent_entries_spread(distribution)
    assert (claim.status, claim.recheck()) == ("proved", True)
    document = claim.to_json()
    assert not _check_spread({**document, "statement": document["statement"].replace("power 2", "power 1")})


def _singular_values(cell: derive.Cell, w: np.ndarray) -> np.ndarray:
    parameters = {"W": w, "U": np.zeros((UNITS, 1)), "b": np.zeros(UNITS)}
    found = derive.jacobian(cell, "s", "s").evaluate(parameters, np.zeros(1), (np.zeros(UNITS),))
    return np.linalg.svd(found, compute_uv=False)
