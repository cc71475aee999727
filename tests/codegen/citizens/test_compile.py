"""Every backend inside a model under torch.compile and torch.export: whole graphs, the same numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend

import codegen
from derive import Cell
from tests.codegen.citizens.subjects import FIRST, B, M, N, T, assert_close, flat, label, sample, serves

OPERATORS = [(name, cell) for name, cell in FIRST if name != "eager"]
"""Eager's loop is unrolled by torch.compile, which takes its time and is not our work."""
every = pytest.mark.parametrize(("name", "cell"), OPERATORS, ids=label)
# what torch says of itself while it compiles
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning"),
]


class Model(nn.Module):
    """A layer between other layers."""

    def __init__(self, name: str, cell: Cell, **options: Any) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.layer = codegen.build(cell, M, N, backend=name, **options)
        self.head = nn.Linear(N * (1 + self.layer.bidirectional), 2)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        output, last = self.layer(2 * x, state)
        return self.head(output.tanh()), last


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def gradients(run: Any, model: Model, x: Tensor) -> list[Tensor]:
    results = flat(run(x))
    found = torch.autograd.grad(sum(r.sin().sum() for r in results), [x, *model.parameters()])  # type: ignore[arg-type]
    return [*(r.detach() for r in results), *found]


@every
def test_one_graph_forward_and_backward(name: str, cell: Cell) -> None:
    model = Model(name, cell, bidirectional=True)
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(model, fullgraph=True, backend=counter)
    for seed in range(2):
        x = sample(T, B, M, dtype=torch.float32).roll(seed).requires_grad_()
        assert_close(gradients(compiled, model, x), gradients(model, model, x), 1e-6)
    assert counter.frame_count == 1


@every
def test_time_and_batch_may_be_dynamic(name: str, cell: Cell) -> None:
    model = Model(name, cell)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager", dynamic=True)
    for steps, batch in ((5, 3), (7, 6), (9, 8)):  # no size twice: torch takes equal ones for the same
        x = sample(steps, batch, M, dtype=torch.float32).requires_grad_()
        with torch._dynamo.config.patch(error_on_recompile=steps != 5):
            assert_close(gradients(compiled, model, x), gradients(model, model, x), 1e-6)


@every
def test_without_gradients_and_with_states(name: str, cell: Cell) -> None:
    model = Model(name, cell)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    x = sample(dtype=torch.float32)
    with torch.no_grad():
        _, state = model(x)
        assert_close(flat(compiled(x, state)), flat(model(x, state)), 1e-6)


@every
def test_under_autocast(name: str, cell: Cell) -> None:
    if not serves(name, cell, "bfloat16"):
        pytest.skip(f"{name} refuses bfloat16")
    model = Model(name, cell)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    x = sample(dtype=torch.float32).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = compiled(x)[0], model(x)[0]
    assert found.dtype == expected.dtype
    assert torch.allclose(found, expected, atol=1e-2)
    for result in (found, expected):
        (gradient,) = torch.autograd.grad(result.float().sum(), x)
        assert gradient.dtype == torch.float32


@pytest.mark.parametrize(("name", "cell"), OPERATORS[-1:], ids=label)
def test_inductor(name: str, cell: Cell) -> None:
    """Of one backend: to the compiler the operators of all look the same."""
    model = Model(name, cell)
    compiled = torch.compile(model, fullgraph=True)
    x = sample(dtype=torch.float32).requires_grad_()
    assert_close(gradients(compiled, model, x), gradients(model, model, x), 1e-6)


@pytest.mark.parametrize(
    ("name", "cell", "strict"),
    [(*pair, strict) for pair in FIRST for strict in (False, True) if pair in OPERATORS or not strict],
    ids=label,
)
def test_exported_programs_run(name: str, cell: Cell, strict: bool) -> None:
    """With any time and batch; eager's loop over time has as many steps as the example."""
    model = Model(name, cell).eval()
    x = sample(dtype=torch.float32)
    axes: dict[int, Any] = {1: torch.export.Dim("batch", min=2)}
    if name != "eager":
        axes[0] = torch.export.Dim("time", min=2)
    program = torch.export.export(model, (x,), strict=strict, dynamic_shapes={"x": axes})
    other = sample(T if name == "eager" else 8, 6, M, dtype=torch.float32)
    with torch.no_grad():
        for value in (x, other):
            assert_close(flat(program.module()(value)), flat(model(value)), 1e-6)


@every
def test_the_operators_pass_torchs_own_check(name: str, cell: Cell) -> None:
    """Schema, shapes without numbers, and gradients through ahead-of-time autograd."""
    captured: list[Any] = []

    class Spy(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func.name().endswith(("::steps", "::steps_backward")):
                captured.append((func, args))
            return func(*args, **(kwargs or {}))

    model = Model(name, cell, dtype=torch.float64)
    model.double()
    x = sample().requires_grad_()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.compiler, "is_compiling", lambda: True)
        with Spy():
            sum(v.sum() for v in flat(model(x))).backward()  # type: ignore[union-attr]
    assert len(captured) == 2
    for func, args in captured:
        plain = torch.utils._pytree.tree_map_only(Tensor, lambda v: v.detach(), args)
        tests = ("test_schema", "test_faketensor", "test_aot_dispatch_dynamic")
        torch.library.opcheck(func, plain, test_utils=tests)
