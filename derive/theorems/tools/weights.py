"""Random weight sets, and which of them a published condition certifies.

Entries are uniform on ±a, with one a for all sets: the one at which the published condition certifies about a
quarter (conditions only get worse as weights grow).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy

from derive.bounds.setting import Setting
from derive.bounds.symbols import norm_symbol
from derive.cell import Cell
from derive.symbols import Activated, Linear, Parameter

Array = np.ndarray[Any, Any]
Params = Mapping[str, Array]
UNITS = 8
"""The size of every axis."""
QUARTER = 0.25


@dataclass(frozen=True)
class Published:
    """A published condition that can be put to numbers.

    ``condition`` is in the symbols of norms and of the ``setting``'s upper ends of gates, in the norm that
    the setting is for.  As papers have it, a gate's upper end is φ(‖[W U b]‖): all that it reads,
    at most 1 in size, side by side.
    """

    cell: Cell
    setting: Setting
    condition: Any

    def certifies(self, params: Params) -> Array:
        """For each of a batch of weight sets, every parameter with a leading axis that counts them."""
        env = self._numbers(params)
        symbols = sorted(self.condition.free_symbols, key=str)
        decide = sympy.lambdify(symbols, self.condition, "numpy")
        return np.asarray(decide(*(env[s] for s in symbols)), dtype=bool)

    def _numbers(self, params: Params) -> dict[sympy.Symbol, Array]:
        env = {norm_symbol(name): _norm(p, self.setting.ranges.norm) for name, p in params.items()}
        ranges = self.setting.ranges
        ends = {
            ranges(v).high: v for v in self.cell.equations if isinstance(self.cell.equations[v], Activated)
        }
        for symbol, meaning in ranges.gate_bounds.items():
            if symbol in ends:
                env[symbol] = _upper_end(self.cell.equations[ends[symbol]], params)
            else:
                inside = sorted(meaning.free_symbols, key=str)
                env[symbol] = sympy.lambdify(inside, meaning, "numpy")(*(env[s] for s in inside))
        return env


def _norm(batch: Array, norm: Any) -> Array:
    """The induced norms of matrices (k, n, m); the largest entries of vectors (k, n)."""
    if batch.ndim == 2:
        return np.asarray(np.abs(batch).max(axis=1))
    return np.linalg.norm(batch, 2 if norm == 2 else np.inf, axis=(1, 2))


def _upper_end(gate: Activated, params: Params) -> Array:
    """φ(‖[W U b]‖∞): the rows of all matrices side by side, and the bias."""
    maps = [params[node.map.name] for node in gate.argument.atoms(Linear)]
    added = [params[term.name] for term in sympy.Add.make_args(gate.argument) if isinstance(term, Parameter)]
    rows = sum(np.abs(m).sum(axis=2) for m in maps) + sum(np.abs(b) for b in added)
    return np.asarray(gate.activation.numpy(np.max(rows, axis=1)))


def draw(cell: Cell, sets: int, seed: int) -> dict[str, Array]:
    """Entries uniform on ±1 for every parameter, ``sets`` times."""
    rng = np.random.default_rng(seed)
    shapes = {name: (sets, *(UNITS for _ in axes)) for name, axes in cell.parameters.items()}
    return {name: rng.uniform(-1, 1, shape) for name, shape in shapes.items()}


def scaled(published: Published, unit: Params) -> dict[str, Array]:
    """The weight sets times the number at which the published condition certifies a quarter of them."""
    low, high = 0.0, 4.0
    for _ in range(40):
        middle = (low + high) / 2
        certified = published.certifies({name: middle * p for name, p in unit.items()}).mean()
        low, high = (middle, high) if certified > QUARTER else (low, middle)
    size = round(high, 4)  # not to the last digit: no set is to lie on the very edge of the condition
    return {name: size * p for name, p in unit.items()}


def each(params: Params) -> Iterator[dict[str, Array]]:
    """The weight sets one by one."""
    for k in range(len(next(iter(params.values())))):
        yield {name: p[k] for name, p in params.items()}
