"""The Jacobian over several steps, against complex steps through the whole run."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import derive
from derive import Cell, DeriveError, k_step_jacobian
from derive.calculus.jacobian import environment
from derive.evaluate import step
from tests.codegen.unusual_cells import UNUSUAL
from tests.derive.calculus.perturbed import error, of_a_run
from tests.strategies import numbers, smooth_cells


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("name", derive.catalogue())
def test_numbers_of_a_run(name: str, steps: int) -> None:
    cell = derive.cell(name)
    params, inputs, state = numbers(cell, T=steps, B=None)
    found = k_step_jacobian(name, steps).evaluate(params, inputs, state)
    assert error(found, of_a_run(cell, params, inputs, state)) < 1e-12


@given(cell=smooth_cells(), steps=st.integers(1, 4), seed=st.integers(0, 99))
def test_random_cells(cell: Cell, steps: int, seed: int) -> None:
    params, inputs, state = numbers(cell, T=steps, B=None, seed=seed)
    found = k_step_jacobian(cell, steps).evaluate(params, inputs, state)
    assert error(found, of_a_run(cell, params, inputs, state)) < 1e-9


def test_a_cell_without_input() -> None:
    cell = next(c for c in UNUSUAL if c.name == "no-input")
    params, inputs, state = numbers(cell, T=3, B=None)
    assert inputs.shape == (3, 0)
    found = k_step_jacobian(cell, 3).evaluate(params, inputs, state)
    assert error(found, of_a_run(cell, params, inputs, state)) < 1e-13


@pytest.mark.parametrize(("of", "wrt"), [("h", "h"), ("h", "c"), ("c", "h"), ("c", "c")])
def test_words_add_up_to_the_block(of: str, wrt: str) -> None:
    """Every word of the product, each factor with the values of its own step."""
    lstm = derive.cell("lstm")
    params, inputs, state = numbers(lstm, T=3, B=None)
    product = k_step_jacobian(lstm, 3)
    environments = []
    past = state
    for x in inputs:
        environments.append(environment(lstm, params, x, past))
        vectors = step(lstm, params, x, past)
        past = tuple(vectors[s] for s in lstm.states)
    total = np.zeros((3, 3))
    for words in product.words(of, wrt):
        assert len(words) == 3
        matrices = []
        for word, env in zip(words, reversed(environments), strict=True):
            block = derive.Jacobian(lstm, lstm.symbols["h"], lstm.symbols["h[t-1]"], (word,))
            matrices.append(block.at(env))
        total += matrices[0] @ matrices[1] @ matrices[2]
    row, column = (3 * lstm.states.index(name) for name in (of, wrt))
    expected = product.evaluate(params, inputs, state)[row : row + 3, column : column + 3]
    assert error(total, expected) < 1e-14


def test_text_gives_each_step_its_time() -> None:
    assert (
        k_step_jacobian("vanilla", 2).spelled("s", "s") == "[diag(1 - sₜ²) W]_(t+2) [diag(1 - sₜ²) W]_(t+1)"
    )
    two = k_step_jacobian("lstm", 2).spelled("c", "c").splitlines()
    assert two[-1] == "+ [diag(fₜ)]_(t+2) [diag(fₜ)]_(t+1)"
    assert len(two) == 4  # three ways through h, one through c
    short = k_step_jacobian("gru", 3).spelled("s", "s", most=2)
    assert short.count("\n+ ") == 2
    assert short.endswith("\n+ …")


def test_what_no_step_reads_is_zero() -> None:
    h, c = derive.State("h"), derive.State("c")
    apart = Cell("apart", {h: h.prev / 2, c: derive.tanh(c.prev)})
    assert k_step_jacobian(apart, 2).spelled("h", "c") == "0"


@pytest.mark.parametrize("steps", [0, -1, 1.5, None])
def test_other_numbers_of_steps_are_refused(steps: object) -> None:
    with pytest.raises(DeriveError, match=r"a Jacobian over .* steps; expected a whole number, 1 or more"):
        k_step_jacobian("gru", steps)  # type: ignore[arg-type]


def test_inputs_of_another_length_are_refused() -> None:
    params, inputs, state = numbers(derive.cell("gru"), T=3, B=None)
    with pytest.raises(DeriveError, match="gru: 3 inputs for a Jacobian over 2 steps"):
        k_step_jacobian("gru", 2).evaluate(params, inputs, state)
