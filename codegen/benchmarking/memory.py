"""The peak of memory in one pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

MEANING = (
    "peak memory: the most that torch's allocator held at a time during one pass above what it held before "
    "(outputs, kept values, gradients, temporaries; not x and the parameters, nor what native code allocates "
    "by itself)"
)


def peak_memory(run: Callable[[], object], device: str = "cpu") -> int:
    """Bytes: the highest sum of the allocations less the releases of torch's allocator during ``run()``.

    It counts every allocation that torch makes, those inside an operation too, on the thread that calls.
    """
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    # torch.profiler gives the same events, but writes to standard error whenever it starts and stops.
    profiler: Any = torch.autograd
    options = torch._C._profiler._ExperimentalConfig()
    flags = (False, True, False, False, False)  # of these only the memory
    profiler._enable_profiler_legacy(profiler.ProfilerConfig(profiler.ProfilerState.CPU, *flags, options))
    try:
        run()
    finally:
        threads = profiler._disable_profiler_legacy()
    held = peak = 0
    for events in threads:
        for event in events:
            if event.kind() == "memory_alloc":
                held += event.cpu_memory_usage()
                peak = max(peak, held)
    return peak
