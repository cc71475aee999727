"""How many threads compute: torch's, and those of NumPy's linear algebra, which does not ask torch."""

from __future__ import annotations

import torch
from threadpoolctl import threadpool_limits


def set_threads(count: int) -> None:
    """Let torch and BLAS compute with so many threads, in this process.

    Where several processes share the cores, BLAS's own threads, as many as there are cores in each process,
    would wait for one another: small decompositions then take ten times as long.
    """
    torch.set_num_threads(count)
    threadpool_limits(count, "blas")
