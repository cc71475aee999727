"""Every backend as eager: odd layouts, empty batches, one step, packed sequences, frozen parts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from derive import Cell
from tests.codegen.citizens.subjects import (
    FIRST,
    PAIRS,
    B,
    M,
    T,
    assert_close,
    assert_same,
    flat,
    label,
    loss,
    sample,
    states,
    twins,
)

every = pytest.mark.parametrize(("name", "cell"), PAIRS, ids=label)
first = pytest.mark.parametrize(("name", "cell"), FIRST, ids=label)


@every
def test_stacked_in_both_directions(name: str, cell: Cell) -> None:
    options = {"num_layers": 2, "bidirectional": True, "batch_first": True, "trainable_state": True}
    layer, twin = twins(name, cell, **options)
    with torch.no_grad():
        for parameter, same in zip(layer.parameters(), twin.parameters(), strict=True):
            same.copy_(parameter.add_(0.1))
    assert_same(layer, twin, sample(B, T, M).requires_grad_())


@every
def test_packed_sequences(name: str, cell: Cell) -> None:
    layer, twin = twins(name, cell, bidirectional=True)
    sequences = [sample(length, M).requires_grad_() for length in (2, 5, 3, 5, 1)]
    results = [module(pack_sequence(sequences, enforce_sorted=False)) for module in (layer, twin)]
    assert_close(*map(flat, results))
    leaves = [[*sequences, *module.parameters()] for module in (layer, twin)]
    found = [torch.autograd.grad(loss(r), of) for r, of in zip(results, leaves, strict=True)]
    assert_close(*found)


@every
def test_tensors_that_are_not_contiguous(name: str, cell: Cell) -> None:
    layer, twin = twins(name, cell)
    transposed = sample(M, B, T).requires_grad_().permute(2, 1, 0)
    strided = sample(2 * T, B, 3 * M)[::2, :, ::3].detach().requires_grad_()
    assert not transposed.is_contiguous()
    for x in (strided, sample(T, 1, M).expand(T, B, M).detach().requires_grad_()):
        assert_same(layer, twin, x)
    assert_close(
        map(torch.Tensor.detach, flat(layer(transposed))), map(torch.Tensor.detach, flat(twin(transposed)))
    )
    expanded = states(layer, lambda *shape: sample(1, 1, shape[-1]).expand(shape))
    assert_close(*([v.detach() for v in flat(m(sample(), expanded))] for m in (layer, twin)))
    turned = states(layer, lambda *shape: sample(shape[-1], shape[1], shape[0]).permute(2, 1, 0))
    assert_same(layer, twin, strided, turned)
    with torch.no_grad():  # a weight that is a view of another layout
        for module in (layer, twin):
            for parameter in module.parameters():
                if parameter.dim() == 2:
                    parameter.data = parameter.data.t().contiguous().t()
    assert_same(layer, twin, strided)


@every
def test_gradients_that_are_not_contiguous(name: str, cell: Cell) -> None:
    """What arrives from above may be expanded or transposed."""
    layer, twin = twins(name, cell)
    x = sample().requires_grad_()
    for of in (lambda y: y.sum(), lambda y: (y.transpose(0, 2) * sample(layer.hidden_size, B, T)).sum()):
        found = [torch.autograd.grad(of(m(x)[0]), [x, *m.parameters()]) for m in (layer, twin)]
        assert_close(*found)


@every
def test_an_empty_batch(name: str, cell: Cell) -> None:
    layer, _ = twins(name, cell)
    x = torch.zeros(T, 0, M, dtype=torch.float64, requires_grad=True)
    result = layer(x)
    assert [tuple(v.shape) for v in flat(result)] == [(T, 0, 4)] + [(1, 0, 4)] * len(cell.states)
    loss(result).backward()
    assert x.grad is not None
    assert x.grad.shape == x.shape
    assert all(p.grad is not None and not p.grad.any() for p in layer.parameters())


@every
@pytest.mark.parametrize("shape", [(1, B, M), (1, 1, M), (T, 1, M), (1, M), (T, M)], ids=str)
def test_one_step_and_one_sequence(name: str, cell: Cell, shape: tuple[int, ...]) -> None:
    assert_same(*twins(name, cell), sample(*shape).requires_grad_())


@every
def test_any_part_may_be_frozen(name: str, cell: Cell) -> None:
    """One parameter after the other, the input, the state: the same gradients, and None where none."""
    layer, twin = twins(name, cell)
    names = [n for n, _ in layer.named_parameters()]
    for thawed in ([], *([n] for n in names), names[1:]):
        for x_too, state_too in ((False, True), (True, False), (False, False)):
            found = [_gradients(module, thawed, x_too, state_too) for module in (layer, twin)]
            assert_close(*found)


def _gradients(module: Any, thawed: list[str], x_too: bool, state_too: bool) -> list[Any]:
    module.zero_grad()
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name in thawed)
    x = sample().requires_grad_(x_too)
    state = states(module, lambda *shape: sample(*shape))
    initial = [v.detach().requires_grad_(state_too) for v in (state if isinstance(state, tuple) else [state])]
    result = loss(module(x, initial[0] if len(initial) == 1 else tuple(initial)))
    assert result.requires_grad == bool(thawed or x_too or state_too)
    if result.requires_grad:
        result.backward()
    return [x.grad, *(v.grad for v in initial), *(p.grad for p in module.parameters())]


@every
def test_only_the_output_or_only_the_state_is_used(name: str, cell: Cell) -> None:
    layer, twin = twins(name, cell)
    x = sample().requires_grad_()
    for pick in range(1 + len(cell.states)):
        found = [
            torch.autograd.grad(flat(m(x))[pick].sin().sum(), [x, *m.parameters()], allow_unused=True)
            for m in (layer, twin)
        ]
        mine, theirs = ([g if g is not None else torch.zeros(()).double() for g in gs] for gs in found)
        for a, e in zip(mine, theirs, strict=True):  # zeros and None mean the same here
            assert torch.allclose(a, e, rtol=0, atol=1e-12)


@every
def test_without_gradients(name: str, cell: Cell) -> None:
    layer, twin = twins(name, cell)
    with torch.no_grad():
        quiet = flat(layer(sample()))
    with torch.inference_mode():
        silent = flat(layer(sample()))
    assert not any(v.requires_grad for v in (*quiet, *silent))
    expected = [v.detach() for v in flat(twin(sample()))]
    assert_close(quiet, expected)
    assert_close(silent, expected)


@every
def test_two_runs_are_bitwise_equal(name: str, cell: Cell) -> None:
    layer, _ = twins(name, cell, torch.float32)
    x = sample(20, 7, M, dtype=torch.float32).requires_grad_()
    torch.use_deterministic_algorithms(True)
    try:
        runs = [layer(x) for _ in range(2)]
        grads = [torch.autograd.grad(loss(r), [x, *layer.parameters()]) for r in runs]
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(a, b) for a, b in zip(*map(flat, runs), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


@first
def test_inputs_are_left_as_they_are(name: str, cell: Cell) -> None:
    layer, _ = twins(name, cell)
    x, state = sample(), states(layer)
    kept = [v.clone() for v in (x, *(state if isinstance(state, tuple) else [state]))]
    result = layer(x.requires_grad_(), state)
    loss(result).backward()
    assert all(torch.equal(a, b) for a, b in zip((x, *flat((x, state))[1:]), kept, strict=True))
    for value in flat(result):  # and what is returned may be written to without changing the input
        value.detach().zero_()
    assert torch.equal(x, kept[0])


@first
def test_two_backward_passes_add_up(name: str, cell: Cell) -> None:
    layer, _ = twins(name, cell)
    result = loss(layer(sample()))
    once = torch.autograd.grad(result, list(layer.parameters()), retain_graph=True)
    twice = torch.autograd.grad(result, list(layer.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(once, twice, strict=True))
