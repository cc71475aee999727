"""Every backend under torch.func and autograd's checks: derivatives of any order, in both modes."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import functional_call, grad, jacfwd, jacrev, jvp, stack_module_state, vjp, vmap

import codegen
from derive import Cell
from tests.codegen.citizens.subjects import FIRST, PAIRS, M, N, assert_close, flat, label, loss, sample, twins

# torch's own forward mode still defines TorchScript functions on first use
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
every = pytest.mark.parametrize(("name", "cell"), PAIRS, ids=label)
first = pytest.mark.parametrize(("name", "cell"), [p for p in FIRST if p[0] != "eager"], ids=label)
MODES = [
    *itertools.product((jacrev, jacfwd), repeat=2),
    *((jacrev, jacrev, jacrev), (jacfwd, jacrev, jacfwd), (jacrev, jacfwd, jacfwd)),
]


def of_input(layer: Any) -> Any:
    return lambda x: loss(layer(x))


@every
def test_gradcheck(name: str, cell: Cell) -> None:
    layer, _ = twins(name, cell)
    named = dict(layer.named_parameters())

    def function(x: Tensor, *values: Tensor) -> Tensor:
        return loss(functional_call(layer, dict(zip(named, values, strict=True)), (x,)))

    leaves = [v.detach().requires_grad_() for v in (sample(2, 1, M), *named.values())]
    assert torch.autograd.gradcheck(function, leaves, fast_mode=True, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, leaves, fast_mode=True, check_fwd_over_rev=True)


@first
@pytest.mark.parametrize("modes", MODES, ids=lambda modes: "-".join(mode.__name__ for mode in modes))
def test_any_order_in_any_mode(name: str, cell: Cell, modes: tuple[Any, ...]) -> None:
    functions = [of_input(module) for module in twins(name, cell)]
    for mode in modes:
        functions = [mode(function) for function in functions]
    x = sample(2, 1, M)
    found, expected = (function(x) for function in functions)
    assert expected.abs().max() > 1e-3
    assert_close([found], [expected])


@first
def test_hessian_in_the_parameters(name: str, cell: Cell) -> None:
    x = sample(2, 1, M)
    for modes in ((jacrev, jacrev), (jacfwd, jacrev), (jacrev, jacfwd)):
        found = []
        for module in twins(name, cell):
            parameters = {k: v.detach() for k, v in module.named_parameters()}

            def function(p: dict[str, Tensor], module: Any = module) -> Tensor:
                return loss(functional_call(module, p, (x,)))

            inner, outer = modes
            rows = outer(inner(function))(parameters)
            found.append([rows[a][b] for a in parameters for b in parameters])
        assert_close(*found)


@every
def test_forward_mode(name: str, cell: Cell) -> None:
    x, v = sample(), sample().flip(0)
    found = []
    for module in twins(name, cell):
        _, moved = jvp(lambda x, m=module: flat(m(x)), (x,), (v,))
        with forward_ad.dual_level():
            dual = [forward_ad.unpack_dual(y) for y in flat(module(forward_ad.make_dual(x, v)))]
        assert_close([d.tangent.detach() for d in dual], [y.detach() for y in moved])
        found.append([y.detach() for y in moved])
    assert_close(*found)


@every
def test_gradient_of_a_gradients_norm(name: str, cell: Cell) -> None:
    """The penalty of many papers, through .backward() and create_graph."""
    found = []
    for module in twins(name, cell):
        x = sample().requires_grad_()
        (slope,) = torch.autograd.grad(loss(module(x)), x, create_graph=True)
        slope.square().sum().backward()
        found.append([x.grad, *(p.grad for p in module.parameters())])
    assert_close(*found)


@every
def test_ensembles(name: str, cell: Cell) -> None:
    """vmap over stacked parameters, and over inputs as well."""
    layers = [codegen.build(cell, M, N, backend=name, dtype=torch.float64) for _ in range(3)]
    stacked, _ = stack_module_state(layers)  # type: ignore[arg-type]

    def run(parameters: Any, x: Tensor) -> Any:
        return flat(functional_call(layers[0], parameters, (x,)))

    x, many = sample(), sample(3, 5, 2, M)
    found = vmap(run, (0, None))(stacked, x)
    expected = [torch.stack(values) for values in zip(*(flat(layer(x)) for layer in layers), strict=True)]
    assert_close([v.detach() for v in found], [v.detach() for v in expected])
    found = vmap(run)(stacked, many)
    expected = [
        torch.stack(v) for v in zip(*(flat(la(y)) for la, y in zip(layers, many, strict=True)), strict=True)
    ]
    assert_close([v.detach() for v in found], [v.detach() for v in expected])


@every
def test_gradients_of_ensembles(name: str, cell: Cell) -> None:
    layers = [codegen.build(cell, M, N, backend=name, dtype=torch.float64) for _ in range(3)]
    stacked, _ = stack_module_state(layers)  # type: ignore[arg-type]

    def run(parameters: Any, x: Tensor) -> Any:
        result = functional_call(layers[0], parameters, (x,))
        return loss(result)

    x = sample()
    found = vmap(grad(run), (0, None))(stacked, x)
    expected = [torch.autograd.grad(loss(layer(x)), list(layer.parameters())) for layer in layers]
    assert_close(found.values(), [torch.stack(v) for v in zip(*expected, strict=True)])


@first
def test_second_derivatives_of_ensembles(name: str, cell: Cell) -> None:
    layers = [codegen.build(cell, M, N, backend=name, dtype=torch.float64) for _ in range(3)]
    stacked, _ = stack_module_state(layers)  # type: ignore[arg-type]
    x = sample()

    def run(parameters: Any, x: Tensor) -> Any:
        return loss(functional_call(layers[0], parameters, (x,)))

    second = vmap(lambda p: vjp(lambda q: grad(run)(q, x), p)[1](p)[0])(stacked)
    one = vjp(lambda q: grad(run)(q, x), dict(layers[1].named_parameters()))
    assert_close(
        [v[1].detach() for v in second.values()],
        [v.detach() for v in one[1](dict(layers[1].named_parameters()))[0].values()],
    )


@first
def test_gradients_of_each_sample(name: str, cell: Cell) -> None:
    """vmap over the batch of the data, as differential privacy has it."""
    found = []
    for module in twins(name, cell):
        parameters = {k: v.detach() for k, v in module.named_parameters()}

        def one(p: Any, x: Tensor, module: Any = module) -> Tensor:
            return loss(functional_call(module, p, (x.unsqueeze(1),)))

        found.append(vmap(grad(one), (None, 1))(parameters, sample()).values())
    assert_close(*found)


@first
def test_vmap_over_a_backward_pass(name: str, cell: Cell) -> None:
    """Several gradients arrive at once where a graph is there already."""
    found = []
    for module in twins(name, cell):
        x = sample().requires_grad_()
        output = module(x)[0]
        directions = sample(3, *output.shape)
        found.append(
            vmap(lambda v, y=output, x=x: torch.autograd.grad(y, x, v, retain_graph=True)[0])(directions)
        )
    assert_close([found[0]], [found[1]])
