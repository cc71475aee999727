"""A small corpus, and torch's LSTM behind the interface of the layers that `codegen.build` makes."""

import time
from typing import Any

import torch
from torch import Tensor, nn

from codegen.training.config import TrainingConfig
from codegen.training.data import Corpus, parse_corpus
from codegen.training.log import StepReport
from codegen.training.loop import train
from codegen.training.model import LanguageModel
from codegen.training.tasks.language import LanguageTask

GATES = ("i", "f", "g", "o")  # in the order of torch's packed weights


class StandIn(nn.LSTM):
    """An LSTM of one bias a gate: torch's second bias stays at 0."""

    def reset_parameters(self) -> None:
        super().reset_parameters()
        self.bias_hh_l0.requires_grad_(False).zero_()

    def equation_parameters(self) -> dict[str, Tensor]:
        packed = {"U": self.weight_ih_l0, "W": self.weight_hh_l0, "b": self.bias_ih_l0}
        return {
            f"{letter}_{gate}": view
            for letter, weight in packed.items()
            for gate, view in zip(GATES, weight.detach().chunk(4), strict=True)
        }


def make_config(**changes: Any) -> TrainingConfig:
    sizes = {"batch_size": 4, "bptt": 5, "hidden_size": 7, "embedding_size": 6}
    pace = {"epochs": 3, "log_every": 1, "checkpoint_every": 7}
    return TrainingConfig(**{"cell": "stand-in", "biases": {"b_f": 1.0}, **sizes, **pace, **changes})


def make_model(config: TrainingConfig, corpus: Corpus) -> LanguageModel:
    layer = StandIn(config.embedding_size, config.hidden_size)
    return LanguageModel(layer, len(corpus.vocabulary), config.embedding_size, config.hidden_size)


def make_files(sentences: int = 150) -> dict[str, bytes]:
    """Text with something to learn: each sentence counts on from a number, in words of a small language."""
    words = [first + second for first in "bdgk" for second in ("a", "e", "o")]
    lines = [
        " ".join(words[(5 * line + step) % len(words)] for step in range(3 + line % 4))
        for line in range(sentences)
    ]
    text = ("\n".join(lines) + "\n").encode()
    short = ("\n".join(lines[: sentences // 3]) + "\n").encode()
    return {"train": text, "valid": short, "test": short[: len(short) // 2].rpartition(b"\n")[0] + b"\n"}


def make_corpus() -> Corpus:
    return parse_corpus(make_files())


def train_slowly(directory: str) -> None:
    """Train the tiny model at some 10 ms a step, in a process that is to be killed before its end."""
    torch.set_num_threads(1)
    corpus, config = make_corpus(), make_config()

    def dawdle(report: StepReport) -> None:
        time.sleep(0.01)

    train(make_model(config, corpus), LanguageTask(corpus, config), config, directory, on_step=dawdle)
