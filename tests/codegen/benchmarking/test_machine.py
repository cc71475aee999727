"""The machine in words; threads come back."""

import torch

from codegen.benchmarking.machine import in_words, machine, threads


def test_a_machine_is_named_with_its_threads() -> None:
    found = machine()
    words = in_words(found)
    assert found["cpu"]
    assert torch.__version__ in words
    assert torch.backends.cpu.get_cpu_capability() in words
    assert in_words(found | {"threads": 2, "gpu": "G"}).endswith("2 threads, G")


def test_threads_are_restored() -> None:
    before = torch.get_num_threads()
    with threads(before + 1):
        assert machine()["threads"] == before + 1
    assert torch.get_num_threads() == before
