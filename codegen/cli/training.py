"""The command train: the article's experiment."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import derive
from codegen.cli.common import CellName, find_cell, out
from codegen.errors import ConfigError
from derive.initialization import memory_biases

if TYPE_CHECKING:
    from codegen.training import LanguageModel

EMBEDDED = "embedded"


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("train", epilog="Example: cellwright train pseudo-lstm --data ptb --learning-rate 1e-3")(
        train
    )


def train(
    cell: CellName,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            envvar="CELLWRIGHT_PTB",
            help=f"Folder with ptb.train.txt, ptb.valid.txt, ptb.test.txt; or '{EMBEDDED}'.",
        ),
    ] = None,
    backend: Annotated[str, typer.Option(help="Which backend runs the layer.")] = "auto",
    learning_rate: Annotated[float, typer.Option(help="Adam's.")] = 1e-3,
    epochs: Annotated[int, typer.Option(help="The most that are run.")] = 20,
    patience: Annotated[
        int, typer.Option(help="Stop after this many epochs without a lower validation loss.")
    ] = 2,
    batch_size: Annotated[int, typer.Option(help="Rows of text side by side.")] = 30,
    bptt: Annotated[int, typer.Option(help="Steps a gradient is propagated back.")] = 30,
    hidden_size: Annotated[int, typer.Option(help="State size n.", min=1)] = 250,
    embedding_size: Annotated[int, typer.Option(help="Embedding size m.", min=1)] = 250,
    clip: Annotated[float | None, typer.Option(help="Largest norm of the gradient; none by default.")] = None,
    initialization: Annotated[str, typer.Option(help="article, torch, glorot, …")] = "article",
    forget_bias: Annotated[
        float, typer.Option(help="Initial bias of the forget gates, found in the equations.")
    ] = 1.0,
    memory: Annotated[
        float | None,
        typer.Option(
            metavar="T",
            help="Steps that the gates keep a state at first, above 1; sets their biases, and replaces "
            "--forget-bias.",
        ),
    ] = None,
    bias: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Initial bias; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides the initial weights.")] = 0,
    threads: Annotated[int, typer.Option(help="Threads of torch.", min=1)] = 1,
    run_dir: Annotated[
        Path | None, typer.Option(help="Where log and checkpoints go.", show_default="runs/…")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint in the run directory.")] = True,
    log_bound: Annotated[
        bool,
        typer.Option(
            help="Log with every epoch the bound of the step's Jacobian and the rate of contraction."
        ),
    ] = False,
    test: Annotated[
        bool, typer.Option(help="Evaluate the best weights on the test split at the end.")
    ] = False,
) -> None:
    """Train a word-level language model on Penn Treebank text, with the article's settings as defaults."""
    found = find_cell(cell)
    biases = _gate_biases(found, forget_bias, memory) | _biases(bias or [])
    import torch  # takes seconds; errors in names come first

    import codegen
    from codegen.training import (
        LanguageModel,
        RichProgress,
        TrainingConfig,
        data_directory,
        embedded_corpus,
        evaluate,
        load_corpus,
        load_weights,
    )
    from codegen.training import train as run_training

    torch.set_num_threads(threads)
    corpus = embedded_corpus() if data == EMBEDDED else load_corpus(data_directory(data))
    layer = codegen.build(found, embedding_size, hidden_size, backend=backend)
    config = TrainingConfig(
        cell=found.name,
        backend=layer.options.backend,
        batch_size=batch_size,
        bptt=bptt,
        hidden_size=hidden_size,
        embedding_size=embedding_size,
        learning_rate=learning_rate,
        epochs=epochs,
        patience=patience,
        clip=clip,
        initialization=initialization,
        biases=biases,
        seed=seed,
    )
    model = LanguageModel(layer, len(corpus.vocabulary), embedding_size, hidden_size)
    where = run_dir or Path("runs") / f"{found.name}-lr{learning_rate:g}-seed{seed}"
    out.print(f"{layer.extra_repr()}; initial biases: {biases or 'all 0'}; {where}", markup=False)
    with RichProgress() as progress:
        result = run_training(
            model,
            corpus,
            config,
            where,
            on_step=progress.on_step,
            on_epoch=progress.on_epoch,
            measure=partial(_bounds, found) if log_bound else None,
            resume=resume,
        )
    best = result.best
    out.print(
        f"best epoch {best.epoch}: validation loss {best.valid.article:.1f} "
        f"(sum over {best.valid.batches} batches), {best.valid.nats:.4f} nats a word, "
        f"perplexity {best.valid.perplexity:.1f}; {result.seconds:.0f} s; {where}",
        markup=False,
    )
    if test:
        load_weights(result.weights, model)
        loss = evaluate(model, corpus.test, batch_size, bptt)
        out.print(f"test: {loss.article:.1f}, {loss.nats:.4f} nats a word, perplexity {loss.perplexity:.1f}")


def _bounds(cell: derive.Cell, model: LanguageModel) -> dict[str, float]:
    """Of the step's Jacobian in the ∞-norm and of the contraction, in float64, over the inputs there are."""
    from codegen.certify import certify

    params = {name: p.cpu().numpy() for name, p in model.layer.equation_parameters().items()}
    inputs = model.embedding.weight.detach().abs().amax(0).cpu().numpy()
    found = certify(cell, params, inputs=inputs, rigorous=False)
    return {"bound": found.jacobian, "rate": found.rate}


def _gate_biases(cell: derive.Cell, forget_bias: float, memory: float | None) -> dict[str, float]:
    if memory is None:
        return derive.forget_biases(cell, forget_bias)
    return {name: float(value) for name, value in memory_biases(cell, memory).items()}


def _biases(given: list[str]) -> dict[str, float]:
    found = {}
    for item in given:
        name, _, value = item.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            raise ConfigError(f"--bias {item!r}: expected NAME=VALUE, such as b_f=1.0") from None
    return found
