"""Kernels on the CPU, in Triton's interpreter: ``test_interpreter.py`` runs this file in its own process.

The interpreter must be chosen (TRITON_INTERPRET=1) before triton is first imported, and in the process of the
suite something else may have imported it.
"""

import os
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings

import codegen
from codegen.backends import choose
from codegen.backends.base import Use
from codegen.checking.comparisons import Subject
from codegen.checking.gradients import Gradients, array, by_complex_step, run
from codegen.checking.sample import Sample, draw
from codegen.errors import CodegenError, Unsupported
from codegen.layer import RecurrentLayer
from codegen.load import load
from codegen.lowering import lower
from codegen.lowering.loop import lower_loop
from codegen.writing.names import class_name
from derive import Cell, Input, Parameter, State, Vector, cell, mean, sigmoid, tanh
from tests.codegen.unusual_cells import UNUSUAL
from tests.strategies import cells

triton = pytest.importorskip("triton")
tl = pytest.importorskip("triton.language")

COUNT = int(os.environ.get("CELLWRIGHT_RANDOM_CELLS", "2"))
KINDS = ("persistent", "stepwise")
FEW = ("gru", "lstm", "pseudo-lstm", "normalized-prototype", "peephole-lstm")
FLOAT32 = 1e-5
"""Of values and gradients against the evaluator, as a share of the largest one."""
BFLOAT16 = 4e-2
"""Of values and gradients against float32's, likewise: eight bits, and some steps."""


def clashing() -> Cell:
    """Vectors with names that the kernels and the functions around them have for other things."""
    W, a, row, padded, load_, n = Parameter("W", "n", "n"), *map(Vector, ("tl", "row", "padded", "load", "n"))
    s, tiles = State("s"), State("tiles")
    return Cell(
        "clashing",
        {
            a: sigmoid(W @ s.prev),
            row: tanh(W @ (a * s.prev)),
            padded: a * row + tiles.prev / 3,
            load_: tanh(W @ padded),
            n: load_ * a,
            s: n + padded / 2,
            tiles: sigmoid(n) - load_,
        },
        output=s,
    )


def module_of(layer: RecurrentLayer) -> Any:
    """The generated module of a layer."""
    return sys.modules[type(layer.get_submodule("l0")).__module__]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@cache
def exact(sample_of: Cell, steps: int) -> tuple[Sample, Any, Any, Gradients]:
    """A sample and what the evaluator says of it."""
    sample = draw(sample_of, seed=0, steps=steps)
    return sample, *sample.values(), by_complex_step(sample)


def share(mine: Any, right: Any) -> float:
    """The largest difference, as a share of the largest right number, or of 1 if that is smaller."""
    return float(np.max(np.abs(mine - right), initial=0) / np.max(np.abs(right), initial=1))


def errors(of: Cell, backend: str, kind: str = "", steps: int = 2) -> float:
    """The largest error of values and gradients in float32."""
    sample, output, last, gradients = exact(of, steps)
    layer = Subject(of, backend, "cpu", 0).layer(sample, torch.float32)
    if kind:
        module_of(layer).KERNELS = kind
    done = run(sample, layer)
    pairs = [(array(done.output), output), *zip(map(array, done.last), last, strict=True)]
    pairs += done.gradients().pairs(gradients)
    return max(share(mine, right) for mine, right in pairs)


@pytest.mark.parametrize("name", FEW)
def test_cells_of_the_catalogue(name: str, kind: str) -> None:
    steps = 4 if name == "gru" else 2  # as few as have a past, and once some more
    assert errors(cell(name), "triton", kind, steps) < FLOAT32


@pytest.mark.parametrize("unusual", [c for c in (*UNUSUAL, clashing()) if c.parameters], ids=lambda c: c.name)
def test_unusual_cells(unusual: Cell, kind: str) -> None:
    assert errors(unusual, "triton", kind) < FLOAT32


@pytest.mark.filterwarnings("ignore:(invalid value|divide by zero):RuntimeWarning")
def test_what_is_no_number_outside_a_tile_stays_outside(kind: str) -> None:
    W, p, s, u = Parameter("W", "n", "n"), Parameter("p", "n"), State("s"), Input("u", "n")
    quotients = Cell("quotients", {s: tanh(W @ (s.prev / p) + p / u + mean(s.prev / p))}, output=s)
    assert errors(quotients, "triton", kind) < FLOAT32 + 4 * errors(quotients, "eager")


def test_a_cell_without_parameters(kind: str) -> None:
    (bare,) = (c for c in UNUSUAL if not c.parameters)
    sample, output, *_ = exact(bare, 4)
    layer = codegen.build(bare, 3, 3, backend="triton")
    module_of(layer).KERNELS = kind
    initial = torch.tensor(sample.state[0], dtype=torch.float32).unsqueeze(0)
    mine, _ = layer(torch.tensor(sample.inputs, dtype=torch.float32), initial)
    assert share(array(mine), output) < FLOAT32


@settings(max_examples=COUNT, derandomize=True, database=None, deadline=None)
@given(cells())
def test_random_cells(random: Cell) -> None:
    assume(random.parameters)
    try:
        lower_loop(lower(random), sink=True)
        exact(random, 2)
    except CodegenError:
        assume(False)  # an activation without a slope, or kinks everywhere
    allowed = FLOAT32 + 4 * errors(random, "eager")
    for each in KINDS:
        assert errors(random, "triton", each) < allowed


def outcome(
    name: str, backend: str, dtype: torch.dtype, n: int, kind: str = "", batch: int = 17
) -> list[Any]:
    """Values and gradients of a layer over two steps."""
    layer = codegen.build(name, 5, n, backend=backend, dtype=dtype)
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        # the same numbers in every type
        return torch.randn(shape, generator=generator).to(torch.bfloat16).to(dtype)

    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_((drawn(*parameter.shape) / n**0.5).to(torch.bfloat16))
    if kind:
        module_of(layer).KERNELS = kind
    x = drawn(2, batch, 5).requires_grad_()
    output, last = layer(x)
    values = [output, *([last] if isinstance(last, torch.Tensor) else last)]
    loss = torch.stack([(value * drawn(*value.shape)).double().sum() for value in values]).sum()
    gradients = torch.autograd.grad(loss, [x, *layer.parameters()])
    with torch.no_grad():
        assert torch.equal(layer(x)[0], output), "what is kept changes what is computed"
    return [array(value) for value in (*values, *gradients)]


@pytest.mark.parametrize("n", [1, 33])
def test_sizes_that_no_tile_divides(n: int, kind: str) -> None:
    right = outcome("normalized-prototype", "eager", torch.float64, n)
    mine = outcome("normalized-prototype", "triton", torch.float32, n, kind)
    assert max(map(share, mine, right)) < FLOAT32


def test_more_units_than_a_program_of_formulas_has() -> None:
    right = outcome("gru", "eager", torch.float64, 140, batch=5)
    mine = outcome("gru", "triton", torch.float32, 140, "stepwise", batch=5)
    assert max(map(share, mine, right)) < FLOAT32


@pytest.mark.parametrize("name", ["gru", "lstm", "normalized-prototype"])
def test_bfloat16(name: str, kind: str) -> None:
    right = outcome(name, "eager", torch.float64, 20, batch=3)
    mine = outcome(name, "triton", torch.bfloat16, 20, kind, batch=3)
    assert max(map(share, mine, right)) < BFLOAT16


def test_a_result_is_the_same_twice(kind: str) -> None:
    first, second = (outcome("peephole-lstm", "triton", torch.float32, 4, kind, batch=3) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_saturated_gates_stay_finite(kind: str) -> None:
    layer = codegen.build("gru", 3, 4, backend="triton")
    module_of(layer).KERNELS = kind
    x = torch.full((2, 2, 3), 1e6, requires_grad=True)
    output, _ = layer(x)
    (gradient,) = torch.autograd.grad(output.sum(), x)
    assert output.isfinite().all()
    assert gradient.isfinite().all()


def test_no_sequence_at_all(kind: str) -> None:
    layer = codegen.build("peephole-lstm", 3, 4, backend="triton")
    module_of(layer).KERNELS = kind
    output, _ = layer(torch.zeros(2, 0, 3))
    assert output.shape == (2, 0, 4)
    output.sum().backward()
    assert all(p.grad is not None and not p.grad.any() for p in layer.parameters())


def test_matrices_that_fit_are_kept_on_the_chip(monkeypatch: pytest.MonkeyPatch) -> None:
    module = module_of(codegen.build("lstm", 3, 4, backend="triton"))
    module.KERNELS = "auto"
    matrix, one, half = 4 * 64 * 64, torch.empty(1), torch.empty(1, dtype=torch.bfloat16)
    assert module.stages(matrix, 64, 4, 7, one) == 3  # 136 KiB
    assert module.stages(4 * matrix, 128, 4, 7, half) == 3  # 200 KiB
    assert module.stages(4 * matrix, 128, 4, 11, half) == 2
    assert module.stages(4 * matrix, 128, 4, 7, one) == 0
    assert module.stages(matrix, 128, 4, 7, one) == 0  # fits, and would spill registers
    monkeypatch.setattr(module, "precision", lambda: "tf32")
    assert module.stages(matrix, 128, 4, 7, one) == 3
    module.KERNELS = "persistent"
    assert module.stages(4 * matrix, 128, 4, 7, one) == 1
    module.KERNELS = "stepwise"
    assert module.stages(matrix, 64, 4, 7, one) == 0


def test_other_types_are_refused() -> None:
    with pytest.raises(Unsupported, match="float32 and bfloat16, not float64"):
        codegen.build("gru", 3, 4, backend="triton", dtype=torch.float64)
    source = codegen.emit("gru", backend="triton")
    layer = getattr(load(source, "gru_alone"), class_name(cell("gru")))(3, 4, dtype=torch.float64)
    with pytest.raises(TypeError, match=r"float32 and bfloat16, not torch\.float64"):
        layer(torch.zeros(2, 2, 3, dtype=torch.float64))


def test_auto_never_takes_the_interpreter() -> None:
    taken, why = choose("auto", cell("gru"), Use())
    assert taken.name != "triton", why


@triton.jit
def _apply(out, given, COUNT: tl.constexpr, FUNCTION: tl.constexpr):
    at = tl.arange(0, COUNT)
    tl.store(out + at, FUNCTION(tl.load(given + at)))


def near_and_far() -> Iterator[float]:
    """Numbers of every size and both signs."""
    yield from (0.0, 0.625, 0.62499994, -88.0, 88.0, 104.0, -104.0)
    for power in range(-30, 8):
        yield from (10.0 ** (power / 3), -(10.0 ** (power / 3)))


RIGHT = {
    "tanh": np.tanh,
    "sigmoid": lambda a: np.exp(-np.logaddexp(0, -a)),
    "log1p": np.log1p,
    "expm1": np.expm1,
}


def applied(function: Any, values: np.ndarray) -> np.ndarray:
    size = triton.next_power_of_2(len(values))
    given = torch.zeros(size)
    given[: len(values)] = torch.as_tensor(values)
    out = torch.empty(size)
    _apply[(1,)](out, given, COUNT=size, FUNCTION=function)
    return array(out)[: len(values)]


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "log1p", "expm1"])
def test_functions_keep_their_relative_accuracy(name: str) -> None:
    module = module_of(codegen.build("gru", 3, 4, backend="triton"))
    values = np.array([np.float32(value) for value in near_and_far()], np.float64)
    if name == "log1p":
        values = np.abs(values)  # of exponentials
    if name == "expm1":
        values = -np.abs(values)  # of what softplus gives
    mine, exactly = applied(getattr(module, name), values), RIGHT[name](values)
    normal = np.abs(exactly) > 1e-37
    relative = np.abs(mine - exactly)[normal] / np.abs(exactly)[normal]
    assert np.max(relative, initial=0) < 6 * 2.0**-24
    assert np.all(np.abs(mine - exactly)[~normal] < 1e-37)
