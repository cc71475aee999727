"""Runs and their Jacobians against the reference evaluator, by complex step."""

from __future__ import annotations

import numpy as np
import pytest

import derive
from codegen.diagnostics.trajectory import step_matrix, trajectory
from derive import Cell
from derive.calculus import step_jacobian
from tests.codegen.unusual_cells import UNUSUAL
from tests.derive.calculus.perturbed import error, of_a_run
from tests.strategies import numbers

CATALOGUE = [derive.cell(name) for name in derive.catalogue()]


@pytest.mark.parametrize("cell", [*CATALOGUE, *UNUSUAL], ids=lambda cell: cell.name)
def test_a_trajectory_is_what_the_evaluator_runs_through(cell: Cell) -> None:
    params, inputs, state = numbers(cell, n=4, m=3, T=5, B=None)
    run = trajectory(cell, params, inputs, state)
    outputs, last = derive.evaluate(cell, params, inputs, state)
    assert len(run) == 5
    for name, expected in zip(cell.states, last, strict=True):
        np.testing.assert_array_equal(run[-1][cell.symbols[name]], expected)
    if cell.output is not None:
        np.testing.assert_array_equal([env[cell.symbols[cell.output]] for env in run], outputs)


@pytest.mark.parametrize("cell", CATALOGUE, ids=lambda cell: cell.name)
def test_step_matrices_are_derivatives_of_the_evaluator(cell: Cell) -> None:
    params, inputs, state = numbers(cell, n=5, m=3, T=3, B=None)
    for x, env in zip(inputs, trajectory(cell, params, inputs, state), strict=True):
        past = tuple(env[s.prev] for s in derive.anatomy.states(cell))
        assert error(step_matrix(cell, env), of_a_run(cell, params, x[None], past)) < 1e-13


@pytest.mark.parametrize("cell", UNUSUAL, ids=lambda cell: cell.name)
def test_step_matrices_of_unusual_cells_are_the_symbolic_jacobian(cell: Cell) -> None:
    """Means, roots, shared matrices, other axes, coefficients that are numbers."""
    params, inputs, state = numbers(cell, n=5, m=3, T=3, B=None)
    for env in trajectory(cell, params, inputs, state):
        assert error(step_matrix(cell, env), step_jacobian(cell).at(env)) < 1e-14
