"""A linear layer and the cross-entropy of its softmax, some rows of logits at a time.

The plain form writes all the logits, their logarithms and their gradient, 36 MB each for 900 words out of
10,000, and reads each of them again from main memory.  Here a chunk of rows becomes its softmax and then its
gradient in one buffer that stays in the cache.  All that the gradient of a mean needs from outside is a
factor: the gradients of features, weight and bias are summed on the way, the backward pass only scales them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from codegen.errors import DataError, Unsupported

Four: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor]

# A chunk of logits and what the products read beside it fit a last-level cache of 32 MB; larger chunks fall
# out of it between the passes, and products of fewer rows are slower (measured: 16 to 900 rows of 10,000).
LOGITS_BYTES: Final = 12 * 2**20
LEAST_ROWS: Final = 128
# Matrix products with rows of 250 float32 take 1.1 (features) to 1.6 times (weight) as long as with 256.
LINE_BYTES: Final = 64


def linear_cross_entropy(features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """``F.cross_entropy(F.linear(features, weight, bias), targets)`` to rounding, sums in float32 at least.

    Differentiable in reverse mode any number of times (from the second on by the plain form); forward mode
    raises.  A custom operator of torch, so that ``torch.compile`` and ``torch.export`` keep the graph whole;
    ``torch.func.grad`` and ``vmap`` work too (the former not inside of compiled code: torch raises there).

    Args:
        features: shape (N, n).
        weight: shape (V, n), of the features' type (any, under autocast).
        bias: shape (V,), likewise.
        targets: int64 in [0, V), shape (N,).

    Returns:
        The mean loss in nats, shape (); float32 under autocast, else of the features' type.

    Raises:
        DataError: shapes or types do not fit each other, N is 0, or a target is outside [0, V).
    """
    _check_shapes(features, weight, bias, targets)
    device, loss_type = features.device.type, features.dtype
    if torch.is_autocast_enabled(device):
        chosen = torch.get_autocast_dtype(device)
        features, weight, bias = features.to(chosen), weight.to(chosen), bias.to(chosen)
        loss_type = torch.float32
    if not features.dtype == weight.dtype == bias.dtype:
        raise DataError(
            f"features, weight and bias are {features.dtype}, {weight.dtype}, {bias.dtype}; expected one type"
        )
    total, *_ = _sum(features, weight, bias, targets, (False, False, False))
    return (total / targets.shape[0]).to(loss_type)


def _sum(features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, wanted: Sequence[bool]) -> Four:
    """`_summed` with the gradients that are `wanted` and those that autograd may ask for."""
    recording = torch.is_grad_enabled()
    inputs = features, weight, bias
    wanted = [keep or (recording and t.requires_grad) for t, keep in zip(inputs, wanted, strict=True)]
    # The compiler traces through the function and loses the operator's own derivative.
    summed = _summed if torch.compiler.is_compiling() else _Summed.apply
    return summed(*inputs, targets, wanted)


def _check_shapes(features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> None:
    given = [tuple(tensor.shape) for tensor in (features, weight, bias, targets)]
    if [len(shape) for shape in given] != [2, 2, 1, 1] or (
        given[0] + given[2] != given[3] + given[1][1:] + given[1][:1]
    ):
        raise DataError(
            "features, weight, bias and targets have shapes {}, {}, {} and {}; expected (N, n), (V, n), (V,) "
            "and (N,)".format(*given)
        )
    if targets.shape[0] == 0:
        raise DataError("there are no targets; the mean of the losses needs at least one")
    if targets.dtype != torch.int64:
        raise DataError(f"the targets are {targets.dtype}; expected torch.int64: give targets.long()")


@torch.library.custom_op("cellwright::linear_cross_entropy", mutates_args=())
def _summed(features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, wanted: Sequence[bool]) -> Four:
    """The sum of the losses and its gradients: those of features, weight and bias that are `wanted`.

    The first two have padded rows (`_padded`); those not wanted are empty.
    """
    _check_range(targets, len(bias))
    total, of_features, of_weight, of_bias = _outputs(features, weight, bias, wanted)
    wide_features, wide_weight = (_padded(matrix) if any(wanted) else matrix for matrix in (features, weight))
    rows = chunk_rows(len(features), len(bias) * features.element_size())
    buffer = features.new_empty(rows, len(bias))
    for start in range(0, len(features), rows):
        chunk = slice(start, start + rows)
        expected = targets[chunk, None]
        logits = torch.addmm(bias, features[chunk], weight.T, out=buffer[: len(expected)])
        softmax = logits.to(total.dtype)  # the buffer itself, unless its type is too coarse for sums
        total += _softmax_(softmax, expected)
        if not any(wanted):
            continue
        error = softmax.scatter_add_(1, expected, softmax.new_full(expected.shape, -1.0))
        if wanted[2]:
            of_bias += error.sum(0)
        error = error if error is logits else logits.copy_(error)
        if wanted[0]:
            of_features[chunk] = error @ wide_weight
        if wanted[1] and error.dtype == of_weight.dtype:
            of_weight.addmm_(error.T, wide_features[chunk])
        elif wanted[1]:
            of_weight += error.T @ wide_features[chunk]
    return total, of_features, of_weight, of_bias


def _check_range(targets: Tensor, types: int) -> None:
    low, high = (int(value) for value in targets.aminmax())
    if low < 0 or high >= types:
        raise DataError(
            f"a target is {low if low < 0 else high}; expected 0 to {types - 1}, as there are {types} logits"
        )


def chunk_rows(rows: int, row_bytes: int) -> int:
    """How many of `rows` to compute at a time: chunks of about one size within `LOGITS_BYTES`."""
    most = max(LOGITS_BYTES // row_bytes, LEAST_ROWS)
    return math.ceil(rows / math.ceil(rows / most))


def _padded(matrix: Tensor) -> Tensor:
    """The matrix with zero columns up to a whole number of cache lines."""
    return F.pad(matrix, (0, _padded_size(matrix) - matrix.shape[1]))


def _padded_size(matrix: Tensor) -> int:
    line = max(LINE_BYTES // matrix.element_size(), 1)
    return -(-matrix.shape[1] // line) * line


def _outputs(features: Tensor, weight: Tensor, bias: Tensor, wanted: Sequence[bool]) -> Four:
    """Zeros in the shapes of what `_summed` returns."""
    dtype = torch.promote_types(features.dtype, torch.float32)
    sizes = [(matrix.shape[0], _padded_size(matrix)) for matrix in (features, weight)] + [bias.shape]
    of_features, of_weight, of_bias = (
        features.new_zeros(size if keep else (0,), dtype=dtype)
        for size, keep in zip(sizes, wanted, strict=True)
    )
    return features.new_zeros((), dtype=dtype), of_features, of_weight, of_bias


def _softmax_(logits: Tensor, targets: Tensor) -> Tensor:
    """Turn logits (rows, V) into their softmax; returns the sum of the losses of targets (rows, 1)."""
    largest, chosen = logits.amax(1), logits.gather(1, targets).squeeze(1)
    torch.softmax(logits, 1, out=logits)
    # Its largest entry is 1 / sum(exp(logits - largest)), so that no sum is taken twice.
    return (largest - logits.amax(1).log() - chosen).sum()


@_summed.register_fake
def _(features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, wanted: Sequence[bool]) -> Four:
    return _outputs(features, weight, bias, wanted)


def _vmapped(info: Any, in_dims: Sequence[Any], *arguments: Any) -> tuple[Four, tuple[int, int, int, int]]:
    """One member after the other: the products of one fill the processor."""
    *tensors, wanted = arguments
    members = []
    for member in range(info.batch_size):
        features, weight, bias, targets = (
            tensor if dim is None else tensor.select(dim, member)
            for tensor, dim in zip(tensors, in_dims[: len(tensors)], strict=True)
        )
        members.append(_sum(features, weight, bias, targets, wanted))
    total, of_features, of_weight, of_bias = (torch.stack(values) for values in zip(*members, strict=True))
    return (total, of_features, of_weight, of_bias), (0, 0, 0, 0)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Four) -> None:
    *tensors, ctx.wanted = inputs
    ctx.save_for_backward(*tensors, *output[1:])
    ctx.set_materialize_grads(False)  # the gradients of the gradients are None in a first derivative


def _backward(ctx: Any, of_total: Tensor | None, *of_gradients: Tensor | None) -> tuple[Tensor | None, ...]:
    features, weight, bias, targets, *gradients = ctx.saved_tensors
    inputs = (features, weight, bias)
    if any(needed and not keep for needed, keep in zip(ctx.needs_input_grad, ctx.wanted, strict=False)):
        raise Unsupported(
            "features, weight or bias require a gradient now and did not when this loss was exported: export "
            "it with requires_grad as it is to be trained"
        )
    result: list[Tensor | None] = [None, None, None]
    if of_total is not None:
        result = [
            (g[..., : tensor.shape[-1]] * of_total).to(tensor.dtype) if keep else None
            for tensor, g, keep in zip(inputs, gradients, ctx.wanted, strict=True)
        ]
    if any(g is not None for g in of_gradients):
        directions = [
            torch.zeros_like(tensor) if g is None or not keep else g[..., : tensor.shape[-1]]
            for tensor, g, keep in zip(inputs, of_gradients, ctx.wanted, strict=True)
        ]
        for i, second in enumerate(_hessian_product(features, weight, bias, targets, directions)):
            first = result[i]
            if ctx.wanted[i]:
                result[i] = second if first is None else first + second
    return (*result, None, None)


def _hessian_product(
    features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, directions: Sequence[Tensor]
) -> list[Tensor]:
    """The second derivative of the summed loss in `directions`, in operations that differentiate further.

    With error = softmax - onehot the first derivative is (error·weight, errorᵀ·features, Σ error).
    """
    inputs = features, weight, bias
    dtype = torch.promote_types(features.dtype, torch.float32)
    x, w, b, dx, dw, db = (tensor.to(dtype) for tensor in (*inputs, *directions))
    softmax = F.linear(x, w, b).softmax(1)
    error = softmax - F.one_hot(targets, len(bias))
    dlogits = dx @ w.T + x @ dw.T + db
    derror = softmax * (dlogits - (softmax * dlogits).sum(1, keepdim=True))
    products = (derror @ w + error @ dw, derror.T @ x + error.T @ dx, derror.sum(0))
    return [product.to(tensor.dtype) for product, tensor in zip(products, inputs, strict=True)]


_summed.register_vmap(_vmapped)
_summed.register_autograd(_backward, setup_context=_keep)


class _Summed(torch.autograd.Function):
    """`_summed` for `torch.func.grad`, which does not go through the derivative of a custom operator."""

    @staticmethod
    def forward(*arguments: Any) -> Four:
        return _summed(*arguments)

    setup_context = staticmethod(_keep)
    backward = staticmethod(_backward)
    vmap = staticmethod(_vmapped)
