"""No bound is below what is reached: random cells and weights, and a climb over states and inputs.

The climb starts in corners, on faces and inside of the box, and goes on from the best point with smaller and
smaller steps.  One or two units leave a bound the least slack: in one unit a norm is an absolute value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

import derive
from derive import Cell, Parameter, Previous, State, Vector, mean, relu, sigmoid, softsign, tanh
from derive.bounds import Bound
from derive.calculus import step_jacobian
from derive.calculus.jacobian import environment
from tests.strategies import cells, gated_cells

Array = np.ndarray[Any, Any]
Point = tuple[Array, tuple[Array, ...]]

NORMS = (2, "inf")
LIMITS = (0.5, 1.0, 2.0)
ANYWHERE = 3.0
"""How far states and inputs go here that a bound does not limit."""
MAXIMUM = 1e-3
"""How far numerical suprema may lie above the true ones, relative to the larger of them and 1: each by 1e-4,
and a row nests a few."""


@dataclass
class Place:
    """A cell with weights, and what its bound speaks of."""

    bound: Bound
    params: dict[str, Array]
    size: dict[str, int]

    def __post_init__(self) -> None:
        self.cell = self.bound.cell
        self.intervals = self.bound.weighted(self.params).intervals
        past = [Previous(s, *self.cell.axes(s)) for s in self.cell.states]
        self.open = {
            self.bound.states[q.label]: self._for_weights(q) for q in past if q.label in self.bound.states
        }
        self.box = [self._ends(q) for q in past]
        self.inputs = [self._ends(self.cell.symbols[x]) for x in self.cell.inputs]

    def _for_weights(self, quantity: Any) -> tuple[Array, Array]:
        found = self.intervals.box.get(quantity)
        wide = np.full(self.size[quantity.axes[0]], ANYWHERE)
        return (-wide, wide) if found is None else (found.low, found.high)

    def _ends(self, quantity: Any) -> tuple[Array, Array]:
        """The box that the bound for weights speaks of, as far as the symbolic one speaks of it too."""
        low, high = self._for_weights(quantity)
        stated = self.bound.setting.ranges.box.get(quantity)
        if stated is None or quantity.label in self.bound.states:
            return low, high
        return np.maximum(low, self._number(stated.low)), np.minimum(high, self._number(stated.high))

    def _number(self, expr: sympy.Expr) -> float:
        """An expression at the norms of these weights and, where nothing bounds a state, at its box."""
        order = 2 if self.bound.norm == 2 else np.inf
        values = {
            symbol: np.linalg.norm(self.params[name], order if self.params[name].ndim == 2 else np.inf)
            for name, symbol in self.bound.norms.items()
        }
        values |= {sympy.Symbol(axis, positive=True): size for axis, size in self.size.items()}
        values |= {symbol: max(abs(low).max(), abs(high).max()) for symbol, (low, high) in self.open.items()}
        numbers = {symbol: sympy.Float(float(value)) for symbol, value in values.items()}
        return float(self.bound.setting.put_in(expr).xreplace(numbers))

    def norm_at(self, point: Point) -> float:
        """The norm of the Jacobian; every vector of the step must lie in its interval."""
        env = environment(self.cell, self.params, *point)
        for symbol in self.cell.equations:
            interval, tiny = self.intervals(symbol), 1e-9 * (1 + abs(env[symbol]))
            assert (env[symbol] >= interval.low - tiny).all(), symbol
            assert (env[symbol] <= interval.high + tiny).all(), symbol
        blocks = step_jacobian(self.cell).blocks
        stacked = np.block([[block.at(env) for block in row] for row in blocks])
        return float(np.linalg.norm(stacked, 2 if self.bound.norm == 2 else np.inf))

    def climb(self, rng: np.random.Generator, evaluations: int = 40) -> float:
        """The largest norm that was found."""
        best, where = 0.0, self._start(rng)
        for k in range(evaluations):
            early = k < evaluations // 2
            point = (
                self._start(rng) if early else self._near(where, 0.3 * 0.85 ** (k - evaluations // 2), rng)
            )
            if (found := self.norm_at(point)) >= best:
                best, where = found, point
        return best

    def _start(self, rng: np.random.Generator) -> Point:
        corner = rng.choice([0.0, 0.6, 1.0])  # how many of the numbers are at an end of their interval

        def drawn(ends: tuple[Array, Array]) -> Array:
            low, high = ends
            side = np.where(rng.random(len(low)) < 0.5, low, high)
            return np.where(rng.random(len(low)) < corner, side, rng.uniform(low, high))

        return self._input([drawn(e) for e in self.inputs]), tuple(drawn(e) for e in self.box)

    def _near(self, point: Point, scale: float, rng: np.random.Generator) -> Point:
        def moved(at: Array, ends: tuple[Array, Array]) -> Array:
            return np.clip(at + scale * rng.normal(size=at.shape), *ends)

        x, state = point
        moving = [moved(x, e) for e in self.inputs]
        return self._input(moving), tuple(moved(s, e) for s, e in zip(state, self.box, strict=True))

    def _input(self, found: list[Array]) -> Array:
        return found[0] if found else np.zeros(0)

    def symbolic(self) -> float:
        """The bound for all weights of these norms."""
        return self._number(self.bound.expr)


def weights(cell: Cell, size: dict[str, int], rng: np.random.Generator) -> dict[str, Array]:
    """Gaussian, signs, or orthogonal; each parameter of its own scale."""
    kind, scale = rng.choice(["gaussian", "signs", "orthogonal"]), rng.choice([0.3, 1.0, 3.0])
    params = {}
    for name, axes in cell.parameters.items():
        shape = tuple(size[a] for a in axes)
        drawn = rng.normal(size=shape)
        if kind == "signs":
            drawn = np.sign(drawn)
        if kind == "orthogonal" and len(shape) == 2:
            square = np.linalg.qr(rng.normal(size=(max(shape), max(shape))))[0]
            drawn = square[: shape[0], : shape[1]]
        params[name] = drawn * scale * rng.choice([0.1, 0.5, 1.0, 2.0])
    return params


def places(cell: Cell, rng: np.random.Generator, norms: Sequence[Any] = NORMS) -> Iterator[Place]:
    """One set of weights and one box, for each norm."""
    size = {axis: int(rng.integers(1, 4)) for q in cell.symbols.values() for axis in q.axes}
    params = weights(cell, size, rng)
    states: Any = None
    kind = rng.choice(["invariant", "all", "some"])
    if kind == "all":
        states = float(rng.choice(LIMITS))
    elif kind == "some":
        states = {s: float(rng.choice(LIMITS)) for s in cell.states if rng.random() < 0.6}
    inputs = None if rng.random() < 0.2 else float(rng.choice([0.0, *LIMITS]))
    for norm in norms:
        yield Place(derive.bound(cell, norm, states=states, inputs=inputs), params, size)


def attacked(cell: Cell, seed: int, norms: Sequence[Any] = NORMS) -> None:
    rng = np.random.default_rng(seed)
    for place in places(cell, rng, norms):
        reached = place.climb(rng)
        for_weights = place.bound.evaluate(place.params)
        assert reached <= for_weights * (1 + 1e-9) + 1e-9
        symbolic = place.symbolic()
        assert reached <= symbolic * (1 + 1e-9) + 1e-9
        if not place.bound.states:
            assert for_weights <= symbolic * (1 + MAXIMUM) + MAXIMUM
        if rng.random() < 0.2:
            rigorous = place.bound.evaluate(place.params, rigorous=True)
            assert reached <= rigorous
            assert rigorous >= for_weights * (1 - MAXIMUM) - MAXIMUM


@settings(max_examples=4)
@given(cell=gated_cells(), norm=st.sampled_from(NORMS), seed=st.integers(0, 10**6))
def test_gated_cells(cell: Cell, norm: Any, seed: int) -> None:
    attacked(cell, seed, (norm,))


@pytest.mark.slow
@settings(max_examples=4)
@given(cell=cells(), norm=st.sampled_from(NORMS), seed=st.integers(0, 10**6))
def test_any_cells(cell: Cell, norm: Any, seed: int) -> None:
    attacked(cell, seed, (norm,))


@pytest.mark.parametrize("name", derive.catalogue())
def test_the_catalogue(name: str) -> None:
    attacked(derive.cell(name), seed=3)


s, h, c = State("s"), State("h"), State("c")
W, V, b = Parameter("W", "n", "n"), Parameter("V", "n", "n"), Parameter("b", "n")
o, v = Vector("o"), Vector("v")
UNUSUAL = [
    Cell("relu", {s: relu(W @ s.prev + b)}),
    Cell("softsign-gate", {o: sigmoid(V @ s.prev), s: o * s.prev + (1 - o) * softsign(W @ s.prev)}),
    Cell("centred", {s: tanh(W @ (s.prev - mean(s.prev)) + b)}),
    Cell("squares", {v: tanh(W @ s.prev), s: v**2 - v * s.prev / 2}),
    Cell("two-states", {c: c.prev * sigmoid(W @ h.prev) + tanh(V @ (h.prev * c.prev)), h: tanh(c) ** 3}),
    Cell(
        "differences", {o: sigmoid(V @ s.prev), v: tanh(W @ (s.prev * o)), s: (1 - 2 * o) * (v - s.prev) / 2}
    ),
]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("cell", UNUSUAL, ids=lambda cell: cell.name)
def test_unusual_cells(cell: Cell, seed: int) -> None:
    attacked(cell, seed)


def test_the_climb_finds_what_is_there() -> None:
    """In one unit, vanilla: |1 - s²| |w| is |w| at 0, and the bound is attained."""
    place = Place(
        derive.bound("vanilla", "inf"),
        {"W": np.array([[1.7]]), "U": np.eye(1), "b": np.zeros(1)},
        {"n": 1, "m": 1},
    )
    reached = place.climb(np.random.default_rng(0), 200)
    assert reached == pytest.approx(1.7, rel=1e-3)
    assert reached <= place.bound.evaluate(place.params) <= 1.7 * (1 + 1e-9)


@pytest.mark.parametrize("norm", NORMS)
def test_a_bound_that_is_too_small_is_found_out(norm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound of the vanilla cell less 2 percent."""
    exact = Bound.evaluate
    monkeypatch.setattr(Bound, "evaluate", lambda self, *a, **k: 0.98 * exact(self, *a, **k))
    place = Place(
        derive.bound("vanilla", norm),
        {"W": np.array([[1.7]]), "U": np.eye(1), "b": np.zeros(1)},
        {"n": 1, "m": 1},
    )
    assert place.climb(np.random.default_rng(0), 200) > place.bound.evaluate(place.params)
