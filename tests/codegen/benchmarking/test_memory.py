"""Peaks of passes whose allocations are known."""

import torch

from codegen.benchmarking.memory import peak_memory

KILO = 250  # float32 numbers in 1,000 bytes; torch rounds no allocation of the CPU


def test_the_peak_counts_what_is_held_at_a_time() -> None:
    def run() -> torch.Tensor:
        first = torch.empty(100 * KILO)
        del first
        second, third = torch.empty(70 * KILO), torch.empty(60 * KILO)
        return second if third.numel() else third

    assert peak_memory(run) == 130_000


def test_what_was_there_before_is_not_counted() -> None:
    before = torch.ones(100 * KILO)
    assert peak_memory(before.neg_) == 0
    assert peak_memory(lambda: before.neg()) == 100_000


def test_autograd_keeps_values_for_the_backward_pass() -> None:
    x = torch.ones(100 * KILO, requires_grad=True)
    weight = torch.ones(100 * KILO)

    def run() -> object:
        y = torch.sigmoid(torch.sigmoid(torch.sigmoid(x)))
        return torch.autograd.grad(y, x, weight)

    assert 400_000 <= peak_memory(run) <= 500_000
