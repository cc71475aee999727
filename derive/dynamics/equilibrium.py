"""Fixed points in numbers: Newton's method with the symbolic Jacobian, proved by Krawczyk's test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from derive.calculus.blocks import step_jacobian
from derive.catalogue import cell as catalogued
from derive.cell import Cell
from derive.dynamics.verify import Verified, verify
from derive.errors import DeriveError, EvaluationError
from derive.evaluate import check_shapes, step

Array = np.ndarray[Any, Any]
State = tuple[Array, ...]

RUN, ITERATIONS, TOLERANCE = 2000, 100, 1e-12


class NoEquilibrium(DeriveError):
    """No fixed point was found; the message says what was tried and how near it came."""


@dataclass(frozen=True)
class Equilibrium:
    """A fixed point found in float64.  :meth:`verify` proves it.

    ``state`` is in ``cell.states`` order; ``residual`` is the largest entry of F(s) - s; ``jacobian`` is
    ∂F/∂s there, all states stacked (N, N); ``eigenvalues`` are its, by falling absolute value.
    """

    cell: Cell
    params: Mapping[str, Any]
    inputs: Array
    state: State
    residual: float
    jacobian: Array
    eigenvalues: Array

    @property
    def stable(self) -> bool:
        """Whether small perturbations die out, by float64's eigenvalues."""
        return bool(np.all(np.abs(self.eigenvalues) < 1))

    def verify(self) -> Verified:
        """Existence, uniqueness nearby and the eigenvalues, rounding included (needs python-flint)."""
        return verify(self.cell, self.params, self.inputs, self.state)

    def __str__(self) -> str:
        radius = float(np.max(np.abs(self.eigenvalues), initial=0.0))
        kind = "stable" if self.stable else "unstable"
        values = zip(self.cell.states, self.state, strict=True)
        where = ", ".join(f"{name} = {np.array2string(v, precision=6)}" for name, v in values)
        numbers = f"|λ| ≤ {radius:.6g}, residual {self.residual:.1e}"
        return f"{self.cell.name}: {kind} equilibrium at {where} ({numbers})"


def equilibrium(
    cell: Cell | str, params: Mapping[str, Any], inputs: Any, guess: Sequence[Any] | None = None
) -> Equilibrium:
    """A fixed point s = F(s, x) under the constant input ``inputs`` (m,), unbatched.

    Newton's method from ``guess`` (a tuple of (n,) in ``cell.states`` order), each step shortened until it
    helps; without a guess from where a run of 2000 steps from zero ends, then from zero.  Raises
    :class:`NoEquilibrium` with the residual reached, and :class:`~derive.errors.EvaluationError` on misshapen
    numbers.

    >>> import numpy as np
    >>> from derive.dynamics import equilibrium
    >>> found = equilibrium("vanilla", {"W": [[2.0]], "U": [[0.0]], "b": [0.1]}, [0.0])
    >>> print(found.stable, np.round(found.state, 3))
    True [[0.966]]
    """
    subject = catalogued(cell)
    x = np.asarray(inputs, dtype=np.float64)
    if x.ndim != 1:
        raise EvaluationError(f"{subject.name}: the input of one step has shape {x.shape}, expected (m,)")
    starts = _starts(subject, params, x, guess)
    tried = []
    for name, start in starts.items():
        state, residual = _newton(subject, params, x, start)
        if residual <= TOLERANCE * (1 + max(float(np.max(np.abs(v), initial=0.0)) for v in state)):
            jacobian = step_jacobian(subject).evaluate(params, x, state)
            eigenvalues = np.linalg.eigvals(jacobian)
            order = np.argsort(-np.abs(eigenvalues))
            return Equilibrium(subject, params, x, state, residual, jacobian, eigenvalues[order])
        tried.append(f"from {name}: residual {residual:.3g}")
    raise NoEquilibrium(
        f"{subject.name}: no fixed point found in {ITERATIONS} Newton steps ({'; '.join(tried)}); "
        "pass another guess=, a tuple of states near one, if you know that there is one"
    )


def _starts(cell: Cell, params: Mapping[str, Any], x: Array, guess: Sequence[Any] | None) -> dict[str, State]:
    if guess is not None:
        if not isinstance(guess, tuple | list) or len(guess) != len(cell.states):
            raise EvaluationError(f"{cell.name}: expected the guess as a tuple of {cell.states}")
        given = tuple(np.asarray(v, dtype=np.float64) for v in guess)
        check_shapes(cell, params, x[None], given)
        return {"the guess": given}
    sizes = check_shapes(cell, params, x[None])
    zero = tuple(np.zeros([sizes[a] for a in cell.axes(s)]) for s in cell.states)
    state = zero
    for _ in range(RUN):
        after = _advance(cell, params, x, state)
        if not all(np.isfinite(v).all() for v in after):
            break
        state = after
    return {f"a run of {RUN} steps": state, "zero": zero}


def _advance(cell: Cell, params: Mapping[str, Any], x: Array, state: State) -> State:
    vectors = step(cell, params, x, state)
    return tuple(vectors[s] for s in cell.states)


def _newton(cell: Cell, params: Mapping[str, Any], x: Array, state: State) -> tuple[State, float]:
    """Damped Newton on F(s) - s: the state with the least residual, and that residual."""
    shapes = [v.shape for v in state]
    cuts = np.cumsum([v.size for v in state])[:-1]

    def shaped(flat: Array) -> State:
        return tuple(part.reshape(shape) for part, shape in zip(np.split(flat, cuts), shapes, strict=True))

    def gap(flat: Array) -> Array:
        return np.concatenate([v.ravel() for v in _advance(cell, params, x, shaped(flat))]) - flat

    jacobian = step_jacobian(cell)
    at = np.concatenate([v.ravel() for v in state])
    left = gap(at)
    for _ in range(ITERATIONS):
        if float(np.max(np.abs(left), initial=0.0)) == 0:
            break
        slope = jacobian.evaluate(params, x, shaped(at)) - np.eye(len(at))
        direction = np.linalg.lstsq(slope, -left, rcond=None)[0]  # singular at a fold
        for halving in range(30):
            nearer = at + direction / 2**halving
            rest = gap(nearer)
            if np.isfinite(rest).all() and np.max(np.abs(rest)) < np.max(np.abs(left)):
                break
        else:
            break
        at, left = nearer, rest
    return shaped(at), float(np.max(np.abs(left), initial=0.0))
