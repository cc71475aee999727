"""The box that a bound for given weights speaks of: given, proved, or solved for from the weights."""

import re

import numpy as np
import pytest
import sympy
from hypothesis import given, settings

import derive
from derive import Cell, Input, Parameter, Previous, State, tanh
from derive.bounds.arithmetic import Arithmetic, Balls, Floats
from derive.bounds.boxes import axis_sizes, named_limits, step_intervals
from derive.bounds.intervals import Intervals
from derive.errors import DeriveError, EvaluationError
from tests.strategies import gated_cells, numbers

LSTM, PROTOTYPE, GRU = (derive.cell(name) for name in ("lstm", "prototype", "gru"))
BOTH = [Floats(), Balls()]


def box_of(cell: Cell, found: Intervals) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The ends of the states' intervals, in float64."""
    above = found.numbers.above
    past = [Previous(s, *cell.axes(s)) for s in cell.states]
    return {q.label: (-above(-found(q).low), above(found(q).high)) for q in past}


def kept(cell: Cell, params: dict[str, np.ndarray], found: Intervals, inputs: float, seed: int = 0) -> None:
    """Steps from corners and from inside do not leave the box."""
    rng = np.random.default_rng(seed)
    box = box_of(cell, found)
    n = len(next(iter(box.values()))[0])
    for trial in range(30):
        state = []
        for name in cell.states:
            low, high = box[name]
            ends = np.where(rng.random(n) < 0.5, low, high)
            state.append(ends if trial % 2 else low + (high - low) * rng.random(n))
        x = inputs * np.sign(rng.normal(size=2 if cell.inputs else 0))
        _, after = derive.evaluate(cell, params, x[None], tuple(state))
        for name, value in zip(cell.states, after, strict=True):
            low, high = box[name]
            assert (low <= value).all()
            assert (value <= high).all()


@pytest.mark.parametrize("arithmetic", BOTH, ids=lambda n: n.name)
@pytest.mark.parametrize("name", ["lstm", "pseudo-lstm", "peephole-lstm", "pseudo-lstm-d13"])
def test_bounded_inputs_give_a_box(name: str, arithmetic: Arithmetic) -> None:
    cell = derive.cell(name)
    params, _, _ = numbers(cell, n=3, m=2, B=None)
    params = {k: 0.2 * v for k, v in params.items()}  # peepholes open the forget gate the more c grows
    found = step_intervals(cell, params, arithmetic, inputs=1.0)
    for low, high in box_of(cell, found).values():
        assert np.isfinite(low).all()
        assert np.isfinite(high).all()
    assert found.inductive == set(cell.states)
    kept(cell, params, found, inputs=1.0)


def test_it_is_solved_tightly() -> None:
    """One unit, f and i settled by biases: |c| ≤ ī c̃̄/(1 - f̄)."""
    params = {k: np.zeros((1, 1)) if len(a) == 2 else np.zeros(1) for k, a in LSTM.parameters.items()}
    params["b_f"], params["b_i"], params["b"] = np.array([1.0]), np.array([-1.0]), np.array([0.5])
    low, high = box_of(LSTM, step_intervals(LSTM, params, Floats()))["c"]
    sigma = 1 / (1 + np.exp(1.0))
    expected = sigma * np.tanh(0.5) / (1 - (1 - sigma))
    assert high[0] == pytest.approx(expected, rel=1e-5)
    assert high[0] >= expected
    assert low[0] == -high[0]


def test_unbounded_inputs_give_none() -> None:
    params, _, _ = numbers(LSTM, n=3, m=2, B=None)
    low, high = box_of(LSTM, step_intervals(LSTM, params, Floats()))["c"]
    assert (low == -np.inf).all()
    assert (high == np.inf).all()
    assert step_intervals(LSTM, params, Floats()).inductive == {"h"}


@pytest.mark.parametrize("arithmetic", BOTH, ids=lambda n: n.name)
def test_the_prototype_adds_without_end(arithmetic: Arithmetic) -> None:
    """Its carry is 1: no box for any weights but those that write nothing."""
    params, _, _ = numbers(PROTOTYPE, n=3, B=None)
    low, high = box_of(PROTOTYPE, step_intervals(PROTOTYPE, params, arithmetic, inputs=1.0))["s"]
    assert np.isinf(low).all()
    assert np.isinf(high).all()


def linear(size: float) -> tuple[Cell, dict[str, np.ndarray]]:
    s, x = State("s"), Input("x")
    W, U = Parameter("W", "n", "n"), Parameter("U", "n", "m")
    cell = Cell("linear", {s: W @ s.prev + tanh(U @ x)})
    return cell, {"W": size * np.array([[0.5, 0.5], [0.5, -0.5]]), "U": np.ones((2, 2))}


def test_small_weights_have_a_box_and_large_ones_none() -> None:
    cell, params = linear(0.5)
    low, high = box_of(cell, step_intervals(cell, params, Floats(), inputs=1.0))["s"]
    np.testing.assert_allclose(high, np.tanh(2) / (1 - 0.5), rtol=1e-4)
    np.testing.assert_array_equal(low, -high)
    cell, params = linear(1.1)
    low, high = box_of(cell, step_intervals(cell, params, Floats(), inputs=1.0))["s"]
    assert (high == np.inf).all()


@given(gated_cells())
@settings(max_examples=20)
def test_random_boxes_are_kept(cell: Cell) -> None:
    params, _, _ = numbers(cell, n=3, m=2, B=None)
    params = {k: 0.5 * v for k, v in params.items()}
    found = step_intervals(cell, params, Floats(), inputs=1.0)
    if all(np.isfinite(end).all() for ends in box_of(cell, found).values() for end in ends):
        kept(cell, params, found, inputs=1.0)


def test_what_is_given_is_taken() -> None:
    params, _, _ = numbers(LSTM, n=3, m=2, B=None)
    found = step_intervals(LSTM, params, Floats(), {"c": np.array([0.0, 1.0, 2.0])}, 1.0)
    np.testing.assert_array_equal(found(State("c").prev).high, [0, 1, 2])
    np.testing.assert_array_equal(found(State("c").prev).low, [0, -1, -2])
    np.testing.assert_array_equal(found(Input("x")).high, [1, 1])
    np.testing.assert_array_equal(found(State("h").prev).high, [1, 1, 1])  # proved
    assert not found.inductive  # a given box may be left


def test_named_limits() -> None:
    assert named_limits(LSTM, None, LSTM.states, "states") == {}
    assert named_limits(LSTM, 2, LSTM.states, "states") == {"h": 2, "c": 2}
    assert named_limits(LSTM, {"c": 1}, LSTM.states, "states") == {"c": 1}
    symbol = sympy.Symbol("c_0", nonnegative=True)
    assert named_limits(LSTM, {"c": symbol}, LSTM.states, "states") == {"c": symbol}


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"cc": 1}, "lstm: states has no 'cc'; did you mean 'c'? There are: h, c"),
        ({"c": -1}, "lstm: states['c'] is -1; expected a bound of |c|, ≥ 0"),
        ({"c": np.array([1.0, np.nan])}, "lstm: states['c'] is [ 1. nan]; expected a bound of |c|, ≥ 0"),
        (-0.5, "lstm: states['h'] is -0.5; expected a bound of |h|, ≥ 0"),
    ],
)
def test_bad_limits(limits: object, message: str) -> None:
    with pytest.raises(DeriveError, match=re.escape(message)):
        named_limits(LSTM, limits, LSTM.states, "states")


def test_bad_parameters() -> None:
    params, _, _ = numbers(GRU, n=3, m=2, B=None)
    with pytest.raises(EvaluationError, match=re.escape("gru: missing parameters ['W_z']; expected")):
        axis_sizes(GRU, {k: v for k, v in params.items() if k != "W_z"})
    with pytest.raises(EvaluationError, match=re.escape("gru: unknown parameters ['Q']; expected")):
        axis_sizes(GRU, {**params, "Q": np.eye(3)})
    with pytest.raises(
        EvaluationError, match=r"gru: \w+ has shape \(3, 4\), expected \(n=3, n=3\)|has shape"
    ):
        axis_sizes(GRU, {**params, "W": np.zeros((3, 4))})
    with pytest.raises(EvaluationError, match=re.escape("gru: b has shape (3, 1), expected (n")):
        axis_sizes(GRU, {**params, "b": np.zeros((3, 1))})


def test_several_axes_are_refused() -> None:
    memory = State("M", "slots", "width")
    cell = Cell("memory", {memory: tanh(Parameter("W", "width", "width") @ memory.prev)})
    with pytest.raises(DeriveError, match=r"memory: .* has axes .*bounds for weights need one axis each"):
        axis_sizes(cell, {"W": np.eye(2)})
