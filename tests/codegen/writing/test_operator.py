"""The operator around a loop's functions: derivatives of any order, fakes, ``vmap``, subsets of gradients."""

import pytest
import torch
from torch import Tensor

from codegen.writing.operator import Kernels, Operator
from tests.codegen.writing.steps import CELLS, Steps, assert_same, steps

SOME = [
    "gru",
    "peephole-lstm",
    "normalized-prototype",
    "no-input",
    "diagonal-peephole",
    "state-before",
    "hard",
]
each = pytest.mark.parametrize("name", SOME)


def leaves(some: Steps) -> list[Tensor]:
    return [value.requires_grad_() for value in some.inputs]


def loss(some: Steps, results, seed: int = 0) -> Tensor:
    arriving, carried = some.random(seed)
    pairs = zip([*arriving, *carried], results, strict=True)
    return sum(((torch.tensor(w) * v).sum() for w, v in pairs), torch.zeros((), dtype=torch.float64))


@pytest.mark.parametrize("name", CELLS)
def test_values_and_first_derivatives(name: str) -> None:
    some = steps(name)
    inputs = leaves(some)
    results = some.operate(*inputs)
    assert_same(results, some.results, "result")
    found = torch.autograd.grad(loss(some, results), inputs)
    assert_same(found, some.gradients(*some.random()), "gradient of input")


@each
def test_second_derivatives_are_those_of_autograd_through_the_plain_steps(name: str) -> None:
    some = steps(name)
    inputs = leaves(some)

    def curvature(results) -> tuple[Tensor, ...]:
        first = torch.autograd.grad(loss(some, results), inputs, create_graph=True)
        weights = torch.Generator().manual_seed(0)
        total = sum((torch.randn(g.shape, generator=weights, dtype=g.dtype) * g).sum() for g in first)
        found = torch.autograd.grad(total, inputs, allow_unused=True)
        return tuple(torch.zeros_like(v) if g is None else g for g, v in zip(found, inputs, strict=True))

    mine = curvature(some.operate(*inputs))
    plain = curvature(some.forward(False, *some.number_of_steps, *inputs))
    assert any(value.abs().max() > 1e-3 for value in plain)
    for one, other in zip(mine, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-11)


def test_third_derivatives() -> None:
    some = steps("no-input")
    state, b, weight = some.inputs

    def along(x: Tensor, function) -> Tensor:
        return loss(some, function(state + x, b + x, weight + 2 * x))

    def derivatives(function) -> list[Tensor]:
        x = torch.zeros((), dtype=torch.float64, requires_grad=True)
        found = [along(x, function)]
        for _ in range(3):
            found += torch.autograd.grad(found[-1], x, create_graph=True)
        return found

    mine = derivatives(some.operate)
    plain = derivatives(lambda *inputs: some.forward(False, *some.number_of_steps, *inputs))
    torch.testing.assert_close(mine, plain, rtol=1e-10, atol=1e-12)
    assert plain[3].abs() > 1e-3


@each
def test_gradients_of_each_input_alone(name: str) -> None:
    some = steps(name)
    expected = some.gradients(*some.random())
    for index, gradient in enumerate(expected):
        inputs = some.inputs
        inputs[index].requires_grad_()
        (found,) = torch.autograd.grad(loss(some, some.operate(*inputs)), [inputs[index]])
        assert_same([found], [gradient], f"gradient of input {index} alone, ")


def test_what_nothing_is_asked_of_has_no_graph() -> None:
    some = steps("gru")
    assert not any(value.requires_grad for value in some.operate(*some.inputs))
    with torch.no_grad():
        assert not any(value.requires_grad for value in some.operate(*leaves(some)))


@each
def test_the_operators_keep_torch_s_rules_for_operators(name: str) -> None:
    """Schema, no aliasing, and that the fakes have the shapes of what is computed."""
    some = steps(name)
    operators = some.module["operators"]()
    forward, backward = operators.steps, operators.steps_backward
    tests = ("test_schema", "test_faketensor")
    for keep in (False, True):
        torch.library.opcheck(forward, (keep, some.run.steps, some.inputs), test_utils=tests)
    results = forward(True, some.run.steps, some.inputs)
    exported, kept = results[: len(some.loop.exports)], results[len(some.results) :]
    arriving, carried = some.random()
    given = [*map(torch.tensor, [*arriving, *carried]), *some.inputs, *exported, *kept]
    for need in (True, False):
        arguments = ([need] * len(some.inputs), some.run.steps, given)
        torch.library.opcheck(backward, arguments, test_utils=tests)


@each
def test_vmap_over_everything_or_over_one_input(name: str) -> None:
    some = steps(name)
    one = some.inputs
    other = [value * 0.5 for value in one]
    expected = [torch.stack(pair) for pair in zip(some.operate(*one), some.operate(*other), strict=True)]
    stacked = [torch.stack(pair) for pair in zip(one, other, strict=True)]
    found = torch.func.vmap(some.operate)(*stacked)
    torch.testing.assert_close(list(found), expected)
    last = [*one[:-1], other[-1]]
    expected = [torch.stack(pair) for pair in zip(some.operate(*one), some.operate(*last), strict=True)]
    dims = (*[None] * (len(one) - 1), 0)
    found = torch.func.vmap(some.operate, in_dims=dims)(*one[:-1], stacked[-1])
    torch.testing.assert_close(list(found), expected)


def test_kernels_of_a_backend_stand_in_for_the_plain_functions() -> None:
    """Values and first derivatives are theirs; the plain functions are left for second derivatives."""
    loop = steps("gru").loop
    lines = (
        "def twice_forward(keep, *inputs):",
        "    return tuple(2 * v for v in some_cell_steps(keep, *inputs))",
    )
    kernels = Kernels("twice_forward", "some_cell_steps_backward", lines)
    body = "\n".join(Operator(loop, "SomeCell", kernels).lines())
    plain = "\n".join(Operator(loop, "SomeCell").lines())
    for function in ("def some_cell_steps(", "def some_cell_steps_backward("):
        assert function in body
    from codegen.writing.imports import imports

    module: dict = {}
    if "twice_forward(keep, steps, *inputs)" in body:  # kernels may be told the number of steps
        body = body.replace("def twice_forward(keep, *inputs)", "def twice_forward(keep, steps, *inputs)")
    exec("\n".join([*imports(body), body]), module)
    found = module["run_some_cell"](3, *steps("gru").inputs)
    assert_same(found, [2 * v for v in steps("gru").results], "result")
    namespaces = [line for text in (body, plain) for line in text.split("\n") if '::steps"' in line]
    assert len(set(namespaces)) == 2, "other kernels, other operators"
