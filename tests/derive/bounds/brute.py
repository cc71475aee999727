"""Maxima by brute force: corners and random points, then a climb with smaller and smaller steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy

from derive import Cell, Parameter, State, Vector, sigmoid, tanh
from derive.bounds.arithmetic import Arithmetic, Floats
from derive.bounds.intervals import Interval
from derive.bounds.profile import Profile, profile
from derive.bounds.unitwise import unit_supremum
from derive.calculus.polynomials import with_generators

Box = Mapping[sympy.Expr, tuple[float, float]]

W = Parameter("W", "n", "n")
s, c = State("s"), State("c")
z, r, f, y, k = (Vector(name) for name in ("z", "r", "f", "y", "k"))
POOL = Cell(
    "pool",
    {
        z: sigmoid(W @ s.prev),
        r: sigmoid(W @ c.prev),
        f: sigmoid(W @ z),
        y: tanh(W @ r),
        k: tanh(W @ f),
        s: z * s.prev + y * r,
        c: f * c.prev + k,
    },
    states=["s", "c"],
)
"""A cell to take vectors from: three gates, two candidates, two states without a range."""
PLAIN: Box = {
    z: (0.0, 1.0),
    r: (0.0, 1.0),
    f: (0.1, 0.9),
    y: (-1.0, 1.0),
    k: (-0.5, 0.5),
    s.prev: (-1.0, 1.0),
    c.prev: (-2.0, 2.0),
}


@dataclass
class Fixed:
    """Intervals that are given, one unit."""

    box: Box
    numbers: Arithmetic
    tolerance: float = 1e-9

    def __call__(self, node: sympy.Expr) -> Interval:
        return Interval(*(self.numbers.array(np.array([end])) for end in self.box[node]))


def by_parts(
    coefficients: Sequence[sympy.Expr],
    weights: Sequence[float],
    box: Box = PLAIN,
    *,
    squares: Sequence[sympy.Expr] = (),
    cell: Cell = POOL,
    numbers: Arithmetic | None = None,
    tolerance: float = 1e-9,
) -> float:
    """sup Σ wⱼ |aⱼ| + Σ wⱼ aⱼ², as the toolkit finds it."""
    numbers = numbers or Floats()
    found: Profile = profile(cell, coefficients, squares)
    scales = [numbers.array(np.array([w])) for w in weights]
    fixed: Any = Fixed(box, numbers, tolerance)
    return float(numbers.above(unit_supremum(fixed, found, scales, 1))[0])


def by_force(
    coefficients: Sequence[sympy.Expr],
    weights: Sequence[float],
    box: Box = PLAIN,
    *,
    squares: Sequence[sympy.Expr] = (),
    seed: int = 0,
) -> float:
    """The same from the coefficients as they are, signs and all: a value that is reached."""
    terms, meanings = with_generators(sympy.Tuple(*coefficients, *squares))
    symbols = sorted(terms.free_symbols, key=str)
    powers = [1] * len(coefficients) + [2] * len(squares)
    total = sum((w * abs(t) ** p for w, t, p in zip(weights, terms, powers, strict=True)), sympy.S.Zero)
    plain = {q: sympy.Symbol(f"v{j}") for j, q in enumerate(symbols)}
    value = sympy.lambdify(list(plain.values()), total.subs(plain), "numpy")
    ends = np.array([box[meanings.get(q, q)] for q in symbols], dtype=float).reshape(-1, 2)
    return maximum(lambda points: np.broadcast_to(value(*points), points.shape[1:]), ends, seed)


def maximum(value: Callable[[Any], Any], ends: Any, seed: int, starts: int = 96, rounds: int = 36) -> float:
    """The greatest value of a function of (variables, points) that is found within ends (variables, 2)."""
    rng = np.random.default_rng(seed)
    low, high = ends[:, :1], ends[:, 1:]
    if not len(ends):
        return float(np.max(value(np.zeros((0, 1)))))
    points = low + (high - low) * rng.random((len(ends), 16 * starts))
    points[:, ::2] = np.where(rng.random(points[:, ::2].shape) < 0.5, low, high)  # corners
    points[:, 1::4] = np.where(
        rng.random(points[:, 1::4].shape) < 0.4, np.clip(0, low, high), points[:, 1::4]
    )
    order = np.argsort(np.asarray(value(points)))
    best = points[:, np.concatenate([order[-starts // 2 :], order[::32]])]
    top, width = np.asarray(value(best)), 0.5
    for _ in range(rounds):  # each point climbs by itself
        for _ in range(6):
            mask = rng.random(best.shape) < 0.5
            moved = np.clip(best + mask * width * (high - low) * rng.normal(size=best.shape), low, high)
            reached = np.asarray(value(moved))
            best, top = np.where(reached > top, moved, best), np.maximum(reached, top)
        width *= 0.75
    return float(top.max())
