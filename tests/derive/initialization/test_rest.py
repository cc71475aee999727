"""Values at s = x = 0: exact numbers, symbols kept, slopes at kinks, and the refusals."""

import numpy as np
import pytest
import sympy
from hypothesis import given
from sympy import Rational

import derive
from derive import ACTIVATIONS, Cell, DeriveError, Parameter, State, Vector, sigmoid, tanh
from derive.activations import Slope, a
from derive.evaluate import step
from derive.initialization.rest import applied, at_rest, is_uniform
from tests.strategies import cells, numbers

s, W, V = State("s"), Parameter("W", "n", "n"), Parameter("V", "n", "n")


def by_name(cell, biases=None):
    return {q.name: number for q, number in at_rest(derive.cell(cell), biases).items()}


def test_the_lstm_at_rest() -> None:
    found = by_name("lstm", {"b_f": sympy.log(9), "b": 1})
    assert found["f"] == Rational(9, 10)
    assert found["i"] == Rational(1, 2)
    assert found["c_tilde"] == sympy.tanh(1)
    assert found["c"] == sympy.tanh(1) / 2
    assert found["h"] == sympy.tanh(sympy.tanh(1) / 2) / 2


def test_a_bias_may_be_a_symbol() -> None:
    b = sympy.Symbol("b", real=True)
    assert by_name("gru", {"b_z": b})["z"] == 1 / (1 + sympy.exp(-b))


@given(cell=cells())
def test_values_are_those_of_the_evaluator(cell: Cell) -> None:
    """Random weights, everything else zero; what depends on the weights says so."""
    params, inputs, state = numbers(cell, B=None)
    params = {name: p if np.ndim(p) == 2 else 0 * p + 0.3 for name, p in params.items()}
    vectors = {name: Rational(3, 10) for name, axes in cell.parameters.items() if len(axes) == 1}
    known = at_rest(cell, vectors)
    actual = step(cell, params, 0 * inputs[0], [0 * v for v in state])
    for symbol in cell.equations:
        if is_uniform(known[symbol]):
            np.testing.assert_allclose(actual[symbol.name], float(known[symbol]), atol=1e-12)


def test_what_depends_on_a_matrix_is_not_a_number() -> None:
    cell = Cell("nested", {s: tanh(V @ sigmoid(W @ s.prev))}, output=s)
    (value,) = (at_rest(cell)[q] for q in cell.equations)
    assert not is_uniform(value)


@pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=str)
def test_slopes(activation) -> None:
    """φ' where it exists, on both sides alike; at a kink the steeper side's, never above γ."""
    slope = Slope(activation.name)
    kinks = [float(k) for k in activation.kinks]
    for at in {0, 1, *activation.kinks}:
        found = float(applied(slope, sympy.sympify(at)))
        f = sympy.lambdify(a, activation.formula, "numpy")
        ahead = (f(float(at) + 1e-6) - f(float(at))) / 1e-6
        behind = (f(float(at)) - f(float(at) - 1e-6)) / 1e-6
        if float(at) in kinks:
            assert found == float(activation.lipschitz) == pytest.approx(max(ahead, behind), abs=1e-5)
        else:
            assert found == pytest.approx(ahead, abs=1e-5)
            assert found == pytest.approx(behind, abs=1e-5)
        assert found <= activation.lipschitz


def test_only_vectors_have_values() -> None:
    with pytest.raises(DeriveError, match=r"lstm has no bias 'W_f'.*It has: b_i, b_o, b_f, b"):
        at_rest(derive.cell("lstm"), {"W_f": 0})
    with pytest.raises(DeriveError, match="no bias 'b_g'; did you mean"):
        at_rest(derive.cell("lstm"), {"b_g": 0})


def test_gains_stay_symbols_unless_given() -> None:
    p, g = Parameter("p", "n"), Vector("g")
    cell = Cell("gain", {g: p * sigmoid(W @ s.prev), s: g * s.prev}, output=s)
    assert at_rest(cell)[g] == p / 2
    assert at_rest(cell, {"p": 3})[g] == Rational(3, 2)
