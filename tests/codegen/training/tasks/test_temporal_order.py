"""Temporal order of two and of three symbols, by its definition."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from codegen.training.evaluation import Loss
from codegen.training.tasks import temporal_order, temporal_order_three
from codegen.training.tasks.readout import IGNORED
from codegen.training.tasks.temporal_order import END, START, X, Y
from tests.codegen.training.tasks.scripted import Scripted

TWO, THREE = temporal_order.PROBLEM, temporal_order_three.PROBLEM


def test_an_example_by_hand() -> None:
    """100 steps of a, but for E, B and, in three sequences, Y … X, X … Y, Y … Y."""
    dice = Scripted(np.zeros((100, 3)), [10, 20, 15], [1, 0, 1], [50, 60, 55], [0, 1, 1])
    inputs, targets = TWO.draw(dice, 100, 3)
    assert dice.ranges == [(0, 4), (10, 21), (0, 2), (50, 61), (0, 2)]
    for row, places in enumerate(({10: Y, 50: X}, {20: X, 60: Y}, {15: Y, 55: Y})):
        read = inputs[:, row].argmax(-1)
        assert {step: read[step] for step in np.flatnonzero(read)} == {0: START, **places, 99: END}
    assert targets[-1].tolist() == [2, 1, 3]
    assert (targets[:-1] == IGNORED).all()


@pytest.mark.parametrize("length", [10, 37, 100])
@pytest.mark.parametrize("problem", [TWO, THREE])
def test_every_sequence_keeps_to_the_definition(problem: Any, length: int) -> None:
    shares = [(0.1, 0.2), (0.5, 0.6)] if problem is TWO else [(0.1, 0.2), (0.33, 0.43), (0.66, 0.76)]
    inputs, targets = problem.draw(np.random.default_rng(1), length, 200)
    assert (inputs.sum(-1) == 1).all()
    seen, distances = set(), []
    for row in range(200):
        read = [int(step.argmax()) for step in inputs[:, row]]
        assert (read[0], read[-1]) == (START, END)
        relevant = [step for step in range(length) if read[step] in (X, Y)]
        assert all(read[step] < 4 for step in range(1, length - 1) if step not in relevant)
        for step, (low, high) in zip(relevant, shares, strict=True):
            assert math.floor(low * length + 1e-9) <= step <= math.floor(high * length + 1e-9)
        distances.append(length - 1 - relevant[0])
        digits = "".join("Y" if read[step] == Y else "X" for step in relevant)
        assert targets[-1, row] == int(digits.replace("X", "0").replace("Y", "1"), 2)
        assert (targets[:-1, row] == IGNORED).all()
        seen.add(digits)
    assert min(distances) == problem.distance(length)
    assert len(seen) == problem.classes == 2 ** len(shares)


@pytest.mark.parametrize("problem", [TWO, THREE])
def test_classes_are_equally_likely(problem: Any) -> None:
    """So that their entropy is the baseline; the end of a sequence, without memory, says nothing of it."""
    _, targets = problem.draw(np.random.default_rng(2), 20, 8000)
    shares = np.bincount(targets[-1], minlength=problem.classes) / 8000
    assert np.abs(shares - 1 / problem.classes).max() < 5 * math.sqrt(0.25 / 8000)
    assert problem.baseline(20) == pytest.approx(math.log(problem.classes))


def test_right_and_solved() -> None:
    logits = torch.tensor([[0.0, 2.0, 1.0, 0.0], [3.0, 2.0, 1.0, 0.0]])
    assert TWO.right(logits, torch.tensor([1, 3])).tolist() == [True, False]
    assert TWO.solved(Loss(1.0, 1, correct=0.99))
    assert not TWO.solved(Loss(0.0, 1, correct=0.98))
