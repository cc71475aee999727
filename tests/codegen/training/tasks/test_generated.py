"""Generated tasks: which batches there are, resumed runs, validation, and a task of one's own."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import codegen.training.tasks as package
from codegen.errors import CheckpointError, ConfigError, TrainingError
from codegen.training import StepReport, TrainingConfig, TrainingResult, train
from codegen.training.tasks import find_task, tasks
from codegen.training.tasks.generated import VALID_BATCHES, GeneratedTask
from tests.codegen.training.standin import StandIn, make_config

NAMES = tuple(tasks())


def config_for(name: str, **changes: Any) -> TrainingConfig:
    return make_config(task=name, **{"length": 12, "epoch_steps": 6, "epochs": 2, **changes})


def task_for(name: str, **changes: Any) -> GeneratedTask:
    config = config_for(name, **changes)
    task = find_task(name).make_task(config, torch.device("cpu"))
    assert isinstance(task, GeneratedTask)
    return task


def model_for(name: str, config: TrainingConfig) -> Any:
    kind = find_task(name)
    return kind.make_model(StandIn(kind.input_size, config.hidden_size), config)


def run(name: str, directory: Path, on_step: Any = None, **changes: Any) -> TrainingResult:
    config = config_for(name, **changes)
    task = find_task(name).make_task(config, torch.device("cpu"))
    return train(model_for(name, config), task, config, directory, on_step=on_step)


def numbers(batch: tuple[torch.Tensor, torch.Tensor]) -> tuple[bytes, bytes]:
    return batch[0].numpy().tobytes(), batch[1].numpy().tobytes()


def test_the_tasks_are_found() -> None:
    assert {"adding", "copying", "temporal-order", "temporal-order-three"} <= {*NAMES}
    with pytest.raises(ConfigError, match="no task 'coping'; did you mean 'copying'"):
        config_for("coping")


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_depends_on_seed_epoch_and_step_alone(name: str) -> None:
    batches = [
        numbers(batch)
        for seed in (0, 1, 2**32, 2**63 - 1)
        for epoch in (1, 2)
        for batch in task_for(name, seed=seed).batches(epoch)
    ]
    assert len(set(batches)) == 4 * 2 * 6
    task = task_for(name, seed=1)
    torch.manual_seed(99)
    np.random.seed(99)
    assert [numbers(batch) for batch in task.batches(2, start=4)] == batches[22:24]


@pytest.mark.parametrize("name", NAMES)
def test_validation_is_the_same_for_all_seeds_and_no_part_of_training(name: str) -> None:
    first, second = (task_for(name, seed=seed) for seed in (0, 1))
    valid = [numbers(batch) for batch in first.valid]
    assert len(set(valid)) == VALID_BATCHES
    assert [numbers(batch) for batch in second.valid] == valid
    trained = [numbers(batch) for epoch in (1, 2) for batch in first.batches(epoch)]
    assert not set(valid) & set(trained)


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_is_the_mean_over_the_answers(name: str) -> None:
    """Against each sequence by itself: the mean loss, and the share of right answers."""
    torch.manual_seed(0)
    config = config_for(name)
    task, model = task_for(name), model_for(name, config)
    losses, right = [], []
    for inputs, targets in task.valid:
        for row in range(config.batch_size):
            one, expected = inputs[:, row : row + 1], targets[:, row : row + 1]
            outputs, _ = model.layer(one)
            losses.append(model.criterion(outputs, expected).item())
            right += task.problem.right(*model.answers(outputs, expected)).tolist()
    found = task.evaluate(model)
    assert found.nats == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert found.correct == pytest.approx(sum(right) / len(right))
    assert found.batches == VALID_BATCHES
    assert model.training


def crash_in_the_second_epoch(report: StepReport) -> None:
    if (report.epoch, report.step) == (2, 3):
        raise KeyError


@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_run_ends_as_an_undisturbed_one(name: str, tmp_path: Path) -> None:
    """The checkpoint is that of step 2; the steps after it are drawn again."""
    undisturbed = run(name, tmp_path / "undisturbed", checkpoint_every=2)
    with pytest.raises(KeyError):
        run(name, tmp_path / "resumed", crash_in_the_second_epoch, checkpoint_every=2)
    torch.manual_seed(12345)
    resumed = run(name, tmp_path / "resumed", checkpoint_every=2)
    assert [r.valid for r in resumed.history] == [r.valid for r in undisturbed.history]
    assert [r.train for r in resumed.history] == [r.train for r in undisturbed.history]
    last = [load_file(tmp_path / which / "last.safetensors") for which in ("undisturbed", "resumed")]
    assert all(torch.equal(last[0][key], last[1][key]) for key in last[0])


def test_a_run_is_not_resumed_with_other_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("adding", tmp_path)
    with pytest.raises(CheckpointError, match=r"config\.length was 12 and is now 13"):
        run("adding", tmp_path, length=13)
    monkeypatch.setattr(np.random, "SeedSequence", lambda seed, spawn_key: [seed, *spawn_key])
    with pytest.raises(CheckpointError, match="generated_sha256 was"):
        run("adding", tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_defaults_reach_back_through_the_whole_sequence(name: str) -> None:
    """And what is counted as read in a batch is what it has."""
    task = task_for(name)
    (inputs, targets), *_ = task.valid
    defaults = find_task(name).defaults(12)
    assert defaults["bptt"] == len(inputs) == len(targets)
    assert task.predictions == targets.numel()
    assert config_for(name, **defaults).hidden_size == defaults["hidden_size"]


def test_training_ends_where_the_task_is_solved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GeneratedTask, "solved", lambda self, valid: True)
    assert len(run("adding", tmp_path).history) == 1


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="length is 9; the task 'temporal-order' takes 10 at least"):
        task_for("temporal-order", length=9)
    model = model_for("temporal-order", config_for("temporal-order"))
    with pytest.raises(TrainingError, match=r"the model's output has size 4; .* call for 8"):
        task_for("temporal-order-three").check(model)
    with pytest.raises(TrainingError, match=r"the model's input has size 8; .* call for 2"):
        task_for("adding").check(model)
    with pytest.raises(TrainingError, match=r"the model's state has size 7; .* call for 9"):
        task_for("temporal-order", hidden_size=9).check(model)


OWN = """
import math
import numpy as np
from codegen.training.tasks.generated import Problem, is_largest, one_hot

def draw(rng, length, rows):
    bits = rng.integers(0, 2, (length, rows))
    return one_hot(bits, 2), bits.cumsum(0) % 2

TASK = Problem(
    "parity", "whether the ones so far are odd", 2, 2, 1, lambda length: length, draw,
    lambda length: math.log(2), lambda length: length - 1, is_largest, lambda valid: valid.correct == 1.0,
).kind()
"""


@pytest.fixture
def own_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One more file in the folder of the tasks, as far as Python can tell."""
    (tmp_path / "parity.py").write_text(OWN)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    tasks.cache_clear()
    yield
    tasks.cache_clear()
    sys.modules.pop("codegen.training.tasks.parity", None)


@pytest.mark.usefixtures("own_task")
def test_a_task_is_one_file(tmp_path: Path) -> None:
    """Of running parity, every step is asked; at length 3 it takes a second to learn."""
    assert "parity" in tasks()
    result = run(
        "parity",
        tmp_path / "run",
        length=3,
        epochs=30,
        patience=30,
        epoch_steps=50,
        learning_rate=0.05,
    )
    assert result.history[-1].valid.correct == 1.0
    assert len(result.history) < 30, "training ends when it is solved"
    inputs, targets = next(task_for("parity").batches(1))
    for row in range(4):
        ones = 0
        for step in range(12):
            ones += int(inputs[step, row, 1])
            assert targets[step, row] == ones % 2
