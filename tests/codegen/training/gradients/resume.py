"""A training that is killed at a step and resumed, against one that is not."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from codegen import build
from codegen.training.data import parse_corpus
from codegen.training.log import StepReport
from codegen.training.loop import train
from codegen.training.model import LanguageModel
from codegen.training.tasks.language import LanguageTask
from tests.codegen.training.standin import make_config, make_files


class Crash(Exception):
    pass


def losses_of(directory: Path, crash_at: tuple[int, int] | None = None, **changes: Any) -> list[float]:
    """Of the steps that were taken; checkpoints are at every seventh."""
    config, corpus = make_config(cell="lstm", epochs=2, **changes), parse_corpus(make_files(60))
    layer = build("lstm", config.embedding_size, config.hidden_size, backend="eager")
    sizes = len(corpus.vocabulary), config.embedding_size, config.hidden_size
    losses: list[float] = []

    def note(report: StepReport) -> None:
        losses.append(report.loss)
        if (report.epoch, report.step) == crash_at:
            raise Crash

    train(LanguageModel(layer, *sizes), LanguageTask(corpus, config), config, directory / "run", on_step=note)
    return losses


def assert_resumes(directory: Path, **changes: Any) -> None:
    """The same losses and, bit by bit, the same last checkpoint: soon after the start, and later."""
    expected = losses_of(directory / "undisturbed", **changes)
    for at in [(1, 8), (2, 9)]:
        crashed = directory / f"crashed at {at}"
        with pytest.raises(Crash):
            losses_of(crashed, at, **changes)
        resumed = losses_of(crashed, **changes)
        assert 0 < len(resumed) < len(expected)
        assert resumed == expected[-len(resumed) :]
        last, same = (load_file(d / "run" / "last.safetensors") for d in (crashed, directory / "undisturbed"))
        assert last.keys() == same.keys()
        assert all(torch.equal(last[name], same[name]) for name in last)
