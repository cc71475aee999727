"""Blocks against one graph an error, cut where its block begins."""

from pathlib import Path

import pytest
import torch

from codegen.training.gradients import Taken
from codegen.training.gradients.blocks import METHOD, Blocks, backpropagate
from codegen.training.model import tensors_of
from tests.codegen.training.gradients.resume import assert_resumes
from tests.codegen.training.gradients.slow import (
    CELLS,
    make_model,
    make_text,
    relative_error,
    windows,
    windows_slowly,
)
from tests.codegen.training.standin import make_config


def start_of_block(k: int, window: int, first: int, step: int) -> int:
    """Batches begin with a block; shorter ones end with one."""
    if k <= window:
        return step - (step - first) % k
    return max(0, first + window - k)


@pytest.mark.parametrize(("cell", "moving"), [("lstm", False), *((cell, True) for cell in CELLS)])
@pytest.mark.parametrize(("k", "window"), [(2, 6), (4, 6), (1, 3), (5, 5), (8, 6), (5, 2), (4, 2), (7, 1)])
def test_gradients(cell: str, k: int, window: int, moving: bool) -> None:
    """Blocks shorter than a batch, as long, and longer, over consecutive windows."""
    model, text = make_model(cell), make_text(window * (3 + k // window))
    expected = windows_slowly(
        lambda first, step: start_of_block(k, window, first, step),
        *(model, text, window),
        moving=moving,
        rerun=True,
    )
    found = windows(Blocks(k), model, text, window, moving=moving)
    for (taken, mine), (loss, slow) in zip(list(found), list(expected), strict=True):
        assert taken.loss.item() == pytest.approx(loss.item(), rel=1e-12)
        assert relative_error(mine, slow) < 1e-10


def test_whole_batches_keep_their_bits() -> None:
    """A block of one batch is the plain backpropagation that it has always been."""
    model, text = make_model("lstm"), make_text(12)
    plain, blocks = (
        list(windows(gradient, model, text, 4, moving=True)) for gradient in (backpropagate, Blocks(4))
    )
    for (a, mine), (b, theirs) in zip(plain, blocks, strict=True):
        assert torch.equal(a.loss, b.loss)
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)
        assert all(torch.equal(x, y) for x, y in zip(tensors_of(a.carry), tensors_of(b.carry), strict=True))


@pytest.mark.parametrize("k", [2, 4, 6])
def test_peak_is_that_of_the_last_state(k: int) -> None:
    model, text = make_model("lstm"), make_text(4)
    taken: Taken
    ((taken, _),) = windows(Blocks(k), model, text, 4, moving=False)
    _, last = model.layer(model.embedding(text[:4]))
    assert taken.peak.item() == pytest.approx(max(t.abs().max().item() for t in last), rel=1e-12)


def test_configuration() -> None:
    assert METHOD.make(make_config(bptt=9, update_every=4, constant_error=0.5)) == Blocks(9, 0.5)


@pytest.mark.parametrize(("bptt", "update_every"), [(3, 5), (12, 5)])
def test_resumes(tmp_path: Path, bptt: int, update_every: int) -> None:
    assert_resumes(tmp_path, gradient="blocks", bptt=bptt, update_every=update_every)
