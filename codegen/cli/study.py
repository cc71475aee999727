"""The command study: a grid of trainings that loses nothing, on one machine or many."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, Progress, TextColumn

from codegen.cli.common import find_cell, out

if TYPE_CHECKING:
    from rich.table import Table

    from codegen.study.pool import Plan
    from codegen.study.progress import View
    from codegen.study.protocol import Protocol
    from codegen.study.results import Results
    from codegen.study.worker import TrialRunner
    from derive import Cell


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("study", epilog="Example: cellwright study studies/written-memories.toml --data ptb")(study)


def study(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.toml", help="Declares the study.", show_default=False)
    ],
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Where its trials are kept: sqlite:///FILE, or postgresql://USER:PASSWORD@HOST/DATABASE, "
            "which several machines can share.",
            show_default="sqlite:///DIR/study.db",
        ),
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option("--dir", help="Folder of checkpoints and results.", show_default="runs/NAME"),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Folder with ptb.train.txt, ptb.valid.txt, ptb.test.txt; or 'embedded'.",
            show_default="what the file says, or CELLWRIGHT_PTB",
        ),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes here, of one thread each.", min=1)] = 1,
    device: Annotated[str, typer.Option(help="cpu, or cuda on a GPU.")] = "cpu",
    tf32: Annotated[
        bool, typer.Option("--tf32", help="Let a GPU multiply in TF32: faster, 10 bits of mantissa.")
    ] = False,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Write the results there as well.")
    ] = None,
    status: Annotated[bool, typer.Option("--status", help="Say how far it is, and train nothing.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Give trials that failed another chance.")
    ] = False,
) -> None:
    """Train a grid of cells, learning rates, seeds and whatever a file says, and say what came of it.

    Stop it in whatever way, and start it again: it goes on.  Start it on other machines with the same
    --storage, and they share the work.  Exit status 1: a trial failed, also when it was tried again.
    """
    from codegen.study.pool import Plan, Pool
    from codegen.study.protocol_file import read_protocol
    from codegen.study.reporting import require_packages
    from codegen.study.results import save_results

    protocol = read_protocol(file)
    where = directory if directory is not None else Path("runs") / protocol.name
    plan = Plan(
        protocol=protocol,
        url=storage if storage is not None else f"sqlite:///{where}/study.db",
        directory=where,
        make_runner=partial(make_runner, protocol, file.parent, data, device, tf32),
    )
    complete = _standing(plan, retry_failed)
    ended = 0
    if not (status or complete):
        require_packages()
        out.print(_pace(protocol, device), markup=False)
        with _Bars() as bars:
            ended = Pool(plan, workers).run(bars.show)
    with plan.storage() as opened:
        results = plan.ledger(opened).results()
    save_results(where / "results.json", results)
    if export is not None:
        save_results(export, results)
    if not status:
        _report(results, where)
    failed = _summarize(results, plan)
    if ended or (failed and not status):
        raise typer.Exit(1)


def make_runner(protocol: Protocol, base: Path, data: str | None, device: str, tf32: bool) -> TrialRunner:
    """What a worker trains with; cells that are files lie beside the study's."""
    from codegen.computing import set_threads, use_device
    from codegen.study.training_trial import TrainingRunner

    set_threads(1)
    use_device(device)
    return TrainingRunner(protocol, data, _finder(base), device, tf32)


def _pace(protocol: Protocol, device: str) -> str:
    """Whether trials are trained side by side, and why."""
    from codegen.training.lockstep import lockstep_choice

    return lockstep_choice(device, len(list(protocol.points())))[1]


def _finder(base: Path) -> Callable[[str], Cell]:
    def find(name: str) -> Cell:
        return find_cell(str(base / name) if name.endswith(".py") else name)

    return find


def _standing(plan: Plan, retry_failed: bool) -> bool:
    """Say where the study stands; whether it is complete."""
    from codegen.study.progress import view

    with plan.storage() as opened:
        ledger = plan.ledger(opened)
        if retry_failed:
            ledger.retry_failed()
        found = view(plan.protocol, ledger.standings())
        out.print(f"{plan.protocol.title}: {found}; {opened}, {plan.directory}", markup=False)
        return found.done == found.trials


def _report(results: Results, directory: Path) -> None:
    """Write the page and the tables, and show the summary."""
    from codegen.study.reporting import summary_table, write_report

    page = write_report(results, directory)
    table = summary_table(results)
    if out.is_terminal:
        out.print(table)
    else:  # no width to keep to: nothing is cut off in a file
        Console(width=_natural_width(table), highlight=False).print(table)
    out.print(f"report: {page}", markup=False)


def _natural_width(table: Table) -> int:
    """At which nothing is wrapped."""
    wide = Console(width=1000)
    return Measurement.get(wide, wide.options, table).maximum


def _summarize(results: Results, plan: Plan) -> int:
    """Say what came of it; how many trials failed."""
    from codegen.study.progress import trial_name
    from codegen.study.results import Outcome

    by_outcome = {outcome: [t for t in results.trials if t.outcome == outcome] for outcome in Outcome}
    for outcome in (Outcome.DIVERGED, Outcome.FAILED):
        for trial in by_outcome[outcome]:
            said = f"{outcome.value}: {trial_name(trial.options)}: {trial.message} ({trial.run_directory})"
            out.print(said, markup=False)
    counts = ", ".join(f"{len(trials)} {outcome.value}" for outcome, trials in by_outcome.items() if trials)
    out.print(f"{len(results.trials)} trials: {counts}; {plan.directory / 'results.json'}", markup=False)
    return len(by_outcome[Outcome.FAILED])


class _Bars:
    """A bar for the study and a line for each running trial on a terminal; plain lines elsewhere."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console if console is not None else Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._said, self._when = "", 0.0

    def __enter__(self) -> _Bars:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def show(self, found: View) -> None:
        """How far it is now."""
        from codegen.study.progress import trial_name

        if not self.console.is_terminal:
            self._say(found)
            return
        for task in self._bar.task_ids:
            self._bar.remove_task(task)
        self._bar.add_task(str(found), total=found.trials, completed=found.done)
        for options, epochs in found.running:
            self._bar.add_task(f"  {trial_name(options)}: {epochs} epochs", total=None, visible=True)

    def _say(self, found: View) -> None:
        """A line when a trial is done, and one a minute in between."""
        done, now = str(replace(found, seconds_left=None)), time.monotonic()
        if done != self._said or now - self._when >= 60:
            self.console.print(str(found), highlight=False, soft_wrap=True, markup=False)
            self._said, self._when = done, now
