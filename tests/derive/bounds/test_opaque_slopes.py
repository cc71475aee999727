"""An activation whose slope is no polynomial in its output needs no edit; what is lost is said."""

import numpy as np
import pytest
import sympy
from sympy import Interval, oo

import derive
import derive.activations
from derive import Activation, Cell, bound, jacobian
from derive.activations import Definition, a
from tests.strategies import numbers

VANILLA = derive.cell("vanilla")


@pytest.fixture
def swish(monkeypatch: pytest.MonkeyPatch) -> Activation:
    """x σ(x) (Ramachandran et al., 2017): not monotone, slope between -0.1 and 1.1, no inverse of its own."""
    definition = Definition(
        latex=r"\operatorname{swish}",
        formula=a / (1 + sympy.exp(-a)),
        numpy=lambda x: x * (0.5 + 0.5 * np.tanh(0.5 * x)),
        torch="F.silu",
        range=Interval(sympy.Rational(-279, 1000), oo),
        derivative=None,
        lipschitz=sympy.Rational(11, 10),
        monotone=False,
    )
    monkeypatch.setitem(derive.activations._DEFINITIONS, "swish", definition)
    return Activation("swish")


def test_softplus_in_a_vanilla_cell() -> None:
    cell = VANILLA.with_activations({"s": "softplus"})
    assert str(jacobian(cell, "s", "s")) == "∂sₜ/∂sₜ₋₁ = diag(softplus'(W sₜ₋₁ + U xₜ + b)) W"
    for norm in (2, "inf"):
        found = bound(cell, norm)
        assert found.expr == found.norms["W"]  # the slope is at most 1
        assert found.condition == (found.norms["W"] < 1)
        assert found.losses == (
            "the slope of softplus is known by its range [0, 1] alone, not by its output",
        )
        assert found.losses[0] in str(found)
    assert bound("vanilla").losses == ()


def test_what_is_lost() -> None:
    """tanh near its ends is flat, and the bound knows; of softplus it does not know that it is flat below."""
    params, _, _ = numbers(VANILLA, n=3, B=None)
    params["b"] = np.full(3, -9.0)
    small = {name: value * 0.1 for name, value in params.items() if name != "b"} | {"b": params["b"]}
    known = bound("vanilla", "inf", inputs=1).evaluate(small)
    assert known < 1e-4  # 1 - s² with s near -1
    lost = bound(VANILLA.with_activations({"s": "softplus"}), "inf", states=1, inputs=1).evaluate(small)
    assert lost == pytest.approx(np.abs(small["W"]).sum(axis=1).max(), rel=1e-9)


def test_a_bound_that_needs_the_range_of_softplus() -> None:
    """The candidate is not bounded, so neither is the bound, until the caller bounds state and input."""
    cell = derive.cell("gru").with_activations({"s_tilde": "softplus"})
    assert bound(cell, "inf").expr == oo
    assert bound(cell, "inf").condition == sympy.false
    found = bound(cell, "inf", states=1, inputs=1)
    assert found.expr != oo
    params, _, _ = numbers(cell, B=None)
    rng = np.random.default_rng(0)
    limit = found.evaluate(params)
    for _ in range(200):
        x, s = np.clip(rng.normal(size=2), -1, 1), rng.uniform(-1, 1, size=3)
        actual = derive.step_jacobian(cell).evaluate(params, x, (s,))
        assert np.linalg.norm(actual, np.inf) <= limit


def test_one_that_is_not_monotone(swish: Activation) -> None:
    s, x = derive.State("s"), derive.Input("x")
    W, U, b = derive.affine_parameters()
    cell = Cell("swishing", {s: swish(W @ s.prev + U @ x + b)}, output=s)
    found = bound(cell, "inf")
    assert found.expr == sympy.Rational(11, 10) * found.norms["W"]
    assert found.condition == (11 * found.norms["W"] / 10 < 1)
    assert "the slope of swish is known by its range [-11/10, 11/10] alone" in str(found)
    params, inputs, state = numbers(cell, n=4, B=None, seed=3)
    params["W"] *= 0.9 / np.abs(params["W"]).sum(axis=1).max()
    assert found.holds(params)
    one, other = state, tuple(-v for v in state)
    for x_t in np.repeat(inputs, 20, axis=0):
        before = np.abs(one[0] - other[0]).max()
        _, one = derive.evaluate(cell, params, x_t[None], one)
        _, other = derive.evaluate(cell, params, x_t[None], other)
        assert np.abs(one[0] - other[0]).max() <= before * found.evaluate(params) + 1e-15
