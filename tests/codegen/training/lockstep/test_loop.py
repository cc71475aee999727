"""Trainings in lockstep leave what each would have left alone, and one that diverges leaves the others be."""

from pathlib import Path
from typing import Any

import pytest
import torch

from codegen.errors import ConfigError, Diverged
from codegen.study.protocol import OWN as STUDY_OWN
from codegen.training.lockstep.loop import OWN
from codegen.training.log import StepReport
from codegen.training.model import LanguageModel
from codegen.training.run import Run
from tests.codegen.training.lockstep.trials import (
    OnStep,
    alone,
    assert_close,
    assert_same,
    configs,
    lockstep,
    log_of,
    prepare,
)


@pytest.mark.parametrize(
    ("cell", "clip"), [("lstm", 0.5), ("gru", None), ("peephole-lstm", None), ("normalized-prototype", 0.1)]
)
def test_numbers_are_those_of_single_runs(tmp_path: Path, cell: str, clip: float | None) -> None:
    """Losses of all steps, epochs, weights, moments, states, generators; seeds and rates differ."""
    found = configs(cell=cell, clip=clip)
    results = lockstep([prepare(config, tmp_path / "lockstep") for config in found])
    for config, result in zip(found, results, strict=True):
        single = alone(prepare(config, tmp_path / "alone"))
        assert_same(result.run_dir, single.run_dir)
        assert (result.best.epoch, len(result.history)) == (single.best.epoch, len(single.history))


def test_float32_agrees_to_its_rounding(tmp_path: Path) -> None:
    """To 1e-6 of the largest values after three epochs, as measured; twice that is asked after one."""
    found = configs(epochs=1)
    results = lockstep([prepare(config, tmp_path / "lockstep", dtype=torch.float32) for config in found])
    for config, result in zip(found, results, strict=True):
        single = alone(prepare(config, tmp_path / "alone", dtype=torch.float32))
        assert_same(result.run_dir, single.run_dir, 2e-6)


def test_members_stop_when_they_would_have_alone(
    tmp_path: Path, stacks: list[tuple[tuple[int, int], int]]
) -> None:
    found = configs((1e-3, 1e-3, 0.1, 0.5, 1.0), epochs=4, patience=1)[2:]
    results = lockstep([prepare(config, tmp_path / "lockstep") for config in found])
    lengths = [len(result.history) for result in results]
    assert lengths == [4, 3, 2], "the larger the rate, the sooner the validation loss rises"
    assert stacks == [((1, 0), 3), ((3, 0), 2), ((4, 0), 1)], "stacked anew when one has stopped"
    for config, result in zip(found, results, strict=True):
        single = alone(prepare(config, tmp_path / "alone"))
        assert_same(result.run_dir, single.run_dir, 1e-3)  # such rates magnify roundings
        assert result.best.epoch == single.best.epoch


def test_models_stand_alone_afterwards(tmp_path: Path) -> None:
    trainings = [prepare(config, tmp_path) for config in configs(epochs=1)]
    lockstep(trainings)
    for training in trainings:
        for weight in training.model.parameters():
            assert weight.untyped_storage().nbytes() == weight.nbytes
            assert weight.grad is None


def poison(at: tuple[int, int]) -> OnStep:
    """Put NaN into a model's weights after a step."""

    def fill(model: LanguageModel, report: StepReport) -> None:
        if (report.epoch, report.step) == at:
            with torch.no_grad():
                model.decoder.bias.fill_(torch.nan)

    return fill


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize(
    ("at", "what", "step"),
    [((2, 6), "loss", 7), ((1, 12), "weights", 12), ((1, 20), "validation loss", 20)],
)
def test_poison_stays_where_it_is(
    tmp_path: Path,
    undisturbed: Path,
    monkeypatch: pytest.MonkeyPatch,
    every: int,
    at: tuple[int, int],
    what: str,
    step: int,
) -> None:
    """The poisoned one ends as a single run does; losses may be read some at a time, as on an accelerator."""
    begin = Run.__init__

    def begin_lazily(self: Run, *arguments: Any, **options: Any) -> None:
        begin(self, *arguments, **options)
        self.drain_every = every

    monkeypatch.setattr(Run, "__init__", begin_lazily)
    *others, spoiled = configs((1e-3, 3e-3, 1e-2, 2e-3))
    trainings = [prepare(config, tmp_path / "lockstep") for config in others]
    trainings.insert(1, prepare(spoiled, tmp_path / "lockstep", on_step=poison(at)))
    results = lockstep(trainings)
    for config in others:
        name = str(config.seed)
        assert_same(tmp_path / "lockstep" / name, undisturbed / name)
    with pytest.raises(Diverged, match=f"^the {what} became nan at epoch {at[0]}, step {step} ") as caught:
        alone(prepare(spoiled, tmp_path / "alone", on_step=poison(at)))
    assert isinstance(results[1], Diverged)
    assert str(results[1]) == str(caught.value)
    assert len(results[1].history) == len(caught.value.history) == at[0] - 1
    mine, its = (log_of(tmp_path / way / str(spoiled.seed)) for way in ("lockstep", "alone"))
    assert len(mine) == len(its)
    assert_close(mine[-1], its[-1])
    assert mine[-1]["event"] == "diverged"


def test_all_diverge(tmp_path: Path) -> None:
    found = configs((1e38, 1e38))
    results = lockstep([prepare(config, tmp_path, dtype=torch.float32) for config in found])
    assert [type(result) for result in results] == [Diverged, Diverged]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clip": 1.0}, "clip is 1.0 in one configuration and None in another; in lockstep only seed and"),
        ({"cell": "gru"}, "cell is 'gru' in one"),
    ],
)
def test_only_seeds_and_rates_may_differ(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    first, second = (*configs((1e-3,)), *configs((1e-3,), **changes))
    with pytest.raises(ConfigError, match=message):
        lockstep([prepare(first, tmp_path), prepare(second, tmp_path)])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gradient": "exact"}, "gradient is 'exact', "),
        ({"update_every": 3}, "update_every 3, "),
        ({"constant_error": 0.5}, "constant_error 0.5; in lockstep they can only be"),
    ],
)
def test_other_gradients_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        lockstep([prepare(config, tmp_path) for config in configs(**changes)])


def test_updates_of_whole_blocks_are_not(tmp_path: Path) -> None:
    (config,) = configs((1e-3,), epochs=1, update_every=5)
    lockstep([prepare(config, tmp_path / "lockstep")])
    alone(prepare(config, tmp_path / "alone"))
    assert_same(tmp_path / "lockstep" / "0", tmp_path / "alone" / "0")


def test_a_study_forms_stacks_of_what_may_differ() -> None:
    assert STUDY_OWN == OWN
