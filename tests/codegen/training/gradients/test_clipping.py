"""The gradient's norm is clipped over all weights together: what Adam is given, against the formula."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from codegen.training.initialization import initialize
from codegen.training.log import StepReport
from codegen.training.loop import train
from codegen.training.tasks.language import LanguageTask
from tests.codegen.training.gradients.resume import Crash
from tests.codegen.training.standin import make_config, make_corpus, make_model


@pytest.mark.parametrize("clip", [None, 0.05, 1000.0])
def test_clip(tmp_path: Path, clip: float | None) -> None:
    """Adam's first moment after one step is a tenth of the gradient (Pascanu et al., 2013, algorithm 1)."""
    config, corpus = make_config(clip=clip, checkpoint_every=1), make_corpus()
    model, mine = make_model(config, corpus), make_model(config, corpus)
    initialize(mine, config.initialization, biases=config.biases, seed=config.seed)
    inputs, targets = next(LanguageTask(corpus, config).batches(1))
    mine.loss(inputs, targets)[0].backward()
    gradients = {i: p.grad for i, p in enumerate(mine.parameters()) if p.grad is not None}
    norm = torch.stack([gradient.square().sum() for gradient in gradients.values()]).sum().sqrt().item()
    assert 0.05 < norm < 1000
    factor = 1.0 if clip is None or norm <= clip else clip / norm

    def crash(report: StepReport) -> None:
        if report.step == 2:
            raise Crash

    with pytest.raises(Crash):
        train(model, LanguageTask(corpus, config), config, tmp_path, on_step=crash)
    saved = load_file(tmp_path / "last.safetensors")
    for position, gradient in gradients.items():
        moment = saved[f"optimizer.{position}.exp_avg"]
        assert torch.allclose(moment, 0.1 * factor * gradient, rtol=1e-4, atol=1e-9)
