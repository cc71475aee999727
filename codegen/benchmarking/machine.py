"""The machine that a figure was measured on, in words."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

_CPU_FIELDS = ("model name", "cpu family", "model")


def machine(device: str = "cpu") -> dict[str, Any]:
    """CPU model, cores, vector extensions, torch, threads; and the GPU, where it is one."""
    found = {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
    if torch.device(device).type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(device)
    return found


def in_words(found: dict[str, Any]) -> str:
    """One line."""
    threads = f"{found['threads']} thread{'s' if found['threads'] > 1 else ''}"
    parts = [found["cpu"], f"{found['cores']} cores", found["vectors"], f"torch {found['torch']}", threads]
    return ", ".join([*parts, *([found["gpu"]] if "gpu" in found else [])])


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return platform.processor() or platform.machine()
    lines = info.read_text(encoding="utf-8", errors="replace").split("\n\n")[0].splitlines()
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    model, family, number = (fields.get(name, "") for name in _CPU_FIELDS)
    return f"{model} (family {family}, model {number})" if family else model or platform.machine()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """That many threads inside operations of torch; afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
