"""Parameters at which a rule changes nothing, and a comparison of the cells before and after it."""

from __future__ import annotations

import numpy as np

from derive import Cell, Step, Vector, evaluate
from derive.symbols import Parameter, atoms
from tests.strategies import numbers

Arrays = dict[str, np.ndarray]
N, M = 3, 2
OPEN = 60.0
"""A bias at which a logistic sigmoid of moderate arguments is 1 to the last digit, and a hard one is 1."""


def drawn(cell: Cell, seed: int = 0, n: int = N) -> Arrays:
    return numbers(cell, n=n, m=M, seed=seed)[0]


def extended(step: Step, params: Arrays) -> Arrays:
    """The old parameters, with zeros for the new ones; what the new cell lost is left out."""
    sizes = {"n": N, "m": M}
    zeros = {p: np.zeros([sizes[a] for a in axes]) for p, axes in step.after.parameters.items()}
    return {p: params.get(p, zero) for p, zero in zeros.items()}


def opened(cell: Cell, gate: str, params: Arrays) -> Arrays | None:
    """The parameters with a gate at 1, or None where it has no bias: its matrices 0, its bias large."""
    own = {p.name for p in atoms(cell.equations[Vector(gate)]) if isinstance(p, Parameter)}
    if not own & set(cell.biases):
        return None
    return params | {p: np.zeros_like(params[p]) + (OPEN if p in cell.biases else 0.0) for p in own}


def new_vectors(step: Step) -> list[str]:
    return [v.name for v in step.after.equations if v not in step.before.equations]


def assert_same(
    before: Cell,
    after: Cell,
    params: tuple[Arrays, Arrays],
    *,
    states: dict[str, np.ndarray] | None = None,
    T: int = 4,
    n: int = N,
) -> None:
    """Both cells, run from the same states on the same inputs, give the same outputs and common states."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(T, M))
    start = {s: rng.uniform(-0.9, 0.9, n) for s in sorted({*before.states, *after.states})} | (states or {})
    runs = [
        evaluate(cell, p, x, tuple(start[s] for s in cell.states))
        for cell, p in zip((before, after), params, strict=True)
    ]
    (out, final), (out2, final2) = runs
    if before.output is not None and after.output is not None:
        np.testing.assert_allclose(out2, out, rtol=1e-9, atol=1e-9)
    ends = [dict(zip(c.states, f, strict=True)) for c, f in ((before, final), (after, final2))]
    common = ends[0].keys() & ends[1].keys()
    assert common
    for s in sorted(common):
        np.testing.assert_allclose(ends[1][s], ends[0][s], rtol=1e-9, atol=1e-9)


def moves(step: Step, params: tuple[Arrays, Arrays]) -> bool:
    """Whether the rule changes something at these parameters, as it should at most."""
    try:
        assert_same(step.before, step.after, params)
    except AssertionError:
        return True
    return False
