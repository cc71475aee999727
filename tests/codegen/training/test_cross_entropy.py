"""The chunked loss against the plain form: values, gradients of every order, types, transforms, refusals."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import codegen.training.cross_entropy as module
from codegen.benchmarking.memory import peak_memory
from codegen.errors import DataError, Unsupported
from codegen.training.cross_entropy import chunk_rows, linear_cross_entropy

N, D, V = 7, 5, 40
Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def plain(features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(features, weight, bias), targets)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows at a time in float64, the last chunk shorter."""
    monkeypatch.setattr(module, "LOGITS_BYTES", 2 * V * 8)
    monkeypatch.setattr(module, "LEAST_ROWS", 1)


def draw(dtype: torch.dtype = torch.float64, *members: int) -> tuple[list[Tensor], Tensor]:
    """Features, weight and bias that require gradients, and targets, for so many members."""
    torch.manual_seed(0)
    shapes = (N, D), (V, D), (V,)
    leaves = [torch.randn(*members, *shape, dtype=dtype).requires_grad_() for shape in shapes]
    return leaves, torch.randint(V, (*members, N))


def assert_same(make: Callable[[Loss], Any], **tolerance: float) -> None:
    torch.testing.assert_close(make(linear_cross_entropy), make(plain), **tolerance)


@pytest.mark.parametrize("rows", [1, 3, 7, 100])
def test_value_and_gradients(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(module, "LOGITS_BYTES", rows * V * 8)
    leaves, targets = draw()
    assert_same(lambda loss: loss(*leaves, targets))
    assert_same(lambda loss: torch.autograd.grad(loss(*leaves, targets), leaves))


@given(st.integers(1, 9), st.integers(1, 20), st.integers(1, 12), st.integers(0, 2**32))
def test_any_shape(rows: int, size: int, types: int, seed: int) -> None:
    torch.manual_seed(seed)
    leaves = [
        torch.randn(s, dtype=torch.float64).requires_grad_() for s in ((rows, size), (types, size), types)
    ]
    targets = torch.randint(types, (rows,))
    assert_same(lambda loss: torch.autograd.grad(loss(*leaves, targets), leaves))


def test_incoming_gradient_is_not_one() -> None:
    leaves, targets = draw()
    assert torch.autograd.gradcheck(
        lambda *leaves: 3 * linear_cross_entropy(*leaves, targets) ** 2, leaves, fast_mode=True
    )


@pytest.mark.parametrize("chosen", [c for c in product([True, False], repeat=3) if any(c)])
def test_any_subset_requires_gradients(chosen: tuple[bool, ...]) -> None:
    leaves, targets = draw()
    for leaf, keep in zip(leaves, chosen, strict=True):
        leaf.requires_grad_(keep)
    wanted = [leaf for leaf in leaves if leaf.requires_grad]
    assert_same(lambda loss: torch.autograd.grad(loss(*leaves, targets), wanted))

    def second(loss: Loss) -> tuple[Tensor, ...]:
        first = torch.autograd.grad(loss(*leaves, targets), wanted, create_graph=True)
        return torch.autograd.grad(sum(g.pow(3).sum() for g in first), wanted)

    assert_same(second)


def test_second_derivatives() -> None:
    leaves, targets = draw()
    assert torch.autograd.gradgradcheck(
        lambda *leaves: linear_cross_entropy(*leaves, targets) ** 2, leaves, fast_mode=True
    )


def test_third_derivatives() -> None:
    leaves, targets = draw()

    def third(loss: Loss) -> tuple[Tensor, ...]:
        value = loss(*leaves, targets).exp()
        for _ in range(2):
            value = sum(g.square().sum() for g in torch.autograd.grad(value, leaves, create_graph=True))
        return torch.autograd.grad(value, leaves)

    assert_same(third)


@pytest.mark.filterwarnings(
    r"ignore:`torch\.jit\.script` is deprecated:DeprecationWarning"
)  # torch's first jvp
def test_forward_mode_raises() -> None:
    (features, weight, bias), targets = draw()
    with pytest.raises(NotImplementedError, match="jvp"):
        torch.func.jvp(lambda w: linear_cross_entropy(features, w, bias, targets), (weight,), (weight,))


def test_backward_twice_gives_the_same() -> None:
    leaves, targets = draw()
    loss = linear_cross_entropy(*leaves, targets)
    first = torch.autograd.grad(loss, leaves, retain_graph=True)
    assert all(map(torch.equal, first, torch.autograd.grad(loss, leaves)))


def test_every_call_gives_the_same_bits() -> None:
    leaves, targets = draw(torch.float32)
    first, *more = [torch.autograd.grad(linear_cross_entropy(*leaves, targets), leaves) for _ in range(4)]
    assert all(all(map(torch.equal, first, again)) for again in more)


def test_strided_inputs() -> None:
    (features, weight, bias), targets = draw()
    strided = [
        features.detach().T.contiguous().T.requires_grad_(),
        weight.detach().repeat(1, 2)[:, ::2].requires_grad_(),
        bias.detach()[:1].expand(V).requires_grad_(),
    ]
    assert not any(tensor.is_contiguous() for tensor in strided)
    every_other = targets.repeat_interleave(2)[::2]
    assert_same(lambda loss: torch.autograd.grad(loss(*strided, every_other), strided))


@pytest.mark.parametrize("scale", [1e2, 1e4])
def test_probabilities_that_underflow(scale: float) -> None:
    leaves, targets = draw(torch.float32)
    leaves[2].data[:] = torch.linspace(-scale, scale, V)
    assert_same(lambda loss: loss(*leaves, targets))
    assert linear_cross_entropy(*leaves, targets).item() > 90, "below what exp() can hold"
    assert_same(lambda loss: torch.autograd.grad(loss(*leaves, targets), leaves))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_what_is_not_finite_shows(bad: float) -> None:
    (features, weight, bias), targets = draw()
    features.data[3, 2] = bad
    assert linear_cross_entropy(features, weight, bias, targets).isnan()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_lower_precision_is_no_worse_than_the_plain_form(dtype: torch.dtype) -> None:
    leaves, targets = draw(dtype)
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
    loss = plain(*exact, targets)
    expected = [loss, *torch.autograd.grad(loss, exact)]

    def errors(compute: Loss) -> list[float]:
        loss = compute(*leaves, targets)
        assert loss.dtype == dtype
        found = [loss, *torch.autograd.grad(loss, leaves)]
        assert all(value.dtype == dtype for value in found)
        pairs = zip(found, expected, strict=True)
        return [((value.double() - right).norm() / right.norm()).item() for value, right in pairs]

    for mine, theirs in zip(errors(linear_cross_entropy), errors(plain), strict=True):
        assert mine <= 1.5 * theirs + 2 * torch.finfo(dtype).eps


def test_sums_over_many_chunks_keep_small_terms() -> None:
    """A hundred chunks: sums in bfloat16, of 8 bits, would be two per cent off."""
    torch.manual_seed(0)
    shapes = (800, D), (V, D), (V,)
    leaves = [torch.randn(shape).bfloat16().requires_grad_() for shape in shapes]
    targets = torch.randint(V, (800,))
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
    loss, expected = linear_cross_entropy(*leaves, targets), plain(*exact, targets)
    torch.testing.assert_close(loss.double(), expected, rtol=2**-8, atol=0)
    found = torch.autograd.grad(loss, leaves)
    for value, right in zip(found, torch.autograd.grad(expected, exact), strict=True):
        assert (value.double() - right).norm() < 2**-7 * right.norm()


@pytest.mark.parametrize("features_type", [torch.float32, torch.bfloat16])
def test_autocast(features_type: torch.dtype) -> None:
    leaves, targets = draw(torch.float32)
    features = leaves[0].detach().to(features_type).requires_grad_()
    leaves = [features, *leaves[1:]]

    def under_autocast(loss: Loss) -> list[Tensor]:
        with torch.autocast("cpu", torch.bfloat16):
            value = loss(*leaves, targets)
        return [value, *torch.autograd.grad(value, leaves)]

    found = under_autocast(linear_cross_entropy)
    assert [value.dtype for value in found] == [torch.float32, features_type, torch.float32, torch.float32]
    assert_same(under_autocast, rtol=2e-2, atol=2e-3)


def test_without_gradients() -> None:
    leaves, targets = draw()
    with torch.no_grad():
        loss = linear_cross_entropy(*leaves, targets)
        torch.testing.assert_close(loss, plain(*leaves, targets))
    assert not loss.requires_grad


@pytest.mark.parametrize("recording", [True, False])
def test_logits_are_never_all_there(monkeypatch: pytest.MonkeyPatch, recording: bool) -> None:
    monkeypatch.setattr(module, "LOGITS_BYTES", 40_000)  # ten rows
    features, weight, bias = torch.randn(400, 4), torch.randn(1000, 4, requires_grad=True), torch.zeros(1000)
    targets = torch.randint(1000, (400,))

    def peak(loss: Loss) -> int:
        with torch.set_grad_enabled(recording):
            return peak_memory(lambda: loss(features, weight, bias, targets))

    assert peak(plain) > 1.6e6
    assert 4e4 <= peak(linear_cross_entropy) < 4e5


@pytest.mark.parametrize(
    ("rows", "row_bytes", "expected"),
    [(900, 40_000, 300), (900, 100, 900), (1, 40_000, 1), (901, 40_000, 301), (900, 4_000_000, 113)],
)
def test_chunks_are_of_one_size(
    monkeypatch: pytest.MonkeyPatch, rows: int, row_bytes: int, expected: int
) -> None:
    monkeypatch.setattr(module, "LOGITS_BYTES", 12 * 2**20)
    monkeypatch.setattr(module, "LEAST_ROWS", 128)
    assert chunk_rows(rows, row_bytes) == expected


@pytest.mark.parametrize("batched", [(0, 0, 0, 0), (None, 0, 0, None), (1, None, None, 1)])
def test_vmap_and_gradients_through_it(batched: tuple[int | None, ...]) -> None:
    """Members on the first axis of what is batched, except that 1 stands for the last axis."""
    leaves, targets = draw(torch.float64, 3)
    arguments = [
        a.detach() if axis == 0 else a.detach()[0] if axis is None else a.detach().movedim(0, -1)
        for a, axis in zip([*leaves, targets], batched, strict=True)
    ]
    dims = tuple(-1 if axis == 1 else axis for axis in batched)
    assert_same(lambda loss: torch.func.vmap(loss, dims)(*arguments))
    assert_same(lambda loss: torch.func.vmap(torch.func.grad(loss, (0, 1, 2)), dims)(*arguments))
    wanted = [a.requires_grad_() for a in arguments[:3]]
    assert_same(
        lambda loss: torch.autograd.grad(torch.func.vmap(loss, dims)(*arguments).square().sum(), wanted)
    )


def test_functional_gradients_of_gradients() -> None:
    leaves, targets = draw()
    features, weight, bias = (leaf.detach() for leaf in leaves)
    inside = torch.func.grad
    assert_same(
        lambda loss: inside(lambda w: inside(loss, 1)(features, w, bias, targets).square().sum())(weight)
    )


@pytest.fixture
def fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.usefixtures("fresh_compiler")
@pytest.mark.parametrize("recording", [True, False])
def test_compile_keeps_the_graph_whole(recording: bool) -> None:
    leaves, targets = draw()
    compiled = torch.compile(linear_cross_entropy, fullgraph=True, backend="aot_eager")
    with torch.set_grad_enabled(recording):
        loss = compiled(*leaves, targets)
    torch.testing.assert_close(loss.detach(), plain(*leaves, targets).detach())
    if recording:
        expected = torch.autograd.grad(plain(*leaves, targets), leaves)
        torch.testing.assert_close(torch.autograd.grad(loss, leaves), expected)


class Softmax(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(D, V, dtype=torch.float64)

    def forward(self, features: Tensor, targets: Tensor) -> Tensor:
        return linear_cross_entropy(features, self.linear.weight, self.linear.bias, targets)


def test_export() -> None:
    (features, *_), targets = draw()
    features, softmax = features.detach(), Softmax()
    rows = torch.export.Dim("rows")
    program = torch.export.export(softmax, (features, targets), dynamic_shapes=({0: rows}, {0: rows}))
    exported = program.module()
    for some in (N, 3):
        arguments = features[:some], targets[:some]
        torch.testing.assert_close(exported(*arguments), softmax(*arguments))
        torch.testing.assert_close(
            torch.autograd.grad(exported(*arguments), list(exported.parameters())),
            torch.autograd.grad(softmax(*arguments), list(softmax.parameters())),
        )
    loss = exported(features.clone().requires_grad_(), targets)
    with pytest.raises(Unsupported, match="did not when this loss was exported"):
        loss.backward()


def test_the_operator_keeps_torchs_rules() -> None:
    leaves, targets = draw()
    for wanted in ([True, False, True], [False] * 3):
        inputs = [a if keep else a.detach() for a, keep in zip(leaves, wanted, strict=True)]
        torch.library.opcheck(module._summed, (*inputs, targets, wanted))


@pytest.mark.parametrize(("target", "shown"), [(V, "40"), (-1, "-1"), (-100, "-100"), (2**40, str(2**40))])
def test_target_out_of_range(target: int, shown: str) -> None:
    leaves, targets = draw()
    targets[3] = target
    with pytest.raises(DataError, match=f"a target is {shown}; expected 0 to 39, as there are 40 logits"):
        linear_cross_entropy(*leaves, targets)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, w, b, t: (x[:, :4], w, b, t), r"shapes \(7, 4\), \(40, 5\), \(40,\) and \(7,\); expected"),
        (lambda x, w, b, t: (x[:6], w, b, t), r"shapes \(6, 5\), .* expected \(N, n\)"),
        (lambda x, w, b, t: (x, w, b[:1], t), r"shapes .* \(1,\) and \(7,\); expected"),
        (lambda x, w, b, t: (x[None], w, b, t), r"shapes \(1, 7, 5\)"),
        (lambda x, w, b, t: (x, w, b, t[:, None]), r"and \(7, 1\); expected"),
        (lambda x, w, b, t: (x[:0], w, b, t[:0]), "no targets; the mean of the losses needs at least one"),
        (lambda x, w, b, t: (x, w, b, t.int()), r"the targets are torch.int32; expected torch.int64"),
        (
            lambda x, w, b, t: (x, w.float(), b, t),
            "torch.float64, torch.float32, torch.float64; expected one",
        ),
    ],
)
def test_refusals(change: Callable[..., tuple[Tensor, ...]], message: str) -> None:
    leaves, targets = draw()
    with pytest.raises(DataError, match=message):
        linear_cross_entropy(*change(*leaves, targets))
