"""What a native module calls: compiled on first use for each precision, and run on tensors."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from codegen.errors import Unsupported
from codegen.native.library import Library, load, prelude

COMPUTED = (torch.float32, torch.float64)
WIDENED = (torch.bfloat16, torch.float16)
"""Computed in float32, and rounded to their own type at the end of a pass over all steps."""


FEW_ROWS = 6
"""Below so many rows of a batch a product of one step is far slower than one of all steps."""


def gradient_of_matrix(delta: Tensor, operand: Tensor) -> Tensor:
    """The gradient of a matrix from all steps and rows in one product, Σ δ vᵀ.

    Computed transposed: for MKL v comes first is the faster order by a tenth on the machines measured.
    """
    return (operand.flatten(0, 1).t() @ delta.flatten(0, 1)).t()


class Kernels:
    """The C of a loop, as a library for each precision."""

    def __init__(self, source: str) -> None:
        self.source = source

    def library(self, like: Tensor) -> Library:
        """The compiled functions for a tensor's type."""
        double = like.dtype == torch.float64
        return load(prelude(double) + self.source)

    def pack(self, function: str, sizes: Sequence[int], *matrices: Tensor) -> Tensor:
        """All matrices in the layout of the products of a direction, one after the other."""
        library = self.library(matrices[0])
        packed = matrices[0].new_empty(library.size(f"{function}_packed", *sizes))
        library.call(f"{function}_pack", [packed, *matrices], sizes)
        return packed

    def run(self, function: str, like: Tensor, sizes: Sequence[int], tensors: Sequence[Tensor]) -> None:
        """A direction, with the rows of the batch shared among torch's threads."""
        batch = sizes[1]
        self.library(like).call(function, tensors, sizes, rows=batch, threads=torch.get_num_threads())


def in_single_precision_at_least(function: Callable[..., Any]) -> Callable[..., Any]:
    """Runs a kernel on bfloat16 and float16 in float32; raises Unsupported for what C cannot read."""

    @functools.wraps(function)
    def run(*arguments: Any) -> Any:
        tensors = [a for a in arguments if isinstance(a, Tensor)]
        dtype, device = tensors[0].dtype, tensors[0].device
        if device.type != "cpu":
            raise Unsupported(
                f"the native backend runs on the CPU, and this layer's tensors are on {device}; "
                "build it with backend='auto', which chooses anew when a layer moves"
            )
        if dtype in COMPUTED:
            return function(*arguments)
        if dtype not in WIDENED:
            raise Unsupported(f"the native backend computes in float32 and float64, not in {dtype}")
        wide = (a.float() if isinstance(a, Tensor) else a for a in arguments)
        return tuple(result.to(dtype) for result in function(*wide))

    return run
