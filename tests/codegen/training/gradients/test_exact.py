"""Exact truncation against one graph an error, cut k steps before it."""

from pathlib import Path

import pytest
import torch

from codegen import build
from codegen.errors import ConfigError
from codegen.training.gradients.blocks import Blocks
from codegen.training.gradients.exact import METHOD, Exact
from codegen.training.model import LanguageModel, tensors_of
from tests.codegen.training.gradients.resume import assert_resumes
from tests.codegen.training.gradients.slow import (
    CELLS,
    Gradients,
    gradients_of,
    make_model,
    make_text,
    relative_error,
    windows,
    windows_slowly,
)
from tests.codegen.training.standin import make_config


@pytest.mark.parametrize(("cell", "moving"), [("lstm", False), *((cell, True) for cell in CELLS)])
@pytest.mark.parametrize(("k", "window"), [(1, 3), (2, 5), (3, 3), (4, 3), (7, 3), (4, 1), (13, 6)])
def test_gradients(cell: str, k: int, window: int, moving: bool) -> None:
    """From the start of a text on, where errors have fewer than k steps to go back."""
    model, text = make_model(cell), make_text(window * (3 + k // window))
    expected = windows_slowly(
        lambda first, step: max(0, step - k + 1), model, text, window, moving=moving, rerun=False
    )
    found = windows(Exact(k), model, text, window, moving=moving)
    for (taken, mine), (loss, slow) in zip(list(found), list(expected), strict=True):
        assert taken.loss.item() == pytest.approx(loss.item(), rel=1e-12)
        assert relative_error(mine, slow) < 1e-10


@pytest.mark.parametrize("cell", CELLS)
def test_longer_than_the_text_is_no_truncation(cell: str) -> None:
    """The gradients of all windows together, against backpropagation through the whole text at once."""
    model, text = make_model(cell), make_text(12)
    total: Gradients = {}
    for _, found in windows(Exact(12), model, text, 3, moving=False):
        total = {name: total.get(name, 0) + gradient for name, gradient in found.items()}
    loss, _ = model.loss(text[:-1], text[1:])
    (4 * loss).backward()
    assert relative_error(total, gradients_of(model)) < 1e-10


def test_overlapping_blocks_with_an_update_at_each_step_are_the_same() -> None:
    model, text = make_model("peephole-lstm"), make_text(12)
    exact, blocks = (
        list(windows(gradient, model, text, 1, moving=False)) for gradient in (Exact(5), Blocks(5))
    )
    for (_, mine), (_, theirs) in zip(exact, blocks, strict=True):
        assert relative_error(mine, theirs) < 1e-10


def test_trained_initial_states_get_their_errors() -> None:
    """Those of the first k steps of a text, and no others."""
    layer = build("gru", 3, 4, backend="eager", dtype=torch.float64, trainable_state=True)
    model, text = LanguageModel(layer, 7, 3, 4).double(), make_text(12)
    (_, first), (_, second) = windows(Exact(4), model, text, 6, moving=False)
    state = "layer.initial_s"
    assert state in first
    assert second.get(state, torch.zeros(())).abs().max() == 0
    errors = [
        model.criterion(model.layer(model.embed(text[: step + 1]))[0][-1:], text[step + 1 : step + 2])
        for step in range(4)
    ]
    (torch.stack(errors).sum() / 6).backward()
    assert relative_error({state: first[state]}, {state: gradients_of(model)[state]}) < 1e-10


def test_peak_is_that_of_the_last_state() -> None:
    model, text = make_model("lstm"), make_text(9)
    taken = [taken for taken, _ in windows(Exact(4), model, text, 3, moving=False)]
    for window, found in enumerate(taken, 1):
        _, last = model.layer(model.embedding(text[: 3 * window]))
        assert found.peak.item() == pytest.approx(max(t.abs().max().item() for t in tensors_of(last)))


def test_configuration() -> None:
    assert METHOD.make(make_config(bptt=9, update_every=4, constant_error=0.5)) == Exact(9, 0.5)


def test_bidirectional_layers_are_refused() -> None:
    layer = build("gru", 3, 4, backend="eager", bidirectional=True)
    text = make_text(4)
    with pytest.raises(ConfigError, match=r"exact truncation .* bidirectional"):
        Exact(2)(LanguageModel(layer, 7, 3, 8), text[:-1], text[1:], None)


@pytest.mark.parametrize(("bptt", "update_every"), [(1, 5), (12, 5)])
def test_resumes(tmp_path: Path, bptt: int, update_every: int) -> None:
    assert_resumes(tmp_path, gradient="exact", bptt=bptt, update_every=update_every)
