"""A study's trials as trainings: alone, in lockstep, and when which."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import derive
from codegen.study.protocol import Data, Options
from codegen.study.results import Epoch, Outcome
from codegen.study.training_trial import TrainingRunner
from codegen.study.worker import Assignment, Ended
from tests.codegen.study.trials import TINY, make_protocol


class Listener:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.about: Mapping[str, Any] = {}
        self.steps, self.epochs = 0, []

    def begin(self, about: Mapping[str, Any]) -> None:
        self.about = about

    def step(self) -> None:
        self.steps += 1

    def epoch(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)


def runner(lockstep: bool = True, **training: Any) -> TrainingRunner:
    protocol = make_protocol(
        training={**TINY, **training}, data=Data("embedded", train_tokens=600, valid_tokens=300)
    )
    return TrainingRunner(protocol, None, derive.cell, choice=lambda device, trials: (lockstep, "a test"))


def assignments(directory: Path, cell: str = "gru") -> list[Assignment]:
    points = [{"cell": cell, "learning_rate": rate, "seed": 0} for rate in (0.01, 0.001)]
    return [Assignment(point, directory / str(i), Listener()) for i, point in enumerate(points)]


def numbers(ended: Ended) -> list[float]:
    return [value for epoch in ended.epochs for value in (epoch.train, epoch.valid, epoch.max_state)]


def test_lockstep_gives_the_numbers_of_one_at_a_time(tmp_path: Path) -> None:
    trainer = runner()
    together = assignments(tmp_path / "together")
    apart = assignments(tmp_path / "apart")
    both = trainer.run(together)
    for team, single in zip(both, apart, strict=True):
        (alone,) = trainer.run([single])
        assert (team.outcome, alone.outcome) == (Outcome.FINISHED, Outcome.FINISHED)
        assert numbers(team) == pytest.approx(numbers(alone), rel=1e-5)
    assert both[0].epochs[0].valid != both[1].epochs[0].valid
    for one, other in zip(together, apart, strict=True):
        heard, alone_heard = one.observer, other.observer
        assert isinstance(heard, Listener)
        assert isinstance(alone_heard, Listener)
        assert (heard.steps, len(heard.epochs)) == (alone_heard.steps, 2)
        assert heard.about["command"] == alone_heard.about["command"]
        assert heard.about["data_sha256"] == trainer.data_sha256


@pytest.mark.parametrize(
    ("lockstep", "changes", "expected"),
    [
        (True, {}, 4),  # two rates by two seeds
        (False, {}, 1),
        (True, {"gradient": "exact"}, 1),
        (True, {"constant_error": 0.1}, 1),
        (True, {"backend": "native"}, 1),
        (True, {"task": "adding"}, 1),
    ],
)
def test_what_goes_together(lockstep: bool, changes: Mapping[str, Any], expected: int) -> None:
    options: Options = {"cell": "gru", "learning_rate": 0.01, "seed": 0}
    assert runner(lockstep, **changes).together(options) == expected


def test_a_diverged_trial_is_a_result(tmp_path: Path) -> None:
    options: Options = {"cell": "vanilla", "learning_rate": 1e38, "seed": 0}
    (ended,) = runner().run([Assignment(options, tmp_path, Listener())])
    assert ended.outcome == Outcome.DIVERGED
    assert "became" in ended.message


def test_where_the_numbers_are_from(tmp_path: Path) -> None:
    listener = Listener()
    runner().run([Assignment({"cell": "gru", "learning_rate": 0.01, "seed": 0}, tmp_path, listener)])
    assert listener.about["command"].startswith("cellwright train gru --batch-size 4 --bptt 5")
    assert "--train-tokens 600 --valid-tokens 300" in listener.about["command"]
    assert len(listener.about["cell_sha256"]) == 64
    assert listener.about["backend"] == "eager"
