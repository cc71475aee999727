"""The command train: the article's experiment, and tests of memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codegen.cli.common import CellName, find_cell, out
from codegen.errors import ConfigError

if TYPE_CHECKING:
    from codegen.experiment import Experiment
    from codegen.training import Corpus, TrainingResult


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("train", epilog="Example: cellwright train pseudo-lstm --data ptb --learning-rate 1e-3")(
        train
    )


def train(
    context: typer.Context,
    cell: CellName,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            envvar="CELLWRIGHT_PTB",
            help="Folder with ptb.train.txt, ptb.valid.txt, ptb.test.txt; or 'embedded'.",
        ),
    ] = None,
    train_tokens: Annotated[
        int | None, typer.Option(help="Leading tokens that are kept; all by default.")
    ] = None,
    valid_tokens: Annotated[int | None, typer.Option(help="As --train-tokens.")] = None,
    test_tokens: Annotated[int | None, typer.Option(help="As --train-tokens.")] = None,
    vocabulary: Annotated[
        int | None, typer.Option(help="Most frequent types kept; the others become <unk>.")
    ] = None,
    task: Annotated[
        str, typer.Option(help="language, or one that is generated: adding, copying, temporal-order, …")
    ] = "language",
    length: Annotated[int, typer.Option(help="Steps of a generated sequence.")] = 100,
    epoch_steps: Annotated[int, typer.Option(help="Batches of a generated task between validations.")] = 100,
    backend: Annotated[str, typer.Option(help="Which backend runs the layer.")] = "auto",
    device: Annotated[str, typer.Option(help="cpu, or cuda on a GPU.")] = "cpu",
    learning_rate: Annotated[float, typer.Option(help="Adam's.")] = 1e-3,
    epochs: Annotated[int, typer.Option(help="The most that are run.")] = 20,
    patience: Annotated[
        int, typer.Option(help="Stop after this many epochs without a lower validation loss.")
    ] = 2,
    batch_size: Annotated[int, typer.Option(help="Rows of text side by side.")] = 30,
    bptt: Annotated[int, typer.Option(help="Steps an error is propagated back.")] = 30,
    update_every: Annotated[
        int | None, typer.Option(help="Steps of text between updates.", show_default="as --bptt")
    ] = None,
    gradient: Annotated[
        str, typer.Option(help="How errors go back: blocks, exact (each just --bptt steps), real-time.")
    ] = "blocks",
    groups: Annotated[int, typer.Option(help="Subgroups in real-time learning; 1 is exact.")] = 1,
    constant_error: Annotated[
        float, typer.Option(help="Weight of the regularizer that keeps errors from vanishing.")
    ] = 0.0,
    hidden_size: Annotated[int, typer.Option(help="State size n.", min=1)] = 250,
    embedding_size: Annotated[int, typer.Option(help="Embedding size m.", min=1)] = 250,
    clip: Annotated[
        float | None, typer.Option(help="Largest norm of the gradient; 0 for no limit.", show_default="none")
    ] = None,
    initialization: Annotated[str, typer.Option(help="article, torch, glorot, …")] = "article",
    scale: Annotated[float, typer.Option(help="Factor on the layer's initial matrices.")] = 1.0,
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
    seed: Annotated[int, typer.Option(help="Decides the initial weights, and what is generated.")] = 0,
    log_every: Annotated[int, typer.Option(help="Steps between lines of the log.")] = 20,
    checkpoint_every: Annotated[int, typer.Option(help="Steps between checkpoints.")] = 200,
    threads: Annotated[int, typer.Option(help="Threads of torch and BLAS.", min=1)] = 1,
    run_dir: Annotated[
        Path | None, typer.Option(help="Where log and checkpoints go.", show_default="runs/…")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint in the run directory.")] = True,
    diagnostics: Annotated[
        bool,
        typer.Option(
            "--diagnostics/--no-diagnostics",
            "--log-bound/--no-log-bound",
            help="Log with every epoch what theory speaks of: certified bound and true norm of the Jacobian, "
            "sensitivity by lag, saturation of the gates, norm of the state.",
        ),
    ] = False,
    test: Annotated[
        bool, typer.Option(help="Evaluate the best weights on the test split at the end.")
    ] = False,
) -> None:
    """Train a word-level language model on Penn Treebank text, with the article's settings as defaults; or a
    cell on a task that tests its memory, with a small network, a fast rate and clipping as defaults.
    """
    given = {name: value for name, value in context.params.items() if _is_given(context, name)}
    options = {name: value for name, value in given.items() if name not in _NOT_OPTIONS}
    options["biases"] = _biases(bias or [])
    found = find_cell(cell)
    # torch takes seconds; errors in names come first
    from codegen.computing import set_threads, use_device
    from codegen.experiment import REDUCTIONS, open_corpus, prepare, refuse_unread
    from codegen.training import RichProgress
    from codegen.training.tasks import LANGUAGE

    set_threads(threads)
    use_device(device)
    refuse_unread(given)
    reduction = {name: options.pop(name) for name in REDUCTIONS if name in options}
    corpus = open_corpus(data, **reduction) if task == LANGUAGE else None
    if test and corpus is None:
        raise ConfigError(f"--test: the task {task!r} generates its data and has no test split")
    experiment = prepare(found, options, data=corpus, device=device)
    where = run_dir or Path("runs") / _run_name(experiment)
    biases = experiment.config.biases
    out.print(f"{experiment.layer.extra_repr()}; initial biases: {biases or 'all 0'}; {where}", markup=False)
    with RichProgress() as progress:
        result = experiment.train(
            where,
            on_step=progress.on_step,
            on_epoch=progress.on_epoch,
            measure=experiment.diagnostics() if diagnostics else None,
            resume=resume,
        )
    out.print(f"{_summary(result)}; {result.seconds:.0f} s; {where}", markup=False)
    if test and corpus is not None:
        out.print(_test(experiment, result, corpus), markup=False)


# Where things are and what else is done: nothing of it decides the numbers of the training.
_NOT_OPTIONS = ("cell", "data", "device", "bias", "threads", "run_dir", "resume", "diagnostics", "test")


def _is_given(context: typer.Context, name: str) -> bool:
    """Whether a parameter is on the command line: else its default is the task's."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _run_name(experiment: Experiment) -> str:
    config = experiment.config
    task = "" if experiment.data_sha256 else f"-{config.task}{config.length}"
    return f"{config.cell}{task}-lr{config.learning_rate:g}-seed{config.seed}"


def _summary(result: TrainingResult) -> str:
    best = result.best
    if best.valid.correct is not None:
        return (
            f"best epoch {best.epoch}: validation loss {best.valid.nats:.4g}, {best.valid.correct:.1%} right"
        )
    return (
        f"best epoch {best.epoch}: validation loss {best.valid.article:.1f} "
        f"(sum over {best.valid.batches} batches), {best.valid.nats:.4f} nats a word, "
        f"perplexity {best.valid.perplexity:.1f}"
    )


def _test(experiment: Experiment, result: TrainingResult, corpus: Corpus) -> str:
    from codegen.training import evaluate, load_weights

    model, config = experiment.model, experiment.config
    load_weights(result.weights, model)
    loss = evaluate(model, corpus.test.to(model.device), config.batch_size, config.bptt)
    return f"test: {loss.article:.1f}, {loss.nats:.4f} nats a word, perplexity {loss.perplexity:.1f}"


def _biases(given: list[str]) -> dict[str, float]:
    found = {}
    for item in given:
        name, _, value = item.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            raise ConfigError(f"--bias {item!r}: expected NAME=VALUE, such as b_f=1.0") from None
    return found
