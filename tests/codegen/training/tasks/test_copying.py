"""The copying problem, by its definition."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from codegen.training.evaluation import Loss
from codegen.training.tasks.copying import BLANK, PROBLEM, SIGNAL, baseline, distance, draw, is_copied
from tests.codegen.training.tasks.scripted import Scripted


def test_an_example_by_hand() -> None:
    """Three blank steps, the signal in place of the last of them."""
    symbols = [3, 1, 4, 1, 5, 0, 2, 6, 5, 3]
    dice = Scripted([[s] for s in symbols])
    inputs, targets = draw(dice, 3, 1)
    assert dice.ranges == [(0, 8)]
    assert inputs.argmax(-1)[:, 0].tolist() == [*symbols, 8, 8, 9, *[8] * 10]
    assert targets[:, 0].tolist() == [*[8] * 13, *symbols]


@pytest.mark.parametrize("length", [1, 12])
def test_every_sequence_keeps_to_the_definition(length: int) -> None:
    inputs, targets = draw(np.random.default_rng(1), length, 50)
    assert inputs.shape == (length + 20, 50, 10)
    assert targets.shape == (length + 20, 50)
    assert (inputs.sum(-1) == 1).all()
    for row in range(50):
        read = [int(step.argmax()) for step in inputs[:, row]]
        asked = targets[:, row].tolist()
        assert all(0 <= symbol < 8 for symbol in read[:10])
        assert read[10:] == [BLANK] * (length - 1) + [SIGNAL] + [BLANK] * 10
        assert asked == [BLANK] * (length + 10) + read[:10]
        assert all(asked[step + distance(length)] == read[step] for step in range(10))


def test_the_baseline_is_silence_and_then_a_guess() -> None:
    """As logits: certain of the blank while it is asked, and of equal odds for the symbols after it."""
    _, targets = draw(np.random.default_rng(2), 30, 20)
    logits = torch.full((50, 20, 10), -100.0)
    logits[:40, :, BLANK] = 100
    logits[40:, :, :8] = 0
    loss = F.cross_entropy(logits.flatten(0, 1), torch.from_numpy(targets).flatten())
    assert loss.item() == pytest.approx(baseline(30), rel=1e-6)
    assert baseline(30) == pytest.approx(10 * math.log(8) / 50)


def test_only_symbols_are_judged() -> None:
    expected = torch.tensor([BLANK, BLANK, 3, 5])
    found = F.one_hot(torch.tensor([BLANK, 0, 3, 4]), 10).float()
    assert is_copied(found, expected).tolist() == [True, False]
    assert PROBLEM.solved(Loss(1.0, 1, correct=0.99))
    assert not PROBLEM.solved(Loss(0.0, 1, correct=0.98))
