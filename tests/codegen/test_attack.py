"""Attacks on bounds: what they find, that it replays, and that no bound is below it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings

import derive
from codegen.attack import Attack, attack, symbolic_value
from codegen.errors import CodegenError, UnknownName
from derive import Cell
from derive.bounds import Bound
from tests.strategies import gated_cells

SMALL: dict[str, Any] = {"restarts": 8, "steps": 60, "n": 2, "m": 1}
SLACK = 1e-3
"""Numerical suprema are found to 1 in 10⁴, and a row nests a few."""


def in_order(found: Attack) -> None:
    """attack ≤ bound for the weights found ≤ bound in the norms, and the norms are what was asked for."""
    assert found.replay() == found.value
    assert found.value <= found.weighted() * (1 + 1e-9) + 1e-9
    assert found.value <= found.weighted(rigorous=True)
    assert found.value <= found.symbolic() * (1 + 1e-9) + 1e-9
    assert found.weighted() <= found.symbolic() * (1 + SLACK) + SLACK
    order = 2 if found.bound.norm == 2 else np.inf
    for name, value in found.params.items():
        assert np.linalg.norm(value, order if value.ndim == 2 else np.inf) <= found.norms[name] * (1 + 1e-9)


@pytest.mark.parametrize(("norm", "least"), [(2, 0.9), ("inf", 0.98)])
@pytest.mark.parametrize("name", ["vanilla", "gru"])
def test_most_of_the_bound_is_reached(name: str, norm: Any, least: float) -> None:
    found = attack(derive.bound(name, norm, inputs=1), **SMALL)
    in_order(found)
    assert found.value > (least if name == "vanilla" or norm == "inf" else 0.6) * found.symbolic()


def test_a_state_without_a_box_of_its_own_needs_one() -> None:
    with pytest.raises(CodegenError, match="nothing bounds s; give bound"):
        attack(derive.bound("prototype", 2), **SMALL)
    found = attack(derive.bound("prototype", 2, states=2, inputs=1), **SMALL)
    in_order(found)
    assert all(abs(s).max() <= 2 for s in found.state)
    assert abs(found.inputs).max() <= 1


def test_a_box_in_terms_of_norms() -> None:
    """The LSTM's c, for bounded inputs: the attack and both bounds speak of the same box."""
    found = attack(derive.bound("lstm", "inf", inputs=1), **SMALL)
    in_order(found)
    assert found.value > 0.9 * found.symbolic()


def orthogonal_gru(n: int, seed: int) -> dict[str, np.ndarray]:
    torch.manual_seed(seed)
    params = {}
    for name, axes in derive.cell("gru").parameters.items():
        drawn = torch.zeros([n if axis == "n" else 1 for axis in axes], dtype=torch.float64)
        params[name] = (torch.nn.init.orthogonal_(drawn) if axes == ("n", "n") else drawn).numpy()
    return params


def test_given_weights_stay() -> None:
    params = orthogonal_gru(3, seed=0)
    found = attack(derive.bound("gru", "inf", inputs=0), params=params, restarts=8, steps=60)
    in_order(found)
    assert all((found.params[k] == params[k]).all() for k in params)
    assert found.norms["W"] == pytest.approx(abs(params["W"]).sum(axis=1).max())
    assert not found.inputs.any()


@pytest.mark.parametrize(("n", "most", "most_in_norms"), [(8, 3.2, 3.5), (16, 5.5, 5.5)])
def test_one_gru_step_without_input(n: int, most: float, most_in_norms: float) -> None:
    """Orthogonal matrices: CROWN gives 8.4 and 16.4 here, intervals 5.4 and 8.7, attacks 1.96 and 2.5."""
    bound = derive.bound("gru", "inf", inputs=0)
    for seed in range(20):
        params = orthogonal_gru(n, seed)
        norms = {name: abs(v.reshape(len(v), -1)).sum(axis=1).max() for name, v in params.items()}
        for_weights, symbolic = bound.evaluate(params), symbolic_value(bound, norms, {"n": n})
        assert 1.0 < for_weights < most
        assert for_weights <= symbolic < most_in_norms


def test_a_bound_that_is_too_small_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """2 percent less than the vanilla cell's ‖W‖."""
    exact = Bound.evaluate
    monkeypatch.setattr(Bound, "evaluate", lambda self, *a, **k: 0.98 * exact(self, *a, **k))
    found = attack(derive.bound("vanilla", "inf"), **SMALL)
    with pytest.raises(AssertionError):
        in_order(found)


def test_norms_by_name() -> None:
    bound = derive.bound("vanilla", "inf")
    found = attack(bound, norms={"W": 0.5, "U": 1, "b": 0}, **SMALL)
    assert found.value == pytest.approx(0.5, rel=1e-2)
    assert symbolic_value(bound, {"W": 0.5, "U": 1, "b": 0}, {"n": 2, "m": 1}) == 0.5
    with pytest.raises(UnknownName, match="'V'"):
        attack(bound, norms={"V": 1.0}, **SMALL)
    with pytest.raises(UnknownName, match="'U' is missing"):
        attack(bound, norms={"W": 1.0}, **SMALL)


@settings(max_examples=3)
@given(cell=gated_cells())
def test_random_cells(cell: Cell) -> None:
    for norm in (2, "inf"):
        bound = derive.bound(cell, norm, states=1, inputs=1 if cell.inputs else None)
        in_order(attack(bound, restarts=3, steps=10, n=2, m=1))
