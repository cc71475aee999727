"""Trials: how many random weight sets each condition certifies, and attacks on what is certified."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from derive.bounds import Bound
from derive.bounds.norms import radius_below_one
from derive.bounds.stability import Stability
from derive.bounds.weighted import WeightedBounds
from derive.theorems.theorem import Attack, Comparison
from derive.theorems.tools.attacks import judged
from derive.theorems.tools.weights import Array, Params, Published, draw, each, scaled

Engine = Bound | Stability
Norm = tuple[float, dict[str, Array]]
"""ρ and d: every step contracts by ρ < 1 in the norm max |vᵢ|/dᵢ, d by state name."""
Reach = Callable[[WeightedBounds, Norm, Params, np.random.Generator], float]
"""The largest ratio of what an attack reaches to what the certificate allows."""
MOST_DRAWN, PILOTS, HALVINGS = 8, 5, 5


@dataclass(frozen=True)
class Trial:
    """A published condition against the engine's, for the cell that ``subject`` speaks of.

    ``published`` states the condition in the symbols of what ``subject`` gives.
    """

    subject: Callable[[], Any]
    published: Callable[[Any], Any]
    reach: Reach

    def compare(self, samples: int = 3000, seed: int = 0) -> Comparison:
        """Count what each certifies, of ``samples`` sets of which the published condition takes a quarter."""
        start, engine = time.perf_counter(), self.subject()
        closed = Published(engine.cell, engine.setting, engine.condition_in_gates)
        theirs = Published(engine.cell, engine.setting, self.published(engine))
        params = scaled(theirs, draw(engine.cell, samples, seed))
        found, in_norms = theirs.certifies(params), closed.certifies(params)
        ours = np.array([norm is not None for _, norm in _certified(engine, params)])
        lost = found & ~(in_norms & ours)
        took = time.perf_counter() - start
        counts = [int(k.sum()) for k in (found, in_norms, ours, lost)]
        return Comparison(samples, counts[0], counts[1], counts[2], counts[3], took)

    def attack(self, sets: int = 300, seed: int = 0) -> Attack:
        """Attack ``sets`` certified sets, of a size at which the engine certifies about half."""
        start, engine, rng = time.perf_counter(), self.subject(), np.random.default_rng(seed + 1)
        theirs = Published(engine.cell, engine.setting, self.published(engine))
        pool = scaled(theirs, draw(engine.cell, MOST_DRAWN * sets, seed))
        size = self._edge(engine, {name: p[:PILOTS] for name, p in pool.items()})
        drawn = _certified(engine, {name: size * p for name, p in pool.items()})
        chosen = islice(((p, norm) for p, norm in drawn if norm is not None), sets)
        ratios = [self.reach(engine.weighted(p), norm, p, rng) for p, norm in chosen]
        return judged(ratios, time.perf_counter() - start)

    def _edge(self, engine: Engine, pilots: Params) -> float:
        """What to multiply the weights with, so that the engine certifies about half."""
        low, high = 1.0, 4.0
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            trial = _certified(engine, {name: middle * p for name, p in pilots.items()})
            certified = np.mean([norm is not None for _, norm in trial])
            low, high = (middle, high) if certified > 0.5 else (low, middle)
        return low


def _certified(engine: Engine, params: Params) -> Iterator[tuple[Params, Norm | None]]:
    """Each weight set, and the norm in which the engine proves that a step contracts, if it does."""
    for one in each(params):
        yield one, contracting(engine.weighted(one), two=engine.norm == 2)


def contracting(found: WeightedBounds, *, two: bool = False) -> Norm | None:
    """A norm in which every step contracts: what ``holds`` decides.

    In the 2-norm, ρ is the spectral radius of the block norms and d is 1.
    """
    if not two:
        return found.contracts()
    blocks = found.block_norms()
    if not radius_below_one(blocks):
        return None
    ones = {s: np.ones(found.intervals.sizes[found.cell.axes(s)[0]]) for s in found.cell.states}
    return float(np.abs(np.linalg.eigvals(blocks)).max()), ones
