"""Statistics, and rounds on a clock that the test winds."""

from __future__ import annotations

import gc
import itertools

import numpy as np
import pytest

from codegen.benchmarking.timing import interleave, ratios, spread


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 60])
def test_median_and_quartiles_are_numpys(count: int) -> None:
    values = np.random.default_rng(count).exponential(size=count)
    found = spread(list(values))
    assert [found.low, found.median, found.high] == pytest.approx(
        list(np.quantile(values, [0.25, 0.5, 0.75]))
    )


def test_ratios_are_taken_within_a_round() -> None:
    """A machine twice as slow in every other round does not show."""
    slow = [1.0, 2.0, 1.0, 2.0]
    found = ratios([3 * s for s in slow], slow)
    assert (found.low, found.median, found.high) == (3, 3, 3)
    assert str(found) == "3.00 [3.00, 3.00]"
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0], [1.0, 2.0])


class Clock:
    """Time that passes only when something runs."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ran: list[str] = []

    def task(self, name: str, seconds: float):  # type: ignore[no-untyped-def]
        def run() -> None:
            assert not gc.isenabled()
            self.now += seconds
            self.ran.append(name)

        return run


def test_every_round_runs_everybody_once_in_an_order_of_its_own() -> None:
    clock = Clock()
    seconds = {"a": 1.0, "b": 2.0, "c": 4.0}
    runs = {name: clock.task(name, length) for name, length in seconds.items()}
    waits: list[float] = []
    times = interleave(
        runs, 20, seed=3, warmup=2, wait=lambda: waits.append(clock.now), clock=lambda: clock.now
    )
    assert times == {name: [length] * 20 for name, length in seconds.items()}
    rounds = (
        list(itertools.batched(clock.ran, 3))
        if hasattr(itertools, "batched")
        else [tuple(clock.ran[k : k + 3]) for k in range(0, len(clock.ran), 3)]
    )
    assert len(rounds) == 22
    assert all(sorted(order) == ["a", "b", "c"] for order in rounds)
    assert len(set(rounds)) > 3
    assert len(waits) == 2 * 3 * 22
    again = Clock()
    interleave({n: again.task(n, s) for n, s in seconds.items()}, 20, seed=3, warmup=2)
    assert again.ran == clock.ran


def test_the_garbage_collector_is_on_again_after_a_failure() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interleave({"a": fail}, 1)
    assert gc.isenabled()
