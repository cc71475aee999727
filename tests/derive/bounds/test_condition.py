"""Where the condition or ``holds`` says so, trajectories approach each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import S

import derive
from derive import Cell, bound
from tests.derive.bounds.norms_of import norms_of
from tests.strategies import gated_cells, numbers


@given(gated_cells(), st.sampled_from((0.02, 0.1, 0.3)), st.sampled_from((2, "inf")), st.integers(0, 9))
@settings(max_examples=5)
def test_the_condition_implies_holds(cell: Cell, scale: float, norm: object, seed: int) -> None:
    found = bound(cell, norm, inputs=1)
    params, _, _ = numbers(cell, n=3, m=2, B=None, seed=seed)
    params = {k: scale * v for k, v in params.items()}
    if found.condition.xreplace(norms_of(found, params)) == S.true:
        assert found.holds(params)


@pytest.mark.parametrize("norm", [2, "inf"])
@pytest.mark.parametrize("name", ["vanilla", "gru", "lstm"])
def test_the_condition_implies_holds_up_to_its_edge(name: str, norm: object) -> None:
    """The largest scale of the weights at which the condition holds, by bisection."""
    found = bound(name, norm, inputs=1)
    params, _, _ = numbers(found.cell, n=3, m=2, B=None, seed=4)
    low, high = 0.0, 4.0
    for _ in range(10):
        scale = (low + high) / 2
        scaled = norms_of(found, {k: scale * v for k, v in params.items()})
        low, high = (scale, high) if found.condition.xreplace(scaled) == S.true else (low, scale)
    assert 0.01 < low < 3.9
    for fraction in (0.5, 1 - 1e-5):
        assert found.holds({k: low * fraction * v for k, v in params.items()})


@pytest.mark.parametrize("norm", [2, "inf"])
@pytest.mark.parametrize("name", ["vanilla", "gru", "lstm"])
def test_what_holds_contracts(name: str, norm: object) -> None:
    found = bound(name, norm, inputs=1)
    tried = 0
    for seed in range(4):
        params, _, _ = numbers(found.cell, n=4, m=2, B=None, seed=seed)
        scale = (0.5, 0.25, 0.15, 0.1)[seed]
        params = {k: scale * v for k, v in params.items()}
        if not found.holds(params):
            continue
        tried += 1
        rng = np.random.default_rng(seed)
        weighted = found.weighted(params)
        rho, d = weighted.rate()
        box = {q.label: weighted.intervals(q) for q in weighted._past()}
        first, second = (
            tuple(rng.uniform(box[k].low, box[k].high) for k in found.cell.states) for _ in range(2)
        )
        started = distance = max(np.abs(p - q).max() for p, q in zip(first, second, strict=True))
        for row in rng.uniform(-1, 1, size=(60, 2)):
            before = _weighted(found.cell, first, second, d)
            first, second = (derive.evaluate(found.cell, params, row[None], v)[1] for v in (first, second))
            if norm == "inf":
                assert _weighted(found.cell, first, second, d) <= rho * before * (1 + 1e-9) + 1e-14
            distance = max(np.abs(p - q).max() for p, q in zip(first, second, strict=True))
        assert distance < started
        assert distance < 0.05
    assert tried >= 1


def _weighted(cell: Cell, first: object, second: object, d: dict[str, np.ndarray]) -> float:
    pairs = zip(cell.states, first, second, strict=True)  # type: ignore[call-overload]
    return float(max((np.abs(p - q) / d[k]).max() for k, p, q in pairs))


def test_the_largest_entry_is_not_a_norm() -> None:
    """0.9 · ones(8, 8) has entries below 1 and a run that goes to ±0.9985: it must not be certified."""
    params = {"W": 0.9 * np.ones((8, 8)), "U": np.zeros((8, 1)), "b": np.zeros(8)}
    for norm in (2, "inf"):
        assert not bound("vanilla", norm).holds(params)
        assert bound("vanilla", norm).evaluate(params) == pytest.approx(7.2, rel=1e-9)
