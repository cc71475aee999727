"""What is measured along a run: against counting, against what is known of a cell, against what is proved."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

import derive
from codegen.certify import certify
from codegen.diagnostics import BrokenBound, Measurements, bounds, measure
from codegen.errors import CodegenError, ConfigError
from derive import Cell, Input, Parameter, State, identity
from derive.anatomy import gates
from derive.bounds import Bound
from derive.errors import DeriveError, EvaluationError
from derive.evaluate import step
from tests.codegen.unusual_cells import UNUSUAL
from tests.strategies import numbers

CATALOGUE = [derive.cell(name) for name in derive.catalogue()]
Array = np.ndarray[Any, Any]


def warm(cell: Cell, T: int = 8, B: int = 2, seed: int = 0, scale: float = 1.0) -> tuple[Any, ...]:
    """Weights, inputs, and a state that a run from zero has reached."""
    params, inputs, _ = numbers(cell, n=5, m=3, T=T + 10, B=B, seed=seed)
    params = {name: scale * value for name, value in params.items()}
    _, state = derive.evaluate(cell, params, inputs[:10])
    return params, inputs[10:], state


def by_hand(cell: Cell, params: Any, inputs: Array, state: Any) -> list[dict[str, Array]]:
    steps = []
    for x in inputs:
        steps.append(step(cell, params, x, state))
        state = tuple(steps[-1][name] for name in cell.states)
    return steps


@pytest.mark.parametrize("cell", CATALOGUE, ids=lambda cell: cell.name)
def test_gates_and_states_are_counted(cell: Cell) -> None:
    """Wide weights shut and open some of the gates."""
    params, inputs, state = warm(cell, scale=3.0)
    found = measure(cell, params, inputs, state=state, lags=(1, 4))
    steps = by_hand(cell, params, inputs, state)
    assert list(found.saturation) == [gate.name for gate in gates(cell)]
    for gate, shares in found.saturation.items():
        values = [float(v) for vectors in steps for v in vectors[gate].ravel()]
        assert shares[0] == pytest.approx(sum(v < 0.05 for v in values) / len(values), abs=1e-15)
        assert shares[1] == pytest.approx(sum(v > 0.95 for v in values) / len(values), abs=1e-15)
        assert max(shares) > 0
    for t, vectors in enumerate(steps):
        for row in range(2):
            stacked = np.concatenate([vectors[name][row] for name in cell.states])
            norm = np.linalg.norm(stacked) / math.sqrt(len(stacked))
            assert found.state_norms[t, row] == pytest.approx(norm, rel=1e-14)
    for name in cell.states:
        largest = max(abs(vectors[name]).max() for vectors in steps)
        assert found.state_max[name] == pytest.approx(largest, rel=1e-14)


@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_each_row_is_measured_by_itself(name: str) -> None:
    """Alone it gives the same numbers."""
    cell = derive.cell(name)
    params, inputs, state = warm(cell)
    both = measure(cell, params, inputs, state=state, lags=(1, 2, 4))
    for row in range(2):
        start = tuple(s[row : row + 1] for s in state)
        alone = measure(cell, params, inputs[:, row : row + 1], state=start, lags=(1, 2, 4))
        for lag in (1, 2, 4):
            assert both.sensitivities[lag].shape == (8 // lag, 2)
            np.testing.assert_allclose(
                both.sensitivities[lag][:, [row]], alone.sensitivities[lag], rtol=1e-13
            )
    assert not np.allclose(*both.sensitivities[1].T)


def in_norms(cell: Cell) -> list[Any]:
    """The ∞-norm takes longer: for some cells of each kind."""
    norms = [2, "inf"] if cell.name in ("vanilla", "normalized-prototype", "gru", "lstm") else [2]
    return [pytest.param(cell, norm, id=f"{cell.name}-{norm}") for norm in norms]


@pytest.mark.parametrize("scale", [0.2, 1.0])
@pytest.mark.parametrize(("cell", "norm"), [case for cell in CATALOGUE for case in in_norms(cell)])
def test_what_is_proved_is_not_passed(cell: Cell, norm: Any, scale: float) -> None:
    params, inputs, state = warm(cell, seed=1, scale=scale)
    found = measure(cell, params, inputs, state=state, norm=norm, lags=(1, 2, 8))
    truth = found.sensitivities[1].max()
    assert 0 < truth <= found.bounds.visited * (1 + 1e-9)
    assert truth <= found.bounds.certified * (1 + 1e-9)
    assert math.isfinite(found.bounds.visited)
    for lag, norms in found.sensitivities.items():
        assert norms.max() <= truth**lag * (1 + 1e-9)


def visited_by_hand(cell: Cell, params: Any, inputs: Array, state: Any, norm: Any) -> float:
    """The bound for all |s| and |x| that are, unit by unit, no larger than any before a step."""
    before = [
        state,
        *(tuple(vectors[name] for name in cell.states) for vectors in by_hand(cell, params, inputs, state)),
    ]
    largest = {
        name: np.abs([s[k] for s in before[:-1]]).max(axis=(0, 1)) for k, name in enumerate(cell.states)
    }
    return derive.bound(cell, norm).evaluate(params, largest, abs(inputs).max(axis=(0, 1)))


def test_the_certified_bound_is_that_of_certify() -> None:
    cell = derive.cell("gru")
    params, inputs, _ = warm(cell, T=2)
    zeros = (np.zeros((2, 5)),)  # from which it moves: what is visited before a step is not what is after
    limits = np.array([4.0, 5.0, 6.0])
    for norm in (2, "inf"):
        found = measure(cell, params, inputs, limits=limits, norm=norm, lags=[])
        expected = certify(cell, params, norm=norm, inputs=limits, rigorous=False)
        assert found.bounds.certified == expected.jacobian
        assert found.bounds.rate == expected.rate
        visited = visited_by_hand(cell, params, inputs, zeros, norm)
        assert found.bounds.visited == pytest.approx(visited, rel=1e-12)
        assert found.as_dict()["bound"] == expected.jacobian


@pytest.mark.parametrize("place", ["jacobian", "visited", "states"])
def test_a_broken_proof_is_an_error(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = derive.cell("gru")
    params, inputs, state = warm(cell)
    true = measure(cell, params, inputs, state=state, lags=[])
    top = float(true.sensitivities[1].max())

    def false_certificate(*args: Any, **options: Any) -> Any:
        found = certify(*args, **options)
        if place == "jacobian":
            return dataclasses.replace(found, jacobian=top * (1 - 1e-6))
        return dataclasses.replace(found, boxes={"s": max(abs(state[0]).max(), true.state_max["s"] * 0.99)})

    if place == "visited":
        monkeypatch.setattr(Bound, "evaluate", lambda *args, **options: top * (1 - 1e-6))
        expected = "over the states and inputs visited"
    else:
        monkeypatch.setattr(bounds, "certify", false_certificate)
        expected = "over all states and inputs" if place == "jacobian" else r"\|s\| is proved to be at most"
    with pytest.raises(BrokenBound, match=expected):
        measure(cell, params, inputs, state=state, lags=[])


def test_an_orthogonal_vanilla_cell_forgets_at_its_rate() -> None:
    cell = derive.cell("vanilla")
    rng = np.random.default_rng(2)
    params = {
        "W": 0.9 * np.linalg.qr(rng.normal(size=(6, 6)))[0],
        "U": 0.001 * rng.normal(size=(6, 3)),
        "b": np.zeros(6),
    }
    found = measure(cell, params, rng.normal(size=(32, 1, 3))).as_dict()
    for lag in (1, 2, 4, 8, 16, 32):
        assert found[f"sensitivity_{lag}"] <= found[f"sensitivity_max_{lag}"] <= 0.9**lag * (1 + 1e-12)
        assert found[f"sensitivity_{lag}"] > 0.98 * 0.9**lag  # the slope of tanh is nearly 1 so close to 0
    assert found["bound"] == pytest.approx(0.9, rel=1e-9)


@pytest.mark.parametrize(("name", "grows"), [("prototype", True), ("gru", False), ("vanilla", False)])
def test_the_prototype_adds_up_and_bounded_cells_do_not(name: str, grows: bool) -> None:
    """All that is kept is kept, what is written pulls one way: T times the writes, or never above 1."""
    cell = derive.cell(name)
    params = {k: np.zeros([5 if axis == "n" else 3 for axis in axes]) for k, axes in cell.parameters.items()}
    params |= {"b": np.full(5, 3.0)} | derive_biases(cell)
    norms = {T: measure(cell, params, np.zeros((T, 1, 3)), lags=[]).state_norms[-1, 0] for T in (16, 64)}
    if grows:
        assert norms[16] > 6
        assert norms[64] > 3.5 * norms[16]
    else:
        assert norms[16] <= norms[64] < 1


def derive_biases(cell: Cell) -> dict[str, Array]:
    """Forget biases of 6: the gates keep 0.9975 of the state."""
    return {name: np.full(5, value) for name, value in derive.forget_biases(cell, 6.0).items()}


def test_names() -> None:
    cell = derive.cell("gru")
    params, inputs, state = warm(cell)
    found = measure(cell, params, inputs, state=state, lags=(4,))
    numbers = found.as_dict()
    assert list(numbers) == [
        *("bound", "rate", "bound_visited", "jacobian_mean", "jacobian_max", "state_norm", "state_max"),
        *("sensitivity_1", "sensitivity_max_1", "sensitivity_4", "sensitivity_max_4"),
        *("saturation_low_r", "saturation_high_r", "saturation_low_z", "saturation_high_z"),
    ]
    assert {type(number) for number in numbers.values()} == {float}
    assert numbers["jacobian_mean"] == numbers["sensitivity_1"] == found.sensitivities[1].mean()
    assert numbers["jacobian_max"] == found.sensitivities[1].max()
    assert numbers["sensitivity_max_4"] == found.sensitivities[4].max()
    assert numbers["state_norm"] == found.state_norms.mean()
    assert numbers["state_max"] == found.state_max["s"]


@pytest.mark.parametrize("cell", [c for c in UNUSUAL if c.parameters], ids=lambda cell: cell.name)
def test_any_cell_with_parameters_is_measured(cell: Cell) -> None:
    """Without input or gates; with means, kinks, several states, other axes."""
    params, inputs, state = numbers(cell, n=4, m=4, T=4, B=2)
    _, state = derive.evaluate(cell, params, inputs, tuple(np.zeros_like(s) for s in state))
    found = measure(cell, params, inputs, state=state, lags=(1, 4))
    assert isinstance(found, Measurements)
    assert found.sensitivities[4].shape == (1, 2)


def test_a_state_that_overflows_is_a_finding() -> None:
    s = State("s")
    cell = Cell(
        "exploding", {s: identity(Parameter("W", "n", "n") @ s.prev + Parameter("U", "n", "m") @ Input("x"))}
    )
    params = {"W": 1e100 * np.eye(2), "U": np.ones((2, 1))}
    found = measure(cell, params, np.ones((6, 1, 1)), lags=(1, 4)).as_dict()
    assert found["jacobian_max"] == pytest.approx(1e100)
    assert found["sensitivity_4"] == math.inf
    assert not math.isfinite(found["state_max"])
    assert found["bound_visited"] == math.inf


def test_refusals() -> None:
    cell = derive.cell("lstm")
    params, inputs, state = warm(cell, scale=0.1)
    with pytest.raises(EvaluationError, match=r"inputs have shape \(8, 3\), expected \(T, B, m\)"):
        measure(cell, params, inputs[:, 0])
    with pytest.raises(EvaluationError, match=r"shape \(0, 2, 3\)"):
        measure(cell, params, inputs[:0])
    with pytest.raises(EvaluationError, match="missing parameters"):
        measure(cell, {}, inputs, lags=[])
    with pytest.raises(EvaluationError, match="1 states given"):
        measure(cell, params, inputs, state=state[:1], lags=[])
    with pytest.raises(EvaluationError, match="state c has shape"):
        measure(cell, params, inputs, state=(state[0], state[1][:1]), lags=[])
    with pytest.raises(ConfigError, match="a lag of 16 steps"):
        measure(cell, params, inputs, lags=[16])
    with pytest.raises(DeriveError, match="norm=1"):
        measure(cell, params, inputs, norm=1, lags=[])
    with pytest.raises(CodegenError, match="outside the limits given for it"):
        measure(cell, params, inputs, limits=1e-3, lags=[])
    far = state[0], np.full_like(state[1], 1e3)
    with pytest.raises(CodegenError, match="in the initial state, but a run from zero") as caught:
        measure(cell, params, inputs, state=far, lags=[])
    assert not isinstance(caught.value, BrokenBound)
