"""Interleaved rounds, and the spread of their ratios.

A shared machine is now faster and now slower.  So the contenders take turns: each round runs every one of
them once, in an order drawn anew, and a ratio is taken within its round, where both saw the same machine.
"""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

WARMUP = 3
"""Untimed passes first: TorchScript specializes in its second and third, and caches fill."""


@dataclass(frozen=True)
class Spread:
    """Median and quartiles."""

    median: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Ready for JSON."""
        return {"median": self.median, "quartile_1": self.low, "quartile_3": self.high}

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.low:.2f}, {self.high:.2f}]"


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles of at least one number, interpolated between neighbours."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def ratios(times: Sequence[float], against: Sequence[float]) -> Spread:
    """The spread of the ratios within each round."""
    return spread([own / other for own, other in zip(times, against, strict=True)])


def interleave(
    runs: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    seed: int = 0,
    warmup: int = WARMUP,
    wait: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
    progress: Callable[[], None] = lambda: None,
) -> dict[str, list[float]]:
    """The seconds of each contender in each round; ``wait`` is called before the clock is read.

    The garbage collector waits while a round runs: whom it would hit is chance.
    """
    order = list(runs)
    shuffled = random.Random(seed)
    times: dict[str, list[float]] = {name: [] for name in runs}
    collecting = gc.isenabled()
    try:
        for number in range(-warmup, rounds):
            shuffled.shuffle(order)
            gc.collect(0)
            gc.disable()
            for name in order:
                run = runs[name]
                wait()
                begin = clock()
                result = run()
                wait()
                end = clock()
                del result  # what a pass made is freed outside its time, and before the next one
                if number >= 0:
                    times[name].append(end - begin)
            if collecting:
                gc.enable()
            progress()
    finally:
        if collecting:
            gc.enable()
    return times
