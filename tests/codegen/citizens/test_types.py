"""Every backend in every floating-point type, and under autocast as ``torch.nn.LSTM``."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import codegen
from codegen.backends import backend
from codegen.backends.base import Use
from derive import Cell
from tests.codegen.citizens.subjects import PAIRS, B, M, N, T, flat, label, loss, sample, serves, twins

every = pytest.mark.parametrize(("name", "cell"), PAIRS, ids=label)
ERRORS = {torch.float32: 2e-6, torch.bfloat16: 4e-2}
"""Of values and, relative to the largest one, of gradients."""


def relative(found: torch.Tensor, exact: torch.Tensor) -> float:
    exact = exact.detach()
    return float((found.detach().double() - exact).abs().max() / max(1.0, float(exact.abs().max())))


@every
@pytest.mark.parametrize("dtype", ERRORS, ids=str)
def test_close_to_float64(name: str, cell: Cell, dtype: torch.dtype) -> None:
    if not serves(name, cell, str(dtype).removeprefix("torch.")):
        pytest.skip(f"{name} refuses {dtype}")
    layer, _ = twins(name, cell, dtype)
    _, exact = twins("eager", cell)
    exact.load_state_dict(layer.state_dict())
    x = sample().to(dtype)
    results = [layer(x), exact(x.double())]
    assert all(v.dtype == dtype for v in flat(results[0]))
    for a, e in zip(*map(flat, results), strict=True):
        assert relative(a, e) < ERRORS[dtype]
    mine, theirs = (
        torch.autograd.grad(loss(r), list(m.parameters()))
        for r, m in zip(results, (layer, exact), strict=True)
    )
    assert all(g.dtype == dtype for g in mine)
    assert all(relative(a, e) < 2 * ERRORS[dtype] for a, e in zip(mine, theirs, strict=True))


@every
def test_autocast(name: str, cell: Cell) -> None:
    """Close to float64, gradients in the parameters' own type, and float64 is left alone."""
    layer, _ = twins(name, cell, torch.float32)
    _, exact = twins("eager", cell)
    exact.load_state_dict(layer.state_dict())
    x = sample(dtype=torch.float32).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        result = layer(x)
    for a, e in zip(flat(result), flat(exact(x.double())), strict=True):
        assert relative(a, e) < 4e-2
    loss(result).backward()
    assert x.grad is not None
    assert x.grad.dtype == torch.float32
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in layer.parameters())
    expected = torch.autograd.grad(loss(exact(x.double())), list(exact.parameters()))
    for p, e in zip(layer.parameters(), expected, strict=True):
        assert p.grad is not None
        assert relative(p.grad, e) < 1e-1
    double, twin = twins(name, cell)
    with torch.autocast("cpu", torch.bfloat16):
        found = [[v.detach() for v in flat(m(sample()))] for m in (double, twin)]
    assert all(torch.allclose(a, e, rtol=0, atol=1e-12) for a, e in zip(*found, strict=True))
    layer(x)  # and outside of autocast all is as it was
    assert layer(x)[0].dtype == torch.float32


@pytest.mark.parametrize("name", [name for name, cell in PAIRS if cell.name == "lstm" and name != "eager"])
def test_autocast_gives_the_types_of_torchs_lstm(name: str) -> None:
    theirs = nn.LSTM(M, N)
    ours = codegen.build("lstm", M, N, backend=name).from_torch(theirs)
    x = sample(dtype=torch.bfloat16)  # torch's own fails on float32 where oneDNN lacks the primitive
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found, expected = flat(ours(x)), flat(theirs(x))
    assert [v.dtype for v in found] == [v.dtype for v in expected] == [torch.bfloat16] * 3
    assert all(relative(a, e.double()) < 2e-2 for a, e in zip(found, expected, strict=True))


@every
def test_meta_tensors_have_shapes_alone(name: str, cell: Cell) -> None:
    """A named backend either runs on the meta device or says that it does not."""
    layer = codegen.build(cell, M, N, backend="auto", device="meta")
    result = layer(torch.empty(T, B, M, device="meta"))
    assert [tuple(v.shape) for v in flat(result)] == [(T, B, N)] + [(1, B, N)] * len(cell.states)
    if not serves(name, cell, "float32"):
        pytest.skip(f"{name} does not take {cell.name}")
    if backend(name).refusal(cell, Use("meta", "float32")) is not None:
        with pytest.raises(codegen.Unsupported, match="meta"):
            codegen.build(cell, M, N, backend=name, device="meta")
        return
    asked = codegen.build(cell, M, N, backend=name, device="meta")
    assert asked(torch.empty(T, B, M, device="meta"))[0].shape == (T, B, N)
