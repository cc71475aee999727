"""Train a language model as in the article: truncated backpropagation with the state carried from batch to
batch, Adam, and a stop when the validation loss no longer falls.

A run directory holds
    config.json          hyperparameters, data, shapes; versions and threads
    log.jsonl            one line every few steps and one an epoch
    last.safetensors     the last checkpoint
    best.safetensors     the weights after the epoch of the lowest validation loss
and each of them is whole at any moment (the log but for its last line). A killed run goes on from its last
checkpoint with the very numbers of an uninterrupted one, on the same machine with as many threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from codegen.errors import TrainingError
from codegen.training.config import TrainingConfig
from codegen.training.data import Corpus, batches
from codegen.training.interrupt import deferred_interrupt
from codegen.training.log import EpochReport, StepReport
from codegen.training.model import LanguageModel
from codegen.training.rng import seeded
from codegen.training.run import BEST, Measure, Run


@dataclass(frozen=True)
class TrainingResult:
    """A finished run.

    Attributes:
        history: one report an epoch.
        best: the report of the epoch with the lowest validation loss, the first of several.
        run_dir: where its files are.
        weights: the file of the best epoch's weights, for `load_weights`.
        seconds: spent on the run, over all processes that worked on it.
    """

    history: tuple[EpochReport, ...]
    best: EpochReport
    run_dir: Path
    weights: Path
    seconds: float


def train(
    model: LanguageModel,
    corpus: Corpus,
    config: TrainingConfig,
    run_dir: str | PathLike[str],
    *,
    on_step: Callable[[StepReport], None] | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
    measure: Measure | None = None,
    resume: bool = True,
) -> TrainingResult:
    """Initialize `model` from the seed and train it, or go on from the checkpoint in `run_dir`.

    Afterwards the model has the last epoch's weights; those of the best are in `result.weights`. Ctrl-C is
    answered between two steps, with a checkpoint. torch's random generators are left as they were.

    Args:
        model: on the device and in the precision to train in.
        on_step, on_epoch: told of each step and each epoch.
        measure: numbers by name to log with each epoch, computed from the model as it is at the epoch's end,
            which it must leave as it is: such as a bound of the Jacobian.
        resume: False discards the run in `run_dir`, if any, and starts over.

    Raises:
        DataError: a split is too short for one window.
        ConfigError: `config.biases` names what the layer does not have.
        TrainingError: the sizes of model, corpus and configuration differ, or the loss, the state or a
            weight is no longer finite.
        CheckpointError: the checkpoint is damaged or belongs to another run.
        KeyboardInterrupt: on Ctrl-C, once the checkpoint is written.
        OSError: the run directory cannot be written.
    """
    _check_sizes(model, corpus, config)
    directory = Path(run_dir)
    directory.mkdir(parents=True, exist_ok=True)
    with seeded(config.seed, model.decoder.weight.device), deferred_interrupt() as interrupted:
        run = Run(
            model,
            corpus,
            config,
            directory,
            interrupted=interrupted,
            on_step=on_step or _ignore,
            on_epoch=on_epoch or _ignore,
            measure=measure,
        )
        with run.open_log(resume=resume):
            while not run.progress.finished:
                run.epoch()
    history = tuple(run.progress.history)
    best = min(history, key=lambda report: report.valid.article)
    return TrainingResult(history, best, directory, directory / BEST, run.progress.seconds)


def _ignore(report: object) -> None:
    pass


def _check_sizes(model: LanguageModel, corpus: Corpus, config: TrainingConfig) -> None:
    for what, found, expected in (
        ("vocabulary", model.embedding.num_embeddings, len(corpus.vocabulary)),
        ("embedding", model.embedding.embedding_dim, config.embedding_size),
        ("state", model.decoder.in_features, config.hidden_size),
    ):
        if found != expected:
            raise TrainingError(
                f"the model's {what} has size {found}; the corpus and the configuration call for {expected}"
            )
    for tokens in (corpus.train, corpus.valid):
        batches(tokens, config.batch_size, config.bptt)  # for its complaint about too few
