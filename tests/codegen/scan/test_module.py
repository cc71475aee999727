"""The emitted scan against the plain steps of the same file, in both directions, and in float32."""

import copy

import pytest
import torch

import derive
from codegen.backends.scan import BACKEND
from codegen.errors import Unsupported
from codegen.load import load
from codegen.lowering import lower
from codegen.lowering.loop import lower_loop
from codegen.scan.module import scan_kernels
from codegen.writing.names import class_name, snake_case
from derive import Cell
from tests.codegen.linear_cells import LINEAR, MINIMAL

N, B = 3, 2


def functions(cell: Cell):
    """(plain, scan), each with its way back; what the loop is; and its module."""
    module = load(BACKEND.emit(lower(cell)), cell.name)
    stem = snake_case(class_name(cell))
    both = [
        (getattr(module, f"{stem}_{k}"), getattr(module, f"{stem}_{k}_backward")) for k in ("steps", "scan")
    ]
    return both, lower_loop(lower(cell), sink=True), module


def drawn(loop, steps: int, dtype=torch.float64):
    torch.manual_seed(0)
    blocks = [torch.randn(steps, B, N * len(block.symbols), dtype=dtype) for block in loop.blocks]
    states = [torch.randn(B, N, dtype=dtype) for _ in loop.states]
    return [*blocks, *states, *(torch.rand(N, dtype=dtype) for _ in loop.constants)]


def storages(tensors) -> list[int]:
    return [tensor.untyped_storage().data_ptr() for tensor in tensors if tensor.numel()]


@pytest.mark.parametrize("steps", [1, 2, 16, 33, 300])
@pytest.mark.parametrize("cell", LINEAR, ids=lambda cell: cell.name)
def test_the_scan_computes_what_the_loop_does(cell: Cell, steps: int) -> None:
    ((plain, plain_back), (scan, scan_back)), loop, _ = functions(cell)
    inputs = drawn(loop, steps)
    head = [] if loop.blocks else [steps]
    expected, found = plain(True, *head, *inputs), scan(True, *head, *inputs)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    assert len(scan(False, *head, *inputs)) == len(plain(False, *head, *inputs))
    results = len(loop.exports) + len(loop.states)
    arriving = [torch.randn_like(value) for value in expected[:results]]
    stored = [*expected[: len(loop.exports)], *expected[results:]]
    tensors = [*arriving, *inputs, *stored]
    gradients = scan_back([True] * len(inputs), *head, *tensors)
    torch.testing.assert_close(
        gradients, plain_back([True] * len(inputs), *head, *tensors), rtol=1e-9, atol=1e-9
    )
    # an operator gives neither what it was given nor the same memory twice, and lays it out as promised
    for given, results_ in ((inputs, found), (tensors, gradients)):
        assert len(set(storages(results_))) == len(storages(results_))
        assert not set(storages(results_)) & set(storages(given))
    assert all(value.is_contiguous() for value in found)


def emitted(cell: Cell, m: int, n: int, dtype: torch.dtype):
    module = load(BACKEND.emit(lower(cell)), cell.name)
    torch.manual_seed(0)
    return getattr(module, class_name(cell))(m, n, dtype=dtype)


@pytest.mark.parametrize("bias", [-12.0, 0.0, 12.0], ids=["decays near 1", "in between", "near 0"])
def test_single_precision_over_4096_steps(bias: float) -> None:
    """Values and gradients within 1e-5; where logarithms would lose 9e-2."""
    layer = emitted(MINIMAL, 4, 5, torch.float64)
    with torch.no_grad():
        for name, value in layer.named_parameters():
            value.copy_(torch.randn_like(value))
            if name.endswith("b_f"):
                value.add_(bias)
    x = torch.randn(4096, 2, 4, dtype=torch.float64)
    weight = torch.randn(4096, 2, 5, dtype=torch.float64)
    results = []
    for dtype in (torch.float64, torch.float32):
        own = copy.deepcopy(layer).to(dtype)
        entering = x.to(dtype).requires_grad_()
        output, _ = own(entering)
        parameters = dict(own.named_parameters())
        gradients = torch.autograd.grad(output, [entering, *parameters.values()], weight.to(dtype))
        results.append([output, *gradients])
    for exact, single in zip(*results, strict=True):
        error = (single.double() - exact).abs().max() / exact.abs().max()
        assert error < 1e-5


def test_the_form_with_logarithms_loses_the_gradient() -> None:
    """Why it is not used: s = a (s_0 + Σ b / a), a = exp(Σ log decay), even without overflow."""
    torch.manual_seed(0)
    sums = torch.randn(4096, 64, dtype=torch.float64)
    gate = sums.float().requires_grad_()
    logs = torch.cumsum(torch.log(torch.sigmoid(gate)), 0)
    states = torch.exp(logs + torch.logcumsumexp(-logs, 0))
    (found,) = torch.autograd.grad(states.sum(), gate)
    exact = sums.clone().requires_grad_()
    state, total = torch.zeros(64, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for decay in torch.sigmoid(exact):
        state = decay * state + 1
        total = total + state.sum()
    (expected,) = torch.autograd.grad(total, exact)
    error = float((found.double() - expected).abs().max() / expected.abs().max())
    assert error > 1e-3, error  # 6e-3 here


def test_half_precision_rounds_once() -> None:
    """The states are kept in float32 from step to step."""
    half = emitted(MINIMAL, 4, 5, torch.bfloat16)
    exact = copy.deepcopy(half).double()
    x = torch.randn(300, 2, 4).bfloat16()
    output, _ = half(x)
    assert output.dtype == torch.bfloat16
    assert (output.double() - exact(x.double())[0]).abs().max() < 2e-2


def test_a_matrix_in_the_recurrence_is_refused() -> None:
    with pytest.raises(Unsupported, match="a matrix is applied to s"):
        scan_kernels(lower_loop(lower(derive.cell("vanilla")), sink=True), "stem")
