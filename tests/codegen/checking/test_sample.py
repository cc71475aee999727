"""Samples stay away from kinks, and say so when they cannot."""

import numpy as np
import pytest

import derive
from codegen.checking import sample as module
from codegen.checking.gradients import by_complex_step
from codegen.checking.sample import MARGIN, draw
from codegen.errors import CodegenError
from derive import Activated, Previous
from derive.evaluate import step, value
from tests.codegen.unusual_cells import UNUSUAL

RECTIFIED = next(cell for cell in UNUSUAL if cell.name == "rectified")


def test_samples_are_reproducible() -> None:
    a, b, c = draw(derive.cell("lstm"), 0), draw(derive.cell("lstm"), 0), draw(derive.cell("lstm"), 1)
    assert all(np.array_equal(a.parameters[k], b.parameters[k]) for k in a.parameters)
    assert not np.array_equal(a.inputs, c.inputs)


@pytest.mark.parametrize("seed", range(5))
def test_no_argument_of_a_rectifier_is_near_zero(seed: int) -> None:
    sample = draw(RECTIFIED, seed)
    (expr,) = RECTIFIED.equations.values()
    assert isinstance(expr, Activated)
    state, smallest = sample.state, np.inf
    for x in sample.inputs:
        env = {RECTIFIED.symbols[k]: v for k, v in sample.parameters.items()}
        env |= {RECTIFIED.symbols["x"]: x, Previous("s"): state[0]}
        smallest = min(smallest, np.abs(value(expr.argument, env)).min())
        state = (step(RECTIFIED, sample.parameters, x, state)["s"],)
    assert smallest > MARGIN


def test_a_sample_that_cannot_be_had_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MARGIN", 1e9)
    with pytest.raises(CodegenError, match="200 samples all touch a kink"):
        draw(RECTIFIED, 0)


def test_smooth_cells_need_no_second_draw() -> None:
    assert draw(derive.cell("lstm"), 0).distance_to_kinks() == np.inf


def test_complex_step_is_the_derivative() -> None:
    """Against the closed form of one step of a linear loss: ∂⟨w, tanh(a)⟩/∂b = w (1 - tanh²(a))."""
    sample = draw(derive.cell("vanilla"), 0, steps=1, batch=1)
    _, (s,) = sample.values()
    weight = sample.out_weight[0] + sample.state_weight[0]
    expected = (weight * (1 - s**2))[0]
    assert np.allclose(by_complex_step(sample).parameters["b"], expected, rtol=0, atol=1e-15)
