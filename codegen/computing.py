"""How torch and NumPy compute: with how many threads, and how precisely."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits


def set_threads(count: int) -> None:
    """Let torch and BLAS compute with so many threads, in this process.

    Where several processes share the cores, BLAS's own threads, as many as there are cores in each process,
    would wait for one another: small decompositions then take ten times as long.
    """
    torch.set_num_threads(count)
    threadpool_limits(count, "blas")


def use_device(device: str) -> None:
    """Make a GPU torch's current one: streams and graphs are recorded there."""
    if torch.device(device).type == "cuda":
        torch.cuda.set_device(device)


@contextmanager
def matmul_precision(tf32: bool) -> Iterator[None]:
    """Within the block a GPU multiplies float32 matrices in full, or in TF32: faster, 10 bits of mantissa."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
