"""Real-time recurrent learning: gradients carried forward, against perturbations and against plain loops."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import derive
from derive import (
    Cell,
    DeriveError,
    EvaluationError,
    Input,
    Parameter,
    State,
    Vector,
    evaluate,
    jacobian,
    mean,
    tanh,
)
from derive.evaluate import step
from derive.learning import Sensitivities
from tests.codegen.unusual_cells import UNUSUAL
from tests.strategies import numbers, smooth_cells

Array = np.ndarray[Any, Any]
Params = dict[str, Array]
States = tuple[Array, ...]

TINY = 1e-30
CATALOGUE = [derive.cell(name) for name in derive.catalogue()]
SHOWN = [cell for cell in UNUSUAL if cell.output is not None]
VARIED = [
    c
    for c in UNUSUAL
    if c.name in ("diagonal-peephole", "shared-matrix", "input-in-output", "layer-normalized")
]

s = State("s")
M, q = State("M", "slots", "width"), Vector("q", "slots", "key")
A, K, B = Parameter("A", "slots", "slots"), Parameter("K", "key", "width"), Parameter("B", "width", "key")
G = Parameter("G", "slots", "width")
MEMORY = Cell(
    "memory",
    {
        q: tanh(K @ (A @ M.prev)),
        M: tanh(G * M.prev) + B @ q - mean(M.prev, "slots") * mean(M.prev, "width") + A @ (M.prev**2),
    },
    output=q,
)


def named(cell: Cell) -> str:
    return cell.name


def draw_weights(shape: tuple[int, ...]) -> Array:
    """dL/do of a loss that weighs every output differently."""
    return np.random.default_rng(5).normal(size=shape)


def forward(
    cell: Cell, params: Params, inputs: Array, state: States, d: Array, groups: int = 1
) -> dict[str, Array]:
    """The gradient of Σ d · o over a run, carried forward."""
    run = Sensitivities(cell, params, inputs.shape[1], groups, state)
    total = {name: np.zeros(value.shape) for name, value in params.items()}
    for x, weights in zip(inputs, d, strict=True):
        run.step(x)
        for name, part in run.gradient(weights).items():
            total[name] += part
    return total


def by_complex_step(
    cell: Cell, params: Params, inputs: Array, state: States, d: Array, name: str, direction: Array
) -> float:
    """The derivative of the same loss as one parameter moves in a direction, from the evaluator."""
    moved = params | {name: params[name] + 1j * TINY * direction}
    outputs, _ = evaluate(cell, moved, inputs, state)
    return float(np.sum(d * outputs.imag)) / TINY


def largest_error(found: dict[str, Array], expected: dict[str, Array]) -> float:
    """The largest difference, relative to the largest entry of all gradients."""
    assert found.keys() == expected.keys()
    scale = max((np.max(np.abs(g), initial=0.0) for g in expected.values()), default=0.0)
    differences = (np.max(np.abs(found[name] - g), initial=0.0) for name, g in expected.items())
    return float(max(differences, default=0.0) / max(scale, 1e-300))


# Exact: the gradient of backpropagation without truncation


def compare_with_complex_step(cell: Cell, seed: int = 0, **sizes: int) -> None:
    """Along random directions, none of which is orthogonal to a fault."""
    params, inputs, state = numbers(cell, seed=seed, **sizes)
    outputs, _ = evaluate(cell, params, inputs, state)
    d = draw_weights(outputs.shape)
    found = forward(cell, params, inputs, state, d)
    rng = np.random.default_rng(seed)
    for name, g in found.items():
        for _ in range(2):
            v = np.asarray(rng.normal(size=g.shape))
            expected = by_complex_step(cell, params, inputs, state, d, name, v)
            assert float(np.sum(g * v)) == pytest.approx(expected, rel=1e-9, abs=1e-12), name


@pytest.mark.parametrize("cell", CATALOGUE, ids=named)
def test_catalogue(cell: Cell) -> None:
    compare_with_complex_step(cell, T=5)


@pytest.mark.parametrize("cell", SHOWN, ids=named)
def test_unusual_cells(cell: Cell) -> None:
    compare_with_complex_step(cell, seed=1)


def test_a_memory_of_slots() -> None:
    """A state of two axes, parameters that act on either and one that acts elementwise on both."""
    compare_with_complex_step(MEMORY, slots=2, width=3, key=4)


@settings(max_examples=8)
@given(cell=smooth_cells(), seed=st.integers(0, 99))
def test_random_cells(cell: Cell, seed: int) -> None:
    assume(cell.output is not None)
    compare_with_complex_step(cell, seed, n=2, T=3)


def test_outputs_are_those_of_the_evaluator() -> None:
    lstm = derive.cell("lstm")
    params, inputs, state = numbers(lstm)
    run = Sensitivities(lstm, params, 2, state=state)
    outputs, last = evaluate(lstm, params, inputs, state)
    np.testing.assert_array_equal([run.step(x) for x in inputs], outputs)
    np.testing.assert_array_equal(run.state, last)


def test_rows_add_up() -> None:
    """The gradient of a batch is the sum of those of its rows."""
    gru = derive.cell("gru")
    params, inputs, state = numbers(gru, B=3)
    d = draw_weights((4, 3, 3))
    whole = forward(gru, params, inputs, state, d)
    rows = [slice(k, k + 1) for k in range(3)]
    parts = [forward(gru, params, inputs[:, r], tuple(s[r] for s in state), d[:, r]) for r in rows]
    assert largest_error(whole, {name: np.sum([p[name] for p in parts], axis=0) for name in params}) < 1e-13


def test_changing_parameters() -> None:
    """While learning changes θ, S is the derivative by a shift of all values that θ had on the way."""
    gru = derive.cell("gru")
    params, inputs, state = numbers(gru, B=1)
    path = [{name: value * (1 + 0.1 * t) for name, value in params.items()} for t in range(len(inputs))]
    run = Sensitivities(gru, params, state=state)
    for x, now in zip(inputs, path, strict=True):
        run.params = now
        run.step(x)
    found = run.gradient(np.ones((1, 3)))["W_z"]

    def shifted(unit: Array) -> float:
        past = state
        for x, now in zip(inputs, path, strict=True):
            vectors = step(gru, now | {"W_z": now["W_z"] + 1j * TINY * unit}, x, past)
            past = (vectors["s"],)
        return float(past[0].imag.sum()) / TINY

    expected = [shifted(unit) for unit in np.eye(9).reshape(-1, 3, 3)]
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-11)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_run_in_two_parts(groups: int) -> None:
    """State and sensitivities are all that a run needs to go on."""
    lstm = derive.cell("lstm")
    params, inputs, state = numbers(lstm)
    whole = Sensitivities(lstm, params, 2, groups, state)
    for x in inputs:
        whole.step(x)
    first = Sensitivities(lstm, params, 2, groups, state)
    for x in inputs[:2]:
        first.step(x)
    second = Sensitivities(lstm, params, 2, groups, first.state)
    second.carried = first.carried
    for x in inputs[2:]:
        second.step(x)
    np.testing.assert_array_equal(second.carried, whole.carried)
    d = np.ones((2, 3))
    for name, g in whole.gradient(d).items():
        np.testing.assert_array_equal(second.gradient(d)[name], g)


# Subgroups


def group_of(unit: int, n: int, groups: int) -> int:
    """Which run of nearly equal length a unit is in."""
    return next(k for k in range(groups) if unit < (k + 1) * n // groups)


def subgrouped_by_loops(
    cell: Cell, params: Params, inputs: Array, state: States, d: Array, groups: int
) -> dict[str, Array]:
    """Zipser's approximation entry by entry for one row: S is whole, and zeroed across groups."""
    n = state[0].size
    own = [group_of(unit, n, groups) for unit in range(n)]
    total = {name: np.zeros(value.shape) for name, value in params.items()}
    S = {(s, name): np.zeros((n, *params[name].shape)) for s in cell.states for name in params}

    def chained(of: str, name: str, now: Any) -> Array:
        """∂of/∂(past states) S + ∂⁺of/∂θ, (size of ``of``, θ's shape)."""
        result = jacobian(cell, of, name).evaluate(params, *now)
        for wrt in cell.states:
            block = jacobian(cell, of, wrt).evaluate(params, *now)
            for i in range(len(result)):
                for k in range(n):
                    result[i] += block[i, k] * S[wrt, name][k]
        return result

    for x, weights in zip(inputs, d, strict=True):
        now = (x, state)
        for name in params:
            do = chained(str(cell.output), name, now)
            for i in range(len(weights)):
                total[name] += weights[i] * do[i]
        S = {pair: chained(*pair, now) for pair in S}
        for entries in S.values():
            for i in range(n):
                for row in range(n):
                    if own[i] != own[row]:
                        entries[i, row] = 0
        vectors = step(cell, params, x, state)
        state = tuple(vectors[s] for s in cell.states)
    return total


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("cell", [derive.cell("lstm"), derive.cell("gru"), *VARIED], ids=named)
def test_subgroups_against_loops(cell: Cell, groups: int) -> None:
    """Three units in groups of unequal sizes, and alone."""
    params, inputs, state = numbers(cell, T=3, B=1)
    outputs, _ = evaluate(cell, params, inputs, state)
    d = draw_weights(outputs.shape)
    expected = subgrouped_by_loops(cell, params, inputs[:, 0], tuple(s[0] for s in state), d[:, 0], groups)
    assert largest_error(forward(cell, params, inputs, state, d, groups), expected) < 1e-12


@pytest.mark.parametrize("cell", [derive.cell("lstm"), derive.cell("vanilla")], ids=named)
def test_subgroups_that_do_not_talk(cell: Cell) -> None:
    """With block-diagonal recurrent matrices, subgroups along the blocks are exact; across them they are
    not."""
    params, inputs, state = numbers(cell, n=6, T=6)
    blocks = np.kron(np.eye(2), np.ones((3, 3)))
    params = {name: v * blocks if v.shape == (6, 6) else v for name, v in params.items()}
    d = draw_weights((6, 2, 6))
    exact = forward(cell, params, inputs, state, d)
    assert largest_error(forward(cell, params, inputs, state, d, groups=2), exact) < 1e-14
    assert largest_error(forward(cell, params, inputs, state, d, groups=3), exact) > 1e-4


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_subgroups_carry_less(groups: int) -> None:
    """Each of 2 · 6 rows of S has its group's share of 4 · (6² + 6 · 2 + 6) parameters."""
    lstm = derive.cell("lstm")
    params, _, _ = numbers(lstm, n=6)
    run = Sensitivities(lstm, params, 3, groups)
    assert run.carried.shape == (3, 12 * 216 // groups)


# Refusals


VANILLA = derive.cell("vanilla")
WEIGHTS, X, _ = numbers(VANILLA, T=1)


def refused(error: type[Exception], *parts: str) -> Any:
    return pytest.raises(error, match=".*".join(map(re.escape, parts)))


def test_a_cell_without_output() -> None:
    with refused(DeriveError, "no output", "cell.replace(output='s')"):
        Sensitivities(UNUSUAL[2], WEIGHTS)


@pytest.mark.parametrize("groups", [0, -1, 1.5, 4])
def test_groups_out_of_range(groups: Any) -> None:
    with refused(DeriveError, str(groups), "expected", "1 (exact)"):
        Sensitivities(VANILLA, WEIGHTS, 2, groups)


def test_subgroups_need_units() -> None:
    other = next(cell for cell in UNUSUAL if cell.name == "other-axes")
    with refused(DeriveError, "has the axes (w, ", "groups=1"):
        Sensitivities(other, numbers(other)[0], groups=2)
    params, _, state = numbers(MEMORY, slots=2, width=3, key=4)
    with refused(DeriveError, "M has the axes (slots, width)", "groups=1"):
        Sensitivities(MEMORY, params, 2, 2, state)


def test_misshapen_numbers() -> None:
    with refused(EvaluationError, "missing parameters ['W']"):
        Sensitivities(VANILLA, {k: v for k, v in WEIGHTS.items() if k != "W"})
    with refused(EvaluationError, "W has shape (2, 3)"):
        Sensitivities(VANILLA, WEIGHTS | {"W": np.ones((2, 3))})
    with refused(EvaluationError, "state s has shape (1, 3)", "(2, n=3)"):
        Sensitivities(VANILLA, WEIGHTS, 2, state=(np.zeros((1, 3)),))
    with refused(EvaluationError, "batch is 0"):
        Sensitivities(VANILLA, WEIGHTS, 0)
    with refused(EvaluationError, "state as a tuple of ('s',)"):
        Sensitivities(VANILLA, WEIGHTS, 2, state=(X[0], X[0]))
    run = Sensitivities(VANILLA, WEIGHTS, 2)
    with refused(EvaluationError, "'m': 5", "'m': 2"):
        run.params = WEIGHTS | {"U": np.ones((3, 5))}
    with refused(EvaluationError, "(2,), expected (2, m)"):
        run.step(np.zeros(2))
    with refused(EvaluationError, "(4, 2)", "(2, m)"):
        run.step(np.zeros((4, 2)))
    with refused(EvaluationError, "x has shape (2, 7)"):
        run.step(np.zeros((2, 7)))
    with refused(DeriveError, "before any step"):
        run.gradient(np.zeros((2, 3)))
    run.step(X[0])
    with refused(EvaluationError, "(3,)", "(2, 3)"):
        run.gradient(np.zeros(3))
    with refused(EvaluationError, "(2, 5)", "(2, 54)"):
        run.carried = np.zeros((2, 5))


def test_an_axis_of_unknown_size() -> None:
    cell = Cell("no-parameters", {s: tanh(s.prev) / 2 + Input("u", "n")}, output=s)
    with refused(EvaluationError, "axis n", "pass a state"):
        Sensitivities(cell, {})
