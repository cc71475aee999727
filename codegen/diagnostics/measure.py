"""``measure``: Jacobians, gates and states along a run, beside what is proved of them.

The Jacobian's norm along the lags is what decides whether a gradient vanishes or explodes (Bengio, Simard
and Frasconi, "Learning long-term dependencies with gradient descent is difficult", IEEE Transactions on
Neural Networks 5, 1994; Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural
networks", ICML 2013, eq. 5-7).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codegen.diagnostics.bounds import Bounds, exceeds, find_bounds
from codegen.diagnostics.sensitivity import check_lags, matrix_norm, window_products
from codegen.diagnostics.trajectory import Environment, step_matrix, trajectory
from codegen.errors import CodegenError
from derive.anatomy import gates, states
from derive.bounds.symbols import read_norm
from derive.cell import Cell
from derive.errors import EvaluationError
from derive.evaluate import check_shapes
from derive.show.text import typeset
from derive.symbols import Quantity

Array = np.ndarray[Any, Any]

SHUT, OPEN = 0.05, 0.95
"""Below and above which a gate counts as saturated."""


@dataclass(frozen=True, eq=False)
class Measurements:
    """What was found along B runs of T steps.

    Attributes:
        sensitivities: lag k → ‖∂s_{t+k}/∂s_t‖ of windows of k steps side by side, shape (⌊T / k⌋, B); all
            states stacked.  Lag 1 is always there.
        saturation: gate → the shares of its values below 0.05 and above 0.95, over units, steps and runs.
        state_norms: ‖s_t‖₂/√N after each step, (T, B): the root mean square over the N units of all states.
        state_max: state → the largest |s| after a step.
        bounds: what is proved at these weights, in the same norm as `sensitivities`.
    """

    sensitivities: Mapping[int, Array]
    saturation: Mapping[str, tuple[float, float]]
    state_norms: Array
    state_max: Mapping[str, float]
    bounds: Bounds

    def as_dict(self) -> dict[str, float]:
        """Numbers by name, for a log; what nothing bounds is infinite."""
        numbers = {
            "bound": self.bounds.certified,
            "rate": self.bounds.rate,
            "bound_visited": self.bounds.visited,
            "jacobian_mean": self.sensitivities[1].mean(),
            "jacobian_max": self.sensitivities[1].max(),
            "state_norm": self.state_norms.mean(),
            "state_max": max(self.state_max.values()),
        }
        for lag, norms in self.sensitivities.items():
            numbers |= {f"sensitivity_{lag}": norms.mean(), f"sensitivity_max_{lag}": norms.max()}
        for gate, (low, high) in self.saturation.items():
            numbers |= {f"saturation_low_{gate}": low, f"saturation_high_{gate}": high}
        return {name: float(number) for name, number in numbers.items()}


def measure(
    cell: Cell,
    params: Mapping[str, Any],
    inputs: Any,
    *,
    state: Sequence[Any] | None = None,
    limits: float | Array | None = None,
    norm: Any = 2,
    lags: Iterable[int] | None = None,
) -> Measurements:
    """Run a cell in float64 and measure every step.

    Args:
        params: arrays by their names in the equations.
        inputs: (T, B, m), time first; a cell without input looks at T and B alone.
        state: where the runs begin, a tuple in `cell.states` order of (B, n), best one that a run from zero
            has reached; zeros if None.
        limits: of |x|, a number or (m,): the inputs that `bounds` is certified for.  By default the largest
            among `inputs`, unit by unit.
        norm: 2 (spectral) or "inf", of Jacobians and their bounds alike.
        lags: the numbers of steps k, from 1 to T; by default 1, 2, 4, … 32, as far as T reaches.

    Raises:
        BrokenBound: a measured number is above one that is proved.
        ConfigError: a lag that is not from 1 to T.
        CodegenError: an input, or the initial state, is outside what the bounds speak of.
        EvaluationError: numbers that do not fit the cell.
        DeriveError: another norm.
    """
    xs = np.asarray(inputs, dtype=np.float64)
    if xs.ndim != 3 or 0 in xs.shape[:2]:
        raise EvaluationError(f"{cell.name}: inputs have shape {xs.shape}, expected (T, B, m), T and B ≥ 1")
    kind, chosen = read_norm(norm), check_lags(lags, len(xs))
    weights = {name: np.asarray(value, dtype=np.float64) for name, value in params.items()}
    start = _initial(cell, weights, xs, state)
    with np.errstate(over="ignore", invalid="ignore"):  # a state that overflows is a finding, not a fault
        runs = [
            trajectory(cell, weights, xs[:, row], tuple(s[row] for s in start)) for row in range(xs.shape[1])
        ]
        sensitivities = _sensitivities(cell, runs, chosen, kind)
        found = Measurements(
            sensitivities,
            _saturation(cell, runs),
            _state_norms(cell, runs),
            {s.name: _peak(_values(runs, s)) for s in states(cell)},
            _bounds(cell, weights, runs, xs, limits, kind),
        )
    found.bounds.check(cell, float(sensitivities[1].max()), found.state_max)
    return found


def _initial(
    cell: Cell, params: Mapping[str, Array], inputs: Array, state: Sequence[Any] | None
) -> tuple[Array, ...]:
    """The state that was given, or zeros; EvaluationError where numbers do not fit."""
    given = None if state is None else tuple(np.asarray(s, dtype=np.float64) for s in state)
    if given is not None and len(given) != len(cell.states):
        raise EvaluationError(f"{cell.name}: {len(given)} states given, expected (B, n) of {cell.states}")
    sizes = check_shapes(cell, params, inputs, given)
    if given is not None:
        return given
    return tuple(np.zeros((inputs.shape[1], *(sizes[a] for a in cell.axes(s)))) for s in cell.states)


def _sensitivities(
    cell: Cell, runs: Sequence[Sequence[Environment]], lags: tuple[int, ...], norm: Any
) -> dict[int, Array]:
    """Lag → norms of the windows' products of Jacobians, (windows, B)."""
    by_lag: dict[int, list[list[float]]] = {lag: [[] for _ in runs] for lag in lags}
    for row, run in enumerate(runs):
        jacobians = (step_matrix(cell, env) for env in run)
        for lag, product in window_products(jacobians, lags):
            by_lag[lag][row].append(matrix_norm(product, norm))
    return {lag: np.array(norms).T for lag, norms in by_lag.items()}


def _saturation(cell: Cell, runs: Sequence[Sequence[Environment]]) -> dict[str, tuple[float, float]]:
    values = {gate.name: _values(runs, gate) for gate in gates(cell)}
    return {name: (float((v < SHUT).mean()), float((v > OPEN).mean())) for name, v in values.items()}


def _state_norms(cell: Cell, runs: Sequence[Sequence[Environment]]) -> Array:
    """The root mean square of all states after each step, (T, B)."""
    stacked = np.concatenate([_values(runs, state) for state in states(cell)], axis=-1)
    return np.asarray(np.sqrt((stacked**2).mean(axis=-1))).T


def _bounds(
    cell: Cell,
    params: Mapping[str, Array],
    runs: Sequence[Sequence[Environment]],
    inputs: Array,
    limits: float | Array | None,
    norm: Any,
) -> Bounds:
    """What is proved; CodegenError where it does not speak of the inputs or of the initial states."""
    largest = np.abs(inputs).max(axis=(0, 1))
    limits = largest if limits is None else limits
    if cell.inputs and (largest > limits).any():
        raise CodegenError(
            f"{cell.name}: an input of {largest.max():.6g} is outside the limits given for it; expected "
            "max |x| over everything that the cell may be given"
        )
    visited = {s.name: np.abs(_values(runs, s.prev)).max(axis=(0, 1)) for s in states(cell)}
    found = find_bounds(cell, params, norm, limits, visited, largest)
    for s in states(cell):
        start = _peak(np.array([run[0][s.prev] for run in runs]))
        if exceeds(start, found.states[s.name]):
            raise CodegenError(
                f"{cell.name}: |{typeset(s.name)}| is {start:.6g} in the initial state, but a run from zero "
                f"stays within {found.states[s.name]:.6g}, and the bounds speak of those alone; "
                "give a state that such a run has reached"
            )
    return found


def _values(runs: Sequence[Sequence[Environment]], quantity: Quantity) -> Array:
    """The values of a quantity along all runs, (B, T, n)."""
    return np.array([[env[quantity] for env in run] for run in runs])


def _peak(values: Array) -> float:
    return float(np.abs(values).max())
