"""Fixed points in numbers: found, proved, and not found where there is none."""

import math
import re
from typing import Any

import numpy as np
import pytest

import derive
from derive import Cell, EvaluationError, Parameter, State, Vector, sigmoid, tanh
from derive.dynamics import NoEquilibrium, equilibrium, verify
from derive.evaluate import step
from tests.strategies import numbers

s = State("s")
r, candidate = Vector("r"), Vector("s_tilde")
W, W_r = Parameter("W", "n", "n"), Parameter("W_r", "n", "n")
b, d = Parameter("b", "n"), Parameter("d", "n")

# The reset acts after the matrix and its bias, as in torch's GRU; z = 1/2
RESET_AFTER = Cell(
    "reset-after",
    {
        r: sigmoid(W_r @ s.prev),
        candidate: tanh(r * (W @ s.prev + d) + b),
        s: s.prev / 2 + candidate / 2,
    },
    output=s,
)
BISTABLE = {"W_r": np.array([[2.0]]), "W": np.array([[0.0]]), "d": np.array([8.0]), "b": np.array([-4.0])}
NOTHING = np.zeros(0)


def moved(found: Any) -> float:
    vectors = step(found.cell, found.params, found.inputs, found.state)
    return max(
        float(np.abs(vectors[n] - v).max()) for n, v in zip(found.cell.states, found.state, strict=True)
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_bistable_attractors(sign: int) -> None:
    """What a published implementation certified as stable has two attractors."""
    found = equilibrium(RESET_AFTER, BISTABLE, NOTHING, guess=(np.array([sign * 0.9]),))
    assert found.state[0][0] == pytest.approx(sign * 0.995, abs=1e-3)
    assert found.stable
    proof = found.verify()
    assert proof.proved
    assert proof.verdict == "stable"
    assert proof.lower[0][0] <= found.state[0][0] <= proof.upper[0][0]


def test_bistable_saddle_between_them() -> None:
    found = equilibrium(RESET_AFTER, BISTABLE, NOTHING, guess=(np.array([0.01]),))
    assert found.state[0][0] == pytest.approx(0, abs=1e-12)
    # d/ds at zero: 1/2 + 1/2 · 8 σ'(0) · 2 = 2.5
    assert found.eigenvalues[0] == pytest.approx(2.5)
    assert not found.stable
    assert found.verify().verdict == "unstable"


def test_vanilla_with_a_known_spectrum() -> None:
    """At zero the Jacobian is W: eigenvalues ±0.8i and 0.5."""
    weights = np.array([[0.0, -0.8, 0.0], [0.8, 0.0, 0.0], [0.0, 0.0, 0.5]])
    params = {"W": weights, "U": np.ones((3, 1)), "b": np.zeros(3)}
    found = equilibrium("vanilla", params, [0.0])
    np.testing.assert_array_equal(found.state[0], np.zeros(3))
    np.testing.assert_allclose(np.sort_complex(found.eigenvalues), [-0.8j, 0.8j, 0.5], atol=1e-15)
    proof = found.verify()
    assert proof.verdict == "stable"
    assert proof.spectrum is not None
    np.testing.assert_allclose(proof.spectrum.upper, [0.8, 0.8, 0.5], atol=1e-12)


@pytest.mark.parametrize("name", ["gru", "lstm", "peephole-lstm", "normalized-prototype", "pseudo-lstm"])
@pytest.mark.parametrize("seed", range(3))
def test_random_weights(name: str, seed: int) -> None:
    cell = derive.cell(name)
    params, inputs, _ = numbers(cell, n=4, T=1, B=None, seed=seed)
    params = {k: v / 2 for k, v in params.items()}
    found = equilibrium(cell, params, inputs[0])
    assert found.residual == moved(found) < 1e-13
    expected = derive.step_jacobian(cell).evaluate(params, inputs[0], found.state)
    np.testing.assert_array_equal(found.jacobian, expected)
    proof = found.verify()
    assert proof.proved
    for low, middle, high in zip(proof.lower, found.state, proof.upper, strict=True):
        assert np.all((low - 1e-13 <= middle) & (middle <= high + 1e-13))
        assert np.max(high - low) < 1e-13
    assert proof.spectrum is not None
    sizes = np.sort(np.abs(found.eigenvalues))[::-1]
    np.testing.assert_allclose(proof.spectrum.lower, sizes, atol=1e-7)
    np.testing.assert_allclose(proof.spectrum.upper, sizes, atol=1e-7)
    assert (proof.verdict == "stable") is found.stable


def test_a_period_of_two_is_no_equilibrium_but_has_one_between() -> None:
    """s = tanh(-2s) swings between two points; Newton finds the zero between, which is unstable."""
    params = {"W": np.array([[-2.0]]), "U": np.zeros((1, 1)), "b": np.zeros(1)}
    swinging = equilibrium("vanilla", params, [0.0], guess=(np.array([0.9]),))
    assert swinging.state[0][0] == pytest.approx(0, abs=1e-12)
    assert swinging.verify().verdict == "unstable"


def test_steps_that_overshoot_are_shortened() -> None:
    """Where s = tanh(-10s) is flat, whole Newton steps jump between -1 and 1 for ever."""
    params = {"W": np.array([[-10.0]]), "U": np.zeros((1, 1)), "b": np.zeros(1)}
    found = equilibrium("vanilla", params, [0.0], guess=(np.array([0.9]),))
    assert found.state[0][0] == pytest.approx(0, abs=1e-12)


def test_none_where_there_is_none() -> None:
    """s = s + 1/(1 + e^-b) has no fixed point at all."""
    growing = Cell("growing", {s: s.prev + sigmoid(b)}, output=s)
    message = r"growing: no fixed point found in 100 Newton steps \(from a run .*residual 0\.5.*guess="
    with pytest.raises(NoEquilibrium, match=re.compile(message)):
        equilibrium(growing, {"b": np.zeros(2)}, NOTHING)
    with pytest.raises(NoEquilibrium, match=r"\(from the guess: residual 0\.5\)"):
        equilibrium(growing, {"b": np.zeros(2)}, NOTHING, guess=(np.ones(2),))


def test_where_nothing_can_be_proved_it_says_unknown() -> None:
    elsewhere = verify(RESET_AFTER, BISTABLE, NOTHING, (np.array([0.5]),))
    assert (elsewhere.proved, elsewhere.verdict) == (False, "unknown")
    assert str(elsewhere) == "reset-after: unknown: no box around the state passed Krawczyk's test"
    # every state is a fixed point of s = s: none is alone in a box
    still = Cell("still", {s: s.prev})
    assert not verify(still, {}, NOTHING, (np.array([0.0]),)).proved


def test_an_eigenvalue_of_one_is_unknown() -> None:
    """s = tanh(s) has a triple zero of s - tanh(s): Krawczyk's test cannot pass."""
    params = {"W": np.eye(1), "U": np.zeros((1, 1)), "b": np.zeros(1)}
    found = equilibrium("vanilla", params, [0.0], guess=(np.zeros(1),))
    assert found.verify().verdict == "unknown"


def test_text() -> None:
    found = equilibrium(RESET_AFTER, BISTABLE, NOTHING, guess=(np.array([0.9]),))
    assert str(found).startswith("reset-after: stable equilibrium at s = [0.995")
    text = str(found.verify())
    assert re.match(
        r"reset-after: exactly one equilibrium in a box of width \de-1\d|.*; stable: the spec", text
    )


def test_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(EvaluationError, match="the input of one step has shape"):
        equilibrium(RESET_AFTER, BISTABLE, np.zeros((1, 0)))
    with pytest.raises(EvaluationError, match=r"expected the guess as a tuple of \('s',\)"):
        equilibrium(RESET_AFTER, BISTABLE, NOTHING, guess=np.zeros(1))  # type: ignore[arg-type]
    with pytest.raises(EvaluationError, match="state s has shape"):
        equilibrium(RESET_AFTER, BISTABLE, NOTHING, guess=(np.zeros(2),))


def test_the_radius_is_a_bound_of_what_a_perturbation_does() -> None:
    """Near the fixed point, 20 steps shrink a deviation as the proved radius says."""
    found = equilibrium(RESET_AFTER, BISTABLE, NOTHING, guess=(np.array([0.9]),))
    spectrum = found.verify().spectrum
    assert spectrum is not None
    start = found.state[0] - 1e-6
    _, (end,) = derive.evaluate(RESET_AFTER, BISTABLE, np.zeros((20, 0)), (start,))
    rate = (abs(end - found.state[0]) / 1e-6) ** (1 / 20)
    assert math.isclose(float(rate[0]), spectrum.radius[1], rel_tol=1e-3)
