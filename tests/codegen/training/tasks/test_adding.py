"""The adding problem, by its definition."""

import math

import numpy as np
import pytest
import torch

from codegen.training.evaluation import Loss
from codegen.training.tasks.adding import PROBLEM, baseline, distance, draw, is_close
from tests.codegen.training.tasks.scripted import Scripted


def test_an_example_by_hand() -> None:
    """Five steps, two sequences; the first half is the steps 0 and 1."""
    values = [[0.5, 0.1], [0.25, 0.2], [0.125, 0.3], [0.75, 0.4], [0.0, 0.6]]
    dice = Scripted(values, [1, 0], [3, 4])
    inputs, targets = draw(dice, 5, 2)
    assert dice.ranges == [(0, 2), (2, 5)]
    assert inputs[:, 0].tolist() == [[0.5, 0], [0.25, 1], [0.125, 0], [0.75, 1], [0, 0]]
    assert inputs[:, 1, 1].tolist() == [1, 0, 0, 0, 1]
    assert targets[-1].tolist() == pytest.approx([0.25 + 0.75, 0.1 + 0.6])
    assert np.isnan(targets[:-1]).all()


@pytest.mark.parametrize("length", [2, 9, 40])
def test_every_sequence_keeps_to_the_definition(length: int) -> None:
    inputs, targets = draw(np.random.default_rng(1), length, 300)
    assert inputs.dtype == targets.dtype == np.float32
    assert ((inputs[..., 0] >= 0) & (inputs[..., 0] < 1)).all()
    distances = []
    for row in range(300):
        marked = [step for step in range(length) if inputs[step, row, 1] == 1]
        assert all(inputs[step, row, 1] == 0 for step in range(length) if step not in marked)
        first, second = marked
        assert first < length // 2 <= second
        distances.append(length - 1 - first)
        assert targets[-1, row] == inputs[first, row, 0] + inputs[second, row, 0]
        assert all(math.isnan(targets[step, row]) for step in range(length - 1))
    assert min(distances) == distance(length)


def test_marks_and_values_are_uniform() -> None:
    """A count among n of chance p is within 5 √(n p (1 - p)) of n p."""
    inputs, _ = draw(np.random.default_rng(2), 10, 8000)
    counts = inputs[..., 1].sum(1)
    assert np.abs(counts - 8000 / 5).max() < 5 * math.sqrt(8000 * 0.2 * 0.8)
    places = np.histogram(inputs[..., 0], bins=8, range=(0, 1))[0]
    assert np.abs(places - 10_000).max() < 5 * math.sqrt(80_000 / 8 * 7 / 8)
    marks = inputs[:5, :, 1].argmax(0), inputs[5:, :, 1].argmax(0)
    assert abs(np.corrcoef(*marks)[0, 1]) < 5 / math.sqrt(8000)


def test_the_baseline_is_what_the_best_constant_costs() -> None:
    _, targets = draw(np.random.default_rng(3), 6, 50_000)
    sums = targets[-1].astype(np.float64)
    spread = ((sums - 1) ** 2).std() / math.sqrt(len(sums))
    assert abs(((sums - 1) ** 2).mean() - baseline(6)) < 4 * spread
    assert abs(sums.mean() - 1) < 4 * sums.std() / math.sqrt(len(sums))


def test_right_and_solved() -> None:
    found, expected = torch.tensor([[1.0], [1.0], [1.0]]), torch.tensor([1.039, 1.041, 0.97])
    assert is_close(found, expected).tolist() == [True, False, True]
    assert PROBLEM.solved(Loss(0.099, 10)), "a mean of 0.0099"
    assert not PROBLEM.solved(Loss(0.101, 10))
