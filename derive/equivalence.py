"""Are two cells the same function, up to renaming and reparameterization?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from types import MappingProxyType
from typing import Any

import numpy as np
import sympy

from derive.anatomy import states
from derive.catalogue import cell as catalogued
from derive.cell import Cell
from derive.colours import Roots, matchings
from derive.errors import DeriveError
from derive.evaluate import evaluate, value
from derive.normal import normal_form
from derive.reparameterize import Reduced, orientations, reduce
from derive.symbols import Parameter, Previous, Quantity

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Equivalence:
    """The answer of :func:`equivalent`; truthy when the cells are the same function.

    ``parameters``: for each parameter of the first cell, an expression in the second cell's parameters; with
    it the first cell computes what the second does.  ``states``: the first cell's state names → the second's.
    ``axes``: those of the first cell's parameters.  ``witness``: numbers on which the cells differ when
    parameters of the same name and axes are given the same values.  Falsy without a
    witness means undecided: no map was found, and no difference either.
    """

    equal: bool
    reason: str
    parameters: Mapping[str, sympy.Expr] = field(default_factory=lambda: _NOTHING)
    states: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    witness: Mapping[str, Any] | None = None
    axes: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NOTHING)

    def __bool__(self) -> bool:
        return self.equal

    def map_parameters(self, values: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
        """The first cell's parameters from the second's, as NumPy arrays."""
        env = {p: np.asarray(values[p.name]) for e in self.parameters.values() for p in e.atoms(Parameter)}
        sizes = {axis: k for p, v in env.items() for axis, k in zip(p.axes, v.shape, strict=True)}
        # a bias that was merged into another is zero
        zeros = {
            name: np.zeros([sizes[a] for a in axes])
            for name, axes in self.axes.items()
            if self.parameters[name] == 0
        }
        return {name: zeros[name] if name in zeros else value(e, env) for name, e in self.parameters.items()}


def equivalent(a: Cell | str, b: Cell | str) -> Equivalence:
    """Whether two cells are the same up to renaming, merged biases, signs and mirrored gates (z = 1 - i).

    The map that is found is checked twice: the normal forms are equal as expressions, and both cells evaluate
    alike on random numbers.
    """
    return _equivalent(catalogued(a), catalogued(b))


@lru_cache(maxsize=1024)
def reduced(cell: Cell) -> Reduced:
    """The cell's normal form with biases merged and signs taken out."""
    parameters = tuple(q for name in cell.parameters if isinstance(q := cell.symbols[name], Parameter))
    return reduce(normal_form(cell).roots, parameters)


@lru_cache(maxsize=1024)
def _equivalent(a: Cell, b: Cell) -> Equivalence:
    if len(a.states) != len(b.states):
        return _different(a, b, f"{len(a.states)} states and {len(b.states)} states")
    if bool(a.output) != bool(b.output):
        return _different(a, b, "one has an output, the other has none")
    past_a, past_b = (tuple(s.prev for s in states(c)) for c in (a, b))
    form_a = reduced(a)
    for form_b in orientations(reduced(b)):
        for renaming in matchings(form_a.roots, past_a, form_b.roots, past_b):
            if _same(form_a.roots, past_a, form_b.roots, past_b, renaming):
                found = _answer(a, form_a, form_b, renaming)
                _confirm(a, b, found)
                return found
    return _different(a, b, "no renaming or reparameterization makes their normal forms equal")


def _same(
    a: Roots,
    past_a: tuple[Previous, ...],
    b: Roots,
    past_b: tuple[Previous, ...],
    renaming: Mapping[Quantity, Quantity],
) -> bool:
    target = dict(zip(past_b, b, strict=False))
    if any(p not in renaming for p in past_a):
        return False
    renamed = [None if r is None else r.xreplace(dict(renaming)) for r in a]
    in_order = [target[renaming[p]] for p in past_a]
    return renamed == [*in_order, b[-1]]


def _answer(a: Cell, form_a: Reduced, form_b: Reduced, renaming: Mapping[Quantity, Quantity]) -> Equivalence:
    through = {q: form_b.new[renaming[q]] for q in form_a.new if q in renaming}
    parameters = {p.name: e.xreplace(through) for p, e in form_a.own.items()}
    renamed = {s.name: renaming[s.prev].label for s in states(a)}
    return Equivalence(
        True, "equal normal forms", MappingProxyType(parameters), MappingProxyType(renamed), axes=a.parameters
    )


def _sizes(*cells: Cell) -> dict[str, int]:
    names = {axis for c in cells for axes in c.parameters.values() for axis in axes}
    names |= {axis for c in cells for q in c.symbols.values() for axis in q.axes}
    return {axis: 3 + k for k, axis in enumerate(sorted(names, reverse=True))}


def _draw(cell: Cell, sizes: Mapping[str, int], seed: int) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(seed)
    shared = {
        name: rng.normal(size=[sizes[x] for x in axes]) for name, axes in sorted(cell.parameters.items())
    }
    return shared


def _inputs(cell: Cell, sizes: Mapping[str, int], seed: int) -> np.ndarray[Any, Any]:
    features = [sizes[x] for name in cell.inputs for x in cell.axes(name)]
    return np.random.default_rng(seed).normal(size=(3, *(features or [0])))


def _zeros(cell: Cell, sizes: Mapping[str, int]) -> tuple[np.ndarray[Any, Any], ...]:
    return tuple(np.zeros([sizes[x] for x in s.axes]) for s in states(cell))


def _confirm(a: Cell, b: Cell, found: Equivalence) -> None:
    """A second voice: both cells, evaluated with the map, must agree."""
    sizes = _sizes(a, b)
    params_b = _draw(b, sizes, 0)
    params_a = found.map_parameters(params_b)
    start = dict(zip(b.states, _start(b, sizes, 1), strict=True))
    with np.errstate(all="ignore"):
        out_a, state_a = evaluate(
            a, params_a, _inputs(a, sizes, 1), tuple(start[found.states[n]] for n in a.states)
        )
        out_b, state_b = evaluate(b, params_b, _inputs(b, sizes, 1), tuple(start[n] for n in b.states))
    by_name = dict(zip(b.states, state_b, strict=True))
    pairs = [(out_a, out_b), *((s, by_name[found.states[n]]) for n, s in zip(a.states, state_a, strict=True))]
    for left, right in pairs:
        if not np.allclose(left, right, rtol=1e-8, atol=1e-8, equal_nan=True):
            raise DeriveError(
                f"{a.name} and {b.name}: equal normal forms but different values; this is a fault of derive"
            )


def _different(a: Cell, b: Cell, reason: str) -> Equivalence:
    for seed, from_zero in product(range(4), (True, False)):
        witness = _witness(a, b, seed, from_zero)
        if witness is not None:
            return Equivalence(False, reason, witness=MappingProxyType(witness))
    return Equivalence(False, f"{reason}; no numbers were found on which they differ")


def _witness(a: Cell, b: Cell, seed: int, from_zero: bool) -> dict[str, Any] | None:
    """Numbers on which the outputs differ, or for cells without output the final states.

    ``parameters``, ``inputs`` and ``states`` are what :func:`~derive.evaluate.evaluate` takes, for each cell;
    ``values`` what it gives.
    """
    sizes = _sizes(a, b)
    params_a, params_b = _draw(a, sizes, seed), _draw(b, sizes, seed + 100)
    params_b |= {k: v for k, v in params_a.items() if b.parameters.get(k) == a.parameters[k]}
    inputs = _inputs(a, sizes, seed), _inputs(b, sizes, seed)
    start = tuple(_zeros(c, sizes) if from_zero else _start(c, sizes, seed) for c in (a, b))
    with np.errstate(all="ignore"):
        runs = [evaluate(*run) for run in zip((a, b), (params_a, params_b), inputs, start, strict=True)]
    outputs = bool(a.output and b.output)
    shown = tuple(out if outputs else np.stack(state) for out, state in runs)
    alike = shown[0].shape == shown[1].shape
    if alike and np.allclose(shown[0], shown[1], rtol=1e-6, atol=1e-6, equal_nan=True):
        return None
    return {
        "parameters": (params_a, params_b),
        "inputs": inputs,
        "states": start,
        "values": shown,
        "difference": float(np.nanmax(np.abs(shown[0] - shown[1]))) if alike else None,
    }


def _start(cell: Cell, sizes: Mapping[str, int], seed: int) -> tuple[np.ndarray[Any, Any], ...]:
    """A state to start from, the same for states of the same place."""
    rng = np.random.default_rng(seed + 200)
    return tuple(rng.uniform(-1, 1, size=[sizes[x] for x in cell.axes(s)]) for s in cell.states)
