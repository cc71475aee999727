"""The written adjoint, run: the interpreter's gradients of everything the loop takes, for every cell."""

import pytest
import torch

from derive import Cell, Input, Parameter, State, tanh
from tests.codegen.writing.steps import CELLS, Steps, assert_same, steps, steps_of

each = pytest.mark.parametrize("name", CELLS)
both = pytest.mark.parametrize("sink", [False, True], ids=["outside", "sunk"])


def arguments(some: Steps, arriving, carried) -> list[torch.Tensor]:
    """What arrives, what the loop took, what it stored."""
    found = some.forward(True, *some.number_of_steps, *some.inputs)
    exported, kept = found[: len(some.loop.exports)], found[len(some.results) :]
    return [*map(torch.tensor, [*arriving, *carried]), *some.inputs, *exported, *kept]


@each
@both
def test_gradients(name: str, sink: bool) -> None:
    some = steps(name, sink=sink)
    arriving, carried = some.random()
    given = arguments(some, arriving, carried)
    before = [value.clone() for value in given]
    found = some.backward([True] * len(some.inputs), *some.number_of_steps, *given)
    assert_same(found, some.gradients(arriving, carried), "gradient of input")
    for value, like in zip(found, some.inputs, strict=True):
        assert value.shape == like.shape
    for value, old in zip(given, before, strict=True):
        assert torch.equal(value, old), "an argument was written into"


@pytest.mark.parametrize("name", ["gru", "normalized-prototype", "diagonal-peephole", "state-before"])
def test_only_the_last_state_or_only_the_outputs(name: str) -> None:
    some = steps(name)
    arriving, carried = some.random(seed=1)
    for first, second in ((0.0, 1.0), (1.0, 0.0)):
        scaled = [first * v for v in arriving], [second * v for v in carried]
        found = some.backward([True] * len(some.inputs), *arguments(some, *scaled))
        assert_same(found, some.gradients(*scaled), "gradient of input")


def test_a_matrix_that_needs_no_gradient_has_an_empty_one() -> None:
    some = steps("gru")
    arriving, carried = some.random()
    given = arguments(some, arriving, carried)
    need = [True, True, False, True]
    found = some.backward(need, *given)
    expected = some.gradients(arriving, carried)
    assert found[2].numel() == 0
    assert_same([*found[:2], found[3]], [*expected[:2], expected[3]], "gradient of input")


@each
def test_the_gradient_of_a_first_state_is_no_tensor_that_came_in(name: str) -> None:
    """A custom operator must not return what it was given; every tensor here has memory of its own."""
    some = steps(name)
    given = arguments(some, *some.random())
    found = some.backward([True] * len(some.inputs), *some.number_of_steps, *given)
    memory = {value.untyped_storage().data_ptr() for value in given if value.numel()}
    first = len(some.loop.blocks)
    for value in found[first : first + len(some.loop.states)]:
        assert value.untyped_storage().data_ptr() not in memory


def test_a_gradient_that_every_step_hands_on_as_it_is_is_copied() -> None:
    """Nothing reads the sum but itself, so that what arrives last is what leaves first."""
    h, c, x = State("h"), State("c"), Input("x", "n")
    cell = Cell("sum-aside", {c: c.prev + x, h: tanh(Parameter("W", "n", "n") @ h.prev)})
    some = steps_of(cell)
    arriving, carried = some.random()
    given = arguments(some, arriving, carried)
    found = some.backward([True] * len(some.inputs), *given)
    assert_same(found, some.gradients(arriving, carried), "gradient of input")
    memory = {value.untyped_storage().data_ptr() for value in given}
    assert not memory & {value.untyped_storage().data_ptr() for value in found}
