"""Interval arithmetic over a step: whatever the states and inputs in the box, the values are inside."""

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from sympy import Rational

import derive
from derive import Cell, Input, Parameter, State, Vector, relu, sigmoid, tanh, variance
from derive.bounds.arithmetic import Arithmetic, Balls, Floats
from derive.bounds.boxes import axis_sizes, step_intervals
from derive.bounds.intervals import Interval, Intervals
from derive.calculus.jacobian import environment
from derive.evaluate import value
from derive.symbols import Activated, Linear
from tests.strategies import cells, gated_cells, numbers

s, h, x = State("s"), State("h"), Input("x")
W, U, b, d = Parameter("W", "n", "n"), Parameter("U", "n", "m"), Parameter("b", "n"), Parameter("d", "n")
z, y = Vector("z"), Vector("y")
BOTH = [Floats(), Balls()]


def floats(numbers: Arithmetic, found: Interval) -> tuple[np.ndarray, np.ndarray]:
    """The ends, in float64."""
    return -numbers.above(-found.low), numbers.above(found.high)


def close(found: object, expected: object) -> None:
    """Equal but for the last place, which balls round outward."""
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)  # type: ignore[call-overload]


def nodes(cell: Cell) -> list[sympy.Expr]:
    """All vectors, and what is opaque in them."""
    expressions = cell.equations.values()
    inner = {n for e in expressions for n in sympy.preorder_traversal(e) if isinstance(n, Linear | Activated)}
    return [*cell.equations, *sorted(inner, key=str)]


def enclosed(cell: Cell, arithmetic: Arithmetic, limits: tuple[float, float], seed: int) -> None:
    params, _, _ = numbers(cell, n=3, m=2, B=None, seed=seed)
    states, inputs = limits
    found = step_intervals(cell, params, arithmetic, states, inputs)
    rng = np.random.default_rng(seed)
    for trial in range(12):
        corner = (lambda v: np.sign(v)) if trial % 2 else (lambda v: v)
        state = tuple(states * corner(rng.uniform(-1, 1, 3)) for _ in cell.states)
        size = 2 if cell.inputs else 0
        env = environment(cell, params, inputs * corner(rng.uniform(-1, 1, size)), state)
        for node in nodes(cell):
            low, high = floats(arithmetic, found(node))
            at = value(node, env)
            room = 1e-12 * np.maximum(np.abs(at), 1)
            assert (at >= low - room).all(), node
            assert (at <= high + room).all(), node


@given(cells())
@settings(max_examples=25)
def test_values_are_inside_in_floats(cell: Cell) -> None:
    enclosed(cell, Floats(), (1.5, 2.0), seed=0)


@given(gated_cells())
@settings(max_examples=6)
def test_values_are_inside_in_balls(cell: Cell) -> None:
    enclosed(cell, Balls(), (1.0, 2.0), seed=1)


@given(cells())
@settings(max_examples=8)
def test_balls_are_the_floats_and_their_rounding(cell: Cell) -> None:
    params, _, _ = numbers(cell, n=3, m=2, B=None)
    ball = step_intervals(cell, params, Balls(), 1.0, 2.0)
    plain = step_intervals(cell, params, Floats(), 1.0, 2.0)
    for node in nodes(cell):
        for found, known in zip(
            floats(Balls(), ball(node)), (plain(node).low, plain(node).high), strict=True
        ):
            close(found, known)


def intervals(
    numbers: Arithmetic, low: list[float], high: list[float], cell: Cell | None = None, **params: object
) -> Intervals:
    cell = cell or derive.cell("vanilla")
    box = {s.prev: Interval(numbers.array(low), numbers.array(high))}
    return Intervals(cell, numbers, params, box, {"n": len(low), "m": 1})


@pytest.mark.parametrize("numbers", BOTH, ids=lambda n: n.name)
@pytest.mark.parametrize(
    ("expr", "low", "high"),
    [
        (s.prev + 1, [0, 2], [3, 4]),
        (-2 * s.prev, [-4, -6], [2, -2]),
        (s.prev**2, [0, 0], [4, 9]),  # [1, 3]² is [1, 9]: the lower end is not needed
        (s.prev**3, [-4, 1], [8, 27]),  # by multiplication: -1 · 4
        (relu(s.prev), [0, 1], [2, 3]),
        (derive.mean(s.prev), [0, 0], [2.5, 2.5]),
        (1 / sympy.sqrt(variance(s.prev) + 4), None, [0.5, 0.5]),
        ((s.prev**2 + 8) ** Rational(1, 3), [2, 2], [12 ** (1 / 3), 17 ** (1 / 3)]),
        (1 / (s.prev**2 + 4), [1 / 8, 1 / 13], [1 / 4, 1 / 4]),
        (sympy.sqrt(s.prev), [-np.inf, -np.inf], [np.inf, np.inf]),  # below 0 in the first unit
    ],
)
def test_by_hand(numbers: Arithmetic, expr: sympy.Expr, low: list[float] | None, high: list[float]) -> None:
    found = intervals(numbers, [-1.0, 1.0], [2.0, 3.0])
    below, above = floats(numbers, found(expr))
    if low is not None:
        close(below, low)
    close(above, high)


@pytest.mark.parametrize("numbers", BOTH, ids=lambda n: n.name)
def test_a_matrix_and_infinite_ends(numbers: Arithmetic) -> None:
    """An infinite end counts where its weight is not 0, with the sign of the weight."""
    matrix = np.array([[1.0, -2.0], [0.0, 1.0], [-1.0, 0.0], [0.0, 0.0]])
    square = np.zeros((4, 4))
    square[:, :2] = matrix
    found = intervals(numbers, [-1.0, 0.0, 0.0, 0.0], [np.inf, 3.0, 0.0, 0.0], W=square)
    low, high = floats(numbers, found(W @ s.prev))
    close(low, [-7, 0, -np.inf, 0])
    close(high, [np.inf, 3, 1, 0])


@pytest.mark.parametrize("numbers", BOTH, ids=lambda n: n.name)
def test_activations_of_half_lines(numbers: Arithmetic) -> None:
    found = intervals(numbers, [-np.inf, 0.0], [0.0, np.inf])
    low, high = floats(numbers, found(sigmoid(s.prev)))
    close((low, high), ([0, 0.5], [0.5, 1]))
    low, high = floats(numbers, found(relu(s.prev)))
    close((low, high), ([0, 0], [0, np.inf]))


@pytest.mark.parametrize("numbers", BOTH, ids=lambda n: n.name)
def test_zero_times_infinity(numbers: Arithmetic) -> None:
    found = intervals(numbers, [-np.inf], [np.inf], b=np.zeros(1), W=np.zeros((1, 1)))
    for expr in (b * s.prev, W @ s.prev):
        close(floats(numbers, found(expr)), ([0], [0]))


def test_normalization_of_what_may_be_anything() -> None:
    for numbers_ in BOTH:
        found = intervals(numbers_, [-np.inf, -1.0], [np.inf, 1.0])
        low, high = floats(numbers_, found(1 / sympy.sqrt(variance(s.prev) + 1)))
        assert (low >= -np.inf).all()
        assert (low <= 0).all()
        close(high, [1, 1])


def test_nearly_zero_times_infinity_in_balls() -> None:
    """tanh(b) + tanh(d) is a ball around 0 for d = -b: it is not known to be 0, and s may be anything."""
    cell = Cell("near", {z: tanh(b) + tanh(d), y: tanh(W @ (z * s.prev)), s: s.prev + y})
    params = {"b": np.array([0.3]), "d": np.array([-0.3]), "W": np.eye(1)}
    found = step_intervals(cell, params, Balls())
    close(floats(Balls(), found(z * s.prev)), ([-np.inf], [np.inf]))
    close(floats(Balls(), found(y)), ([-1], [1]))


def test_activations_of_another_range(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends that are no floats are enclosed: 1/10 is not below its ball."""
    a = derive.activations.a
    small = derive.activations.Definition(
        latex="t",
        formula=sympy.tanh(a) / 10,
        numpy=lambda v: np.tanh(v) / 10,
        torch="t({})",
        range=sympy.Interval.open(-Rational(1, 10), Rational(1, 10)),
        derivative=None,
        lipschitz=Rational(1, 10),
        monotone=True,
    )
    monkeypatch.setitem(derive.activations._DEFINITIONS, "small", small)
    found = intervals(Balls(), [-np.inf], [np.inf])(derive.Activation("small")(s.prev))
    assert (found.high[0] * 10 - 1).contains(0)
    assert found.high[0].rad() > 0


def test_sizes() -> None:
    cell = derive.cell("lstm")
    params, _, _ = numbers(cell, n=5, m=4, B=None)
    assert axis_sizes(cell, params) == {"n": 5, "m": 4}
