"""Sensitivities ∂s_t/∂θ carried forward in time: real-time recurrent learning from the symbolic Jacobian.

Backpropagation through time keeps the past; real-time recurrent learning keeps what the parameters did to the
state (Williams and Zipser, 1989, "A learning algorithm for continually running fully recurrent neural
networks"; overview in Williams and Zipser, 1995, "Gradient-based learning algorithms for recurrent networks
and their computational complexity"):

    S_t = J_t S_{t-1} + ∂⁺s_t/∂θ        do_t/dθ = ∂o_t/∂s_{t-1} S_{t-1} + ∂⁺o_t/∂θ

with J_t = ∂s_t/∂s_{t-1}, and ∂⁺ the derivative within the step, past states held fixed.  Every factor comes
from :func:`derive.jacobian`.  The gradient is that of backpropagation without truncation, known at every
step.  Its price: with n units and n² weights, O(n³) numbers and O(n⁴) operations a step and row, however long
the past; so it is for small n.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import prod
from typing import Any

import numpy as np

from derive.calculus.jacobian import Array
from derive.catalogue import cell as catalogued
from derive.cell import Cell
from derive.errors import DeriveError, EvaluationError
from derive.evaluate import check_shapes
from derive.learning.differential import Differential, Moment
from derive.symbols import STATE_AXIS


class Sensitivities:
    """A run of ``batch`` independent rows, and the derivatives of its state by every parameter.

    Subgrouping (Zipser, 1989, "A subgrouping strategy that reduces complexity and speeds up learning in
    recurrent networks") parts the n units into ``groups`` runs of neighbours, of nearly equal sizes.  An
    entry of a parameter belongs to the unit that it feeds, its first index.  The sensitivities of units in
    other groups are taken as zero and never computed, so S needs J within groups only: O(n³/groups) numbers
    and O(n⁴/groups²) operations, besides the O(n³) of J.  ``groups=1`` is exact.  The derivatives of the
    output within its step stay whole, across groups too: all that is lacking is lacking in S_{t-1}.

    Args:
        cell: a cell with an output, or the name of one in the catalogue.
        params: the value of every parameter by name.
        batch: the number of rows B.
        groups: the number of subgroups, 1 … n.
        state: the state before the first step, a tuple of (B, n) in ``cell.states`` order, which no
            parameter influences; zeros if None.

    Raises:
        EvaluationError: parameters or states are missing or misshapen.
        DeriveError: the cell has no output; ``groups`` is not in 1 … n; or subgroups are asked of a cell that
            has a state of other axes than n, or a parameter that feeds another axis.

    >>> import numpy as np
    >>> from derive.learning import Sensitivities
    >>> run = Sensitivities("vanilla", {"W": [[0.5]], "U": [[1.0]], "b": [0.0]})
    >>> for x in (0.3, 0.2):
    ...     output = run.step([[x]])
    >>> {name: round(g.item(), 4) for name, g in run.gradient(np.ones((1, 1))).items()}
    {'W': 0.2591, 'U': 0.3, 'b': 1.2964}
    """

    state: tuple[Array, ...]

    def __init__(
        self,
        cell: Cell | str,
        params: Mapping[str, Any],
        batch: int = 1,
        groups: int = 1,
        state: Sequence[Any] | None = None,
    ) -> None:
        self.cell, self.batch = catalogued(cell), batch
        if self.cell.output is None:
            raise DeriveError(
                f"{self.cell.name} has no output for a loss to depend on; "
                f"expected one, as in cell.replace(output={self.cell.states[0]!r})"
            )
        self._sizes = sizes = _sizes(self.cell, params, batch, state)
        zeros = [np.zeros((batch, *(sizes[a] for a in self.cell.axes(s)))) for s in self.cell.states]
        self.state = tuple(np.array(s, dtype=np.float64) for s in (zeros if state is None else state))
        self.params = params
        self._groups = [_Group(self.cell, sizes, units) for units in _subgroups(self.cell, sizes, groups)]
        self._carried = [np.zeros((batch, *group.shape)) for group in self._groups]
        self._last: _Last | None = None

    @property
    def params(self) -> Mapping[str, Array]:
        """What the next step computes with.  Assign anew when learning has changed it.

        The sensitivities go on from where they are: Williams and Zipser's approximation, good while changes
        are small.
        """
        return self._params

    @params.setter
    def params(self, params: Mapping[str, Any]) -> None:
        sizes = _sizes(self.cell, params, self.batch, self.state)
        if sizes != self._sizes:
            raise EvaluationError(
                f"{self.cell.name}: parameters for the sizes {sizes} in a run of the sizes {self._sizes}"
            )
        self._params = {name: np.asarray(params[name], dtype=np.float64) for name in self.cell.parameters}

    @property
    def carried(self) -> Array:
        """S_t in one array (B, K), the groups' entries one after the other: to save, and to assign later."""
        return np.concatenate([S.reshape(self.batch, -1) for S in self._carried], axis=1)

    @carried.setter
    def carried(self, packed: Any) -> None:
        packed = np.asarray(packed, dtype=np.float64)
        sizes = [prod(group.shape) for group in self._groups]
        if packed.shape != (self.batch, sum(sizes)):
            raise EvaluationError(
                f"{self.cell.name}: sensitivities of shape {packed.shape}, "
                f"expected {(self.batch, sum(sizes))}, as of a run of the same sizes and groups"
            )
        parts = np.split(packed, np.cumsum(sizes)[:-1], axis=1)
        self._carried = [
            part.reshape(self.batch, *group.shape) for part, group in zip(parts, self._groups, strict=True)
        ]

    def step(self, x: Any) -> Array:
        """Go on by one step with the input (B, m), any (B, k) for a cell without input: the output (B, n).

        Raises :class:`~derive.errors.EvaluationError` on a misshapen input.
        """
        x = np.asarray(x, dtype=np.float64)
        if x.ndim != 2 or len(x) != self.batch:
            raise EvaluationError(
                f"{self.cell.name}: the input has shape {x.shape}, expected ({self.batch}, m)"
            )
        moment = Moment(self.cell, self.params, x, self.state)
        shown = str(self.cell.output)
        found = {of: moment.differential(of) for of in {*self.cell.states, shown}}
        output = moment.vectors[shown]
        self._last = _Last(found[shown], output.shape, self._carried)
        J = np.concatenate([found[s].by_states for s in self.cell.states], axis=1)
        self._carried = [
            group.advanced(S, J, found) for group, S in zip(self._groups, self._carried, strict=True)
        ]
        self.state = tuple(moment.vectors[s] for s in self.cell.states)
        return output

    def gradient(self, d_output: Any) -> dict[str, Array]:
        """What the last step adds to the gradient of a loss: Σ over rows of dL/do_t · do_t/dθ, by name.

        ``d_output`` is dL/do_t, of the output's shape.  Summed over the steps this is the gradient of a loss
        that is a sum over the steps.  Raises :class:`~derive.errors.EvaluationError` on a misshapen
        ``d_output``, and :class:`~derive.errors.DeriveError` before the first step.
        """
        if self._last is None:
            raise DeriveError(f"{self.cell.name}: gradient(…) before any step; expected step(x) first")
        d = np.asarray(d_output, dtype=np.float64)
        if d.shape != self._last.shape:
            raise EvaluationError(
                f"{self.cell.name}: d_output has shape {d.shape}, expected the output's, {self._last.shape}"
            )
        d, output = d.reshape(self.batch, -1), self._last.output
        total = {name: np.zeros(np.shape(value)) for name, value in self.params.items()}
        for name, outers in output.by_parameter.items():
            for outer in outers:
                total[name] += outer.pulled_back(d).reshape(total[name].shape)
        by_states = np.einsum("zf,zfn->zn", d, output.by_states)
        for group, S in zip(self._groups, self._last.before, strict=True):
            group.add_gradient(total, by_states, S)
        return total


@dataclass(frozen=True)
class _Last:
    """What the gradient of a step needs: the output's derivatives and shape, and S_{t-1} by groups."""

    output: Differential
    shape: tuple[int, ...]
    before: list[Array]


class _Group:
    """A subgroup of units: which rows and columns of S are its own.

    Attributes:
        units: the units, as a slice of a flattened state and of a parameter's first axis.
        rows: their places among all states, flattened and stacked.
        states: the rows of S by state.
        columns: the columns of S by parameter.
    """

    def __init__(self, cell: Cell, sizes: Mapping[str, int], units: slice) -> None:
        def count(axes: Sequence[str]) -> int:
            return prod(sizes[axis] for axis in axes)

        stack = _consecutive({s: count(cell.axes(s)) for s in cell.states})
        places = {s: np.arange(place.start, place.stop)[units] for s, place in stack.items()}
        self.units = units
        self.rows = np.concatenate(list(places.values()))
        self.states = _consecutive({s: len(own) for s, own in places.items()})
        self.columns = _consecutive(
            {
                name: len(range(sizes[to])[units]) * count(rest)
                for name, (to, *rest) in cell.parameters.items()
            }
        )

    @property
    def shape(self) -> tuple[int, int]:
        """That of S for one row."""
        return len(self.rows), max((place.stop for place in self.columns.values()), default=0)

    def advanced(self, S: Array, J: Array, step: Mapping[str, Differential]) -> Array:
        """S_t from S_{t-1}: J within the group, and what the parameters do within the step."""
        after = J[:, self.rows[:, None], self.rows] @ S
        for state, row in self.states.items():
            for name, column in self.columns.items():
                own = after[:, row, column]
                for outer in step[state].by_parameter[name]:
                    own += outer.entries(self.units).reshape(own.shape)
        return after

    def add_gradient(self, total: Mapping[str, Array], by_states: Array, S: Array) -> None:
        """Add dL/ds_{t-1} · S_{t-1}, summed over rows, to the entries of the group's parameters."""
        through = np.einsum("zn,znp->p", by_states[:, self.rows], S)
        for name, column in self.columns.items():
            own = total[name][self.units]
            own += through[column].reshape(own.shape)


def _consecutive(lengths: Mapping[str, int]) -> dict[str, slice]:
    """Slices of these lengths, one after the other."""
    ends = accumulate(lengths.values(), initial=0)
    return {name: slice(*pair) for name, pair in zip(lengths, pairwise(ends), strict=True)}


def _sizes(cell: Cell, params: Mapping[str, Any], batch: int, state: Sequence[Any] | None) -> dict[str, int]:
    """The size of every axis by parameters and state alone, which are checked: no input was seen yet."""
    if not isinstance(batch, int) or batch < 1:
        raise EvaluationError(f"{cell.name}: batch is {batch!r}; expected a number of rows, 1 or more")
    if state is not None and (not isinstance(state, tuple | list) or len(state) != len(cell.states)):
        raise EvaluationError(f"{cell.name}: expected the state as a tuple of {cell.states}")
    past = [np.asarray(s) for s in state or ()]
    shapes = [(axes, np.shape(params.get(name, ()))) for name, axes in cell.parameters.items()]
    shapes += [(cell.axes(s), v.shape[1:]) for s, v in zip(cell.states, past, strict=False)]
    known = {axis: size for axes, shape in shapes for axis, size in zip(axes, shape, strict=False)}
    unsized = sorted({axis for s in cell.states for axis in cell.axes(s)} - set(known))
    missing = set(cell.parameters) - set(params)  # which check_shapes reports
    if unsized and not missing:
        problem = f"no parameter has the axis {unsized[0]}; pass a state to give its size"
        raise EvaluationError(f"{cell.name}: {problem}")
    features = known.get(cell.axes(cell.inputs[0])[0], 0) if cell.inputs else 0
    return check_shapes(cell, params, np.zeros((1, batch, features)), past or None)


def _subgroups(cell: Cell, sizes: Mapping[str, int], groups: int) -> list[slice]:
    """Runs of units of nearly equal lengths."""
    if not isinstance(groups, int) or groups < 1:
        raise DeriveError(f"{cell.name}: groups is {groups!r}; expected a whole number, 1 (exact) or more")
    if groups == 1:
        return [slice(None)]
    for name in (*cell.states, *cell.parameters):
        axes = cell.axes(name)
        if axes[0] != STATE_AXIS or (name in cell.states and len(axes) > 1):
            raise DeriveError(
                f"{cell.name}: {name} has the axes ({', '.join(axes)}) and so no place in a subgroup; "
                f"expected states ({STATE_AXIS}) and parameters ({STATE_AXIS}, …), or groups=1"
            )
    n = sizes[STATE_AXIS]
    if groups > n:
        raise DeriveError(f"{cell.name}: {groups} groups of {n} units; expected from 1 (exact) to {n}")
    return [slice(k * n // groups, (k + 1) * n // groups) for k in range(groups)]
