"""What is measured: the shape, the dtype, the device, and what a pass is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import Any

import torch

from codegen.errors import ConfigError
from derive.errors import nearest

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Setting:
    """One layer over T = ``time`` steps of B = ``batch`` sequences with m = ``features`` and n = ``units``.

    A pass is forward and backward: the gradients of every parameter and, with ``input_gradient``, of x.
    With ``forward_only`` it is the forward pass under ``torch.no_grad``.  ``cpu_time`` counts the time that
    the process has had of the processors, all its threads together, instead of the time that went by: on a
    busy machine the steadier figure, as long as there is one thread.
    """

    time: int = 30
    batch: int = 30
    units: int = 250
    features: int = 250
    dtype: torch.dtype = torch.float32
    device: str = "cpu"
    forward_only: bool = False
    input_gradient: bool = True
    cpu_time: bool = False
    seed: int = 0

    @property
    def rows(self) -> int:
        """T·B: what a product outside the loop runs over."""
        return self.time * self.batch

    @property
    def clock(self) -> Callable[[], float]:
        """The clock to time with, in seconds."""
        return process_time if self.cpu_time else perf_counter

    @property
    def what(self) -> str:
        """A pass in words."""
        if self.forward_only:
            return "forward only"
        return f"forward + backward, gradients of {'x and ' if self.input_gradient else ''}all parameters"

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "time": self.time,
            "batch": self.batch,
            "n": self.units,
            "m": self.features,
            "dtype": str(self.dtype).removeprefix("torch."),
            "device": self.device,
            "pass": self.what,
            "clock": "processor" if self.cpu_time else "wall",
            "seed": self.seed,
        }

    def __str__(self) -> str:
        dtype = str(self.dtype).removeprefix("torch.")
        shape = f"batch {self.batch}, time {self.time}, n = {self.units}, m = {self.features}"
        return f"{shape}, {dtype}; {self.what}{'; processor time' if self.cpu_time else ''}"


def dtype_named(name: str) -> torch.dtype:
    """A dtype by its name; raises :class:`~codegen.errors.ConfigError`, which lists them."""
    if name not in DTYPES:
        raise ConfigError(
            f"unknown dtype {name!r}{nearest(name, DTYPES)} Expected one of {', '.join(DTYPES)}"
        )
    return DTYPES[name]


def device_named(name: str) -> str:
    """A device that is there; raises :class:`~codegen.errors.ConfigError`."""
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:  # "Torch not compiled with CUDA enabled" is an assertion
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"device {name!r} cannot be used: {reason}; expected cpu, or cuda on a GPU"
        ) from error
    return name


def synchronizer(device: str) -> Callable[[], None]:
    """A function that waits until the device has done what it was told; on the CPU there is nothing to do."""
    if torch.device(device).type == "cuda":
        return torch.cuda.synchronize
    return lambda: None
