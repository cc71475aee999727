"""A checkpoint holds everything, or is refused."""

import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from codegen.errors import CheckpointError
from codegen.training.checkpoint import Progress, load_checkpoint, load_weights, save_checkpoint, save_weights
from codegen.training.evaluation import Loss
from codegen.training.log import EpochReport
from codegen.training.model import LanguageModel, State
from tests.codegen.training.standin import make_config, make_corpus, make_model

IDENTITY = {"config": {"cell": "x", "biases": {"b_f": 1.0}}, "data": "abc"}
PROGRESS = Progress(
    epoch=2,
    step=5,
    train_sum=0.1 + 0.2,
    last_loss=1 / 3,
    max_state=70.5,
    seconds=1e-9,
    log_bytes=17,
    history=[EpochReport(1, Loss(0.7, 2), Loss(0.9, 3), 1.5, 10.0, 2.0, True)],
)


def make(seed: int = 0) -> tuple[LanguageModel, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = make_model(make_config(), make_corpus())
    return model, torch.optim.Adam(model.parameters(), 0.01, fused=True)


def advance(model: LanguageModel, optimizer: torch.optim.Optimizer, state: State | None) -> State:
    tokens, targets = torch.randint(13, (2, 5, 4))
    optimizer.zero_grad()
    loss, state = model.loss(tokens, targets, state)
    loss.backward()
    optimizer.step()
    return tuple(tensor.detach() for tensor in state)


def test_going_on_is_exact(tmp_path: Path) -> None:
    """Weights, moments, carried state and the generator (which draws the tokens here) are all restored."""
    model, optimizer = make()
    state = advance(model, optimizer, None)
    save_checkpoint(tmp_path / "c", model, optimizer, state, PROGRESS, IDENTITY)
    state = advance(model, optimizer, state)

    other, other_optimizer = make(seed=1)
    checkpoint = load_checkpoint(tmp_path / "c")
    assert checkpoint.progress == PROGRESS
    checkpoint.require(IDENTITY)
    other_state = advance(other, other_optimizer, checkpoint.restore(other, other_optimizer))
    assert isinstance(other_state, tuple)
    for a, b in zip(state, other_state, strict=True):
        assert torch.equal(a, b)
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, other.state_dict()[name]), name


@pytest.mark.parametrize(
    "state",
    [None, torch.ones(1, 4, 7), (torch.ones(1, 4, 7),), tuple(torch.full((1, 1, 1), i) for i in range(12))],
)
def test_state_keeps_its_form(tmp_path: Path, state: State | None) -> None:
    model, optimizer = make()
    save_checkpoint(tmp_path / "c", model, optimizer, state, PROGRESS, IDENTITY)
    found = load_checkpoint(tmp_path / "c").restore(model, optimizer)
    assert type(found) is type(state)
    if isinstance(state, Tensor):
        assert isinstance(found, Tensor)
        assert torch.equal(found, state)
    elif state is not None:
        assert found is not None
        assert len(found) == len(state)
        assert all(torch.equal(a, b) for a, b in zip(found, state, strict=True))


def test_another_run_is_refused_field_by_field(tmp_path: Path) -> None:
    model, optimizer = make()
    save_checkpoint(tmp_path / "c", model, optimizer, None, PROGRESS, IDENTITY)
    now = {"config": {"cell": "x", "biases": {}, "clip": 5.0}, "data": "abd"}
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path / "c").require(now)
    message = str(caught.value)
    for part in (
        "config.biases.b_f was 1.0 and is now None",
        "config.clip was None and is now 5.0",
        "data was 'abc' and is now 'abd'",
    ):
        assert part in message
    assert "config.cell" not in message


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_full_disk_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    model, optimizer = make()
    path = tmp_path / "c"
    save_checkpoint(path, model, optimizer, None, PROGRESS, IDENTITY)
    before = path.read_bytes()

    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    advance(model, optimizer, None)
    with monkeypatch.context() as patch:
        patch.setattr(os, function, fail)
        with pytest.raises(OSError, match="No space left"):
            save_checkpoint(path, model, optimizer, None, PROGRESS, IDENTITY)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["c"]


def test_damaged_file(tmp_path: Path) -> None:
    model, optimizer = make()
    path = tmp_path / "c"
    save_checkpoint(path, model, optimizer, None, PROGRESS, IDENTITY)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match="is damaged or not a safetensors file"):
        load_checkpoint(path)


def test_weights_file_is_no_checkpoint(tmp_path: Path) -> None:
    model, _ = make()
    save_weights(tmp_path / "w", model)
    with pytest.raises(CheckpointError, match="is marked None; expected 'cellwright checkpoint 1'"):
        load_checkpoint(tmp_path / "w")


def test_weights_there_and_back(tmp_path: Path) -> None:
    model, _ = make()
    other, _ = make(seed=1)
    assert not torch.equal(model.decoder.weight, other.decoder.weight)
    save_weights(tmp_path / "w", model)
    load_weights(tmp_path / "w", other)
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, other.state_dict()[name]), name


def test_no_weights_yet(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no file .*best: has the run finished an epoch\?"):
        load_weights(tmp_path / "best", make()[0])
