"""Attacks on certified weight sets: what a certificate rules out is looked for, with much effort.

A certificate of contraction says: in the norm max |vᵢ|/dᵢ every step's Jacobian, anywhere in the box of
states and inputs, has a norm of at most ρ < 1.  So Jacobians are made large by hill climbing over the box,
and pairs of runs are driven apart.  A ratio above 1 of what is reached to what is allowed breaks it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from derive.bounds.weighted import WeightedBounds
from derive.cell import Cell
from derive.evaluate import step
from derive.symbols import Previous, Quantity
from derive.theorems.theorem import Attack
from derive.theorems.tools.weights import Array, Params

POINTS, KEPT, ROUNDS, STEPS = 64, 8, 6, 25
ROUNDING = 1e-9
"""What float64 may add to a ratio of 1."""


def judged(ratios: Sequence[float], seconds: float) -> Attack:
    """Count the ratios, of what was reached to what is allowed, that are above 1."""
    found = np.array(ratios)
    return Attack(len(found), int((~(found <= 1 + ROUNDING)).sum()), float(found.max(initial=0.0)), seconds)


def jacobians(cell: Cell, params: Params, x: Array, state: Sequence[Array]) -> Array:
    """∂(states now)/∂(states before), stacked, by complex step: x (p, m), states (p, n) → (p, N, N)."""
    sizes = [s.shape[-1] for s in state]
    total = sum(sizes)
    flat = np.concatenate(state, axis=1)
    moved = flat[:, None, :] + 1e-30j * np.eye(total)
    parts = np.split(moved, np.cumsum(sizes)[:-1], axis=2)
    vectors = step(cell, params, np.broadcast_to(x[:, None, :], (len(x), total, x.shape[1])), parts)
    after = np.concatenate([vectors[s] for s in cell.states], axis=2)
    return np.asarray(np.swapaxes(after.imag / 1e-30, 1, 2))


def contraction(
    found: WeightedBounds, norm: tuple[float, Mapping[str, Array]], params: Params, rng: np.random.Generator
) -> float:
    """The largest of: the norm of a Jacobian, and the growth of a difference in a step, each divided by ρ."""
    rate, by_name = norm
    weights = np.concatenate([by_name[s] for s in found.cell.states])

    def norms(points: Array) -> Array:
        x, state = box.split(points)
        size = np.abs(jacobians(found.cell, params, x, state))
        return np.asarray((size @ weights / weights).max(axis=1))

    box = _Box(found)
    points, values = climbed(box, norms, rng)
    pairs = _pairs(box, params, weights, points[:KEPT], rng)
    return float(max(values.max(), pairs) / rate)


def spectral(
    found: WeightedBounds, norm: tuple[float, Mapping[str, Array]], params: Params, rng: np.random.Generator
) -> float:
    """The largest 2-norm of a Jacobian of one state, divided by its bound."""
    bound = norm[0]
    box = _Box(found)

    def norms(points: Array) -> Array:
        return np.linalg.norm(jacobians(found.cell, params, *box.split(points)), 2, axis=(1, 2))

    return float(climbed(box, norms, rng)[1].max() / bound)


def state_gains(
    found: WeightedBounds, norm: tuple[float, Mapping[str, Array]], params: Params, rng: np.random.Generator
) -> float:
    """|s⁺| ÷ its bound by |s|, |u| and |b|, one step from anywhere in the box, and the end of long runs."""
    cell, box = found.cell, _Box(found)
    rate, by_name = norm
    outer: dict[Quantity, Array] = {
        cell.symbols[x]: np.ones(found.intervals.sizes[cell.axes(x)[0]]) for x in cell.inputs
    }
    outer |= {cell.symbols[b]: np.abs(params[b]) for b in cell.biases}
    gain = max(
        float((g / by_name[s]).max()) for s, g in zip(cell.states, found.row_bounds(outer), strict=True)
    )

    def excess(points: Array) -> Array:
        x, state = box.split(points)
        after = step(cell, params, x, state)
        before = _largest(dict(zip(cell.states, state, strict=True)), by_name)
        return np.asarray(_largest({s: after[s] for s in cell.states}, by_name) / (rate * before + gain))

    worst = climbed(box, excess, rng)[1].max()
    x, state = box.split(box.corners(KEPT, rng))
    allowed = _largest(dict(zip(cell.states, state, strict=True)), by_name)
    for _ in range(8 * STEPS):
        vectors = step(cell, params, np.sign(rng.uniform(-1, 1, x.shape)), state)
        state = [vectors[s] for s in cell.states]
        allowed = rate * allowed + gain
    reached = _largest(dict(zip(cell.states, state, strict=True)), by_name)
    return float(max(worst, (reached / allowed).max()))


def climbed(box: _Box, objective: Callable[[Array], Array], rng: np.random.Generator) -> tuple[Array, Array]:
    """Hill climbing over a box: the best points first, with their values."""
    points = np.concatenate([box.corners(POINTS // 2, rng), box.inside(POINTS // 2, rng)])
    values = objective(points)
    for _ in range(ROUNDS):
        best = np.argsort(-values)[:KEPT]
        points, values = points[best], values[best]
        tried = box.near(np.repeat(points, POINTS // KEPT, axis=0), rng)
        points, values = np.concatenate([points, tried]), np.concatenate([values, objective(tried)])
    order = np.argsort(-values)
    return points[order], values[order]


class _Box:
    """Inputs in [-1, 1] or as bounded, states in their box: points (p, m + N) side by side."""

    def __init__(self, found: WeightedBounds) -> None:
        self.cell, intervals = found.cell, found.intervals
        columns = [self.cell.symbols[x] for x in self.cell.inputs]
        columns += [Previous(s, *self.cell.axes(s)) for s in self.cell.states]
        self.sizes = [intervals.sizes[q.axes[0]] for q in columns]
        self.low = np.concatenate([intervals(q).low for q in columns])
        self.high = np.concatenate([intervals(q).high for q in columns])

    def corners(self, count: int, rng: np.random.Generator) -> Array:
        return np.where(rng.random((count, len(self.low))) < 0.5, self.low, self.high)

    def inside(self, count: int, rng: np.random.Generator) -> Array:
        return rng.uniform(self.low, self.high, (count, len(self.low)))

    def near(self, points: Array, rng: np.random.Generator) -> Array:
        """Some coordinates moved, a few to their ends."""
        moved = points + (self.high - self.low) * rng.normal(0, 0.2, points.shape)
        picked = rng.random(points.shape)
        ends = self.corners(len(points), rng)
        return np.clip(
            np.where(picked < 0.15, ends, np.where(picked < 0.5, moved, points)), self.low, self.high
        )

    def split(self, points: Array) -> tuple[Array, list[Array]]:
        parts = np.split(points, np.cumsum(self.sizes)[:-1], axis=1)
        inputs = len(self.cell.inputs)
        return (parts[0] if inputs else np.zeros((len(points), 0))), parts[inputs:]


def _largest(values: Mapping[str, Array], weights: Mapping[str, Array]) -> Array:
    """max |vᵢ|/dᵢ over all states."""
    return np.max([np.abs(v / weights[s]).max(axis=1) for s, v in values.items()], axis=0)


def _pairs(box: _Box, params: Params, weights: Array, starts: Array, rng: np.random.Generator) -> float:
    """The largest growth of max |Δᵢ|/dᵢ in one step, along pairs of runs with the same corner inputs."""
    x, first = box.split(starts)
    _, second = box.split(box.inside(len(starts), rng))
    worst, cell = 0.0, box.cell
    for _ in range(STEPS):
        before = np.abs(np.concatenate(first, 1) - np.concatenate(second, 1))
        one, two = (step(cell, params, x, list(state)) for state in (first, second))
        first, second = [one[s] for s in cell.states], [two[s] for s in cell.states]
        after = np.abs(np.concatenate(first, 1) - np.concatenate(second, 1))
        sizes = (before / weights).max(axis=1)
        live = sizes > 1e-6  # below that, rounding is all that is left
        if not live.any():
            break
        worst = max(worst, float(((after / weights).max(axis=1)[live] / sizes[live]).max()))
        x = np.sign(rng.uniform(-1, 1, x.shape))
    return worst
