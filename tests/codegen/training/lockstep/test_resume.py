"""Begun in lockstep and finished alone, begun alone and finished in lockstep, and cut off anywhere."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import codegen.training.run as run_module
from codegen.errors import CheckpointError
from codegen.training.checkpoint import load_checkpoint, save_checkpoint
from codegen.training.log import StepReport
from codegen.training.model import LanguageModel
from tests.codegen.training.lockstep.trials import (
    OnStep,
    alone,
    assert_same,
    configs,
    lockstep,
    prepare,
)


class Crash(Exception):
    pass


def crash(at: tuple[int, int]) -> OnStep:
    def raise_at(model: LanguageModel, report: StepReport) -> None:
        if (report.epoch, report.step) == at:
            raise Crash

    return raise_at


def press_ctrl_c(at: tuple[int, int]) -> OnStep:
    def press(model: LanguageModel, report: StepReport) -> None:
        if (report.epoch, report.step) == at:
            signal.raise_signal(signal.SIGINT)

    return press


def positions(directory: Path) -> list[tuple[int, int]]:
    """Where the three checkpoints are."""
    found = [load_checkpoint(directory / name / "last.safetensors").progress for name in "012"]
    return [(progress.epoch, progress.step) for progress in found]


def finish(directory: Path, undisturbed: Path, how: Callable[[list[Any]], object] = lockstep) -> None:
    """Go on to the end and compare with runs that nothing has disturbed."""
    how([prepare(config, directory) for config in configs()])
    for name in "012":
        assert_same(directory / name, undisturbed / name)


@pytest.mark.parametrize("at", [(1, 1), (1, 13), (2, 12), (2, 19)])
@pytest.mark.parametrize(
    "how", [lockstep, lambda trainings: [*map(alone, trainings)]], ids=["lockstep", "alone"]
)
def test_begun_in_lockstep(
    tmp_path: Path, undisturbed: Path, at: tuple[int, int], how: Callable[[list[Any]], object]
) -> None:
    """A crash in one member is a crash of all."""
    first, second, third = configs()
    with pytest.raises(Crash):
        lockstep(
            [
                prepare(first, tmp_path),
                prepare(second, tmp_path, on_step=crash(at)),
                prepare(third, tmp_path),
            ]
        )
    finish(tmp_path, undisturbed, how)


def test_begun_alone_and_caught_up(
    tmp_path: Path, undisturbed: Path, stacks: list[tuple[tuple[int, int], int]]
) -> None:
    """Checkpoints at three different steps: those behind go first, and take the others along as they meet."""
    for config, at in zip(configs(), ((2, 13), (1, 3), (1, 14)), strict=True):
        with pytest.raises(Crash):
            alone(prepare(config, tmp_path, on_step=crash(at)))
    finish(tmp_path, undisturbed)
    assert stacks == [((1, 0), 1), ((1, 12), 2), ((2, 12), 3)]


@pytest.mark.parametrize(
    ("checkpoints", "expected"),
    [
        (1, [(1, 12), None, None]),
        (4, [(2, 0), (1, 12), (1, 12)]),
        (8, [(2, 12), (2, 12), (2, 0)]),
        (11, [(3, 0), (3, 0), (2, 12)]),
    ],
)
def test_killed_between_two_checkpoints(
    tmp_path: Path,
    undisturbed: Path,
    monkeypatch: pytest.MonkeyPatch,
    checkpoints: int,
    expected: list[tuple[int, int] | None],
) -> None:
    """Of the three checkpoints that are due only some are written."""
    left = iter(range(checkpoints))

    def save_some(*arguments: Any) -> None:
        if next(left, None) is None:
            raise Crash
        save_checkpoint(*arguments)

    trainings = [prepare(config, tmp_path) for config in configs()]
    monkeypatch.setattr(run_module, "save_checkpoint", save_some)
    with pytest.raises(Crash):
        lockstep(trainings)
    monkeypatch.undo()
    if None not in expected:
        assert positions(tmp_path) == expected
    finish(tmp_path, undisturbed)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("at", [(1, 10), (2, 20)])
def test_ctrl_c_leaves_checkpoints_of_that_step(
    tmp_path: Path, undisturbed: Path, at: tuple[int, int]
) -> None:
    first, *others = configs()
    with pytest.raises(KeyboardInterrupt):
        lockstep(
            [
                prepare(first, tmp_path, on_step=press_ctrl_c(at)),
                *(prepare(config, tmp_path) for config in others),
            ]
        )
    assert positions(tmp_path) == [at] * 3
    finish(tmp_path, undisturbed)


def test_finished_ones_are_reported_again(tmp_path: Path, undisturbed: Path) -> None:
    """One finished before the others began, and then all."""
    first, *_ = configs()
    alone(prepare(first, tmp_path))
    files = {path: path.read_bytes() for path in (tmp_path / "0").iterdir()}
    finish(tmp_path, undisturbed)
    assert {path: path.read_bytes() for path in (tmp_path / "0").iterdir()} == files
    steps: list[StepReport] = []
    again = lockstep(
        [prepare(config, tmp_path, on_step=lambda _, report: steps.append(report)) for config in configs()]
    )
    assert steps == []
    assert [len(result.history) for result in again] == [2, 2, 2]


def test_other_options_are_refused(tmp_path: Path) -> None:
    lockstep([prepare(config, tmp_path) for config in configs(epochs=1)])
    with pytest.raises(CheckpointError, match=r"config\.epochs was 1 and is now 2"):
        lockstep([prepare(config, tmp_path) for config in configs()])
