"""``cellwright bench``: how fast a cell runs, beside torch's layers, a naive loop and the bare products."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from codegen.backends import backend as find_backend
from codegen.cli.common import find_cell, out, print_json
from codegen.errors import ConfigError

if TYPE_CHECKING:
    from codegen.benchmarking.run import Field, Report
    from codegen.benchmarking.setting import Setting
    from codegen.benchmarking.sweep import Sweep
    from derive import Cell

SWEPT_UNITS = "16,32,64,128,256,512,1024"
SWEPT_BATCHES = "1,4,16,64,256"
SWEPT_TIMES = "4,16,64,256"


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("bench", epilog="Example: cellwright bench lstm gru --rounds 20 --sweep lstm.svg")(bench)


def bench(
    cells: Annotated[list[str], typer.Argument(metavar="CELL...", help="Catalogue names or FILE.py.")],
    size: Annotated[int, typer.Option(help="State size n.", min=1)] = 250,
    input_size: Annotated[int | None, typer.Option(help="Input size m; n by default.", min=1)] = None,
    batch: Annotated[int, typer.Option(help="Sequences at a time.", min=1)] = 30,
    time: Annotated[int, typer.Option(help="Steps of a sequence.", min=1)] = 30,
    dtype: Annotated[str, typer.Option(help="float32, float64 or bfloat16.")] = "float32",
    device: Annotated[str, typer.Option(help="cpu, or cuda on a GPU.")] = "cpu",
    forward_only: Annotated[bool, typer.Option("--forward-only", help="Without the backward pass.")] = False,
    input_gradient: Annotated[
        bool, typer.Option("--input-gradient/--no-input-gradient", help="The gradient of x too.")
    ] = True,
    rounds: Annotated[int, typer.Option(help="Each runs every contender once.", min=1)] = 60,
    threads: Annotated[int, typer.Option(help="Of torch's operations.", min=1)] = 1,
    backend: Annotated[
        list[str] | None, typer.Option(help="Which of our backends, beside eager; all by default.")
    ] = None,
    script: Annotated[
        bool, typer.Option("--script/--no-script", help="torch.jit.script of the loop.")
    ] = True,
    compile: Annotated[
        bool, typer.Option("--compile", help="torch.compile of the loop too: up to a minute for 30 steps.")
    ] = False,
    sweep: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Draw n, batch and time against milliseconds, to FILE.svg or .png."
        ),
    ] = None,
    sweep_sizes: Annotated[str, typer.Option(metavar="N,N,…", help="n = m in the sweep.")] = SWEPT_UNITS,
    sweep_batches: Annotated[str, typer.Option(metavar="N,N,…", help="Batches in it.")] = SWEPT_BATCHES,
    sweep_times: Annotated[str, typer.Option(metavar="N,N,…", help="Lengths in it.")] = SWEPT_TIMES,
    sweep_rounds: Annotated[int, typer.Option(help="Rounds at each of its points.", min=1)] = 5,
    cpu_time: Annotated[
        bool, typer.Option("--cpu-time", help="Time of the processor, not of the wall: for a busy machine.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Decides weights, inputs and the order in a round.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Measure forward and backward passes of cells: interleaved rounds in one process.

    Every backend that can run the cell, beside a naive loop, torch's layers and the floor (the bare matrix
    products).  Each is first compared with eager, values and gradients; what differs gets no time and ends
    with exit status 1.  No time passes or fails.
    """
    found = [find_cell(name) for name in cells]
    for name in backend or []:
        find_backend(name)
    swept = (sweep_sizes, sweep_batches, sweep_times)
    values = [_numbers(given) for given in swept]
    if sweep is not None and len(found) > 1:
        raise ConfigError(f"--sweep draws one cell, and {len(found)} are given: {', '.join(cells)}")
    if cpu_time and device != "cpu":
        raise ConfigError(f"--cpu-time says nothing about {device}: it is for --device cpu")
    from codegen.benchmarking import sweep as sweeping  # torch takes seconds to import
    from codegen.benchmarking.machine import in_words, machine
    from codegen.benchmarking.machine import threads as with_threads
    from codegen.benchmarking.run import Field
    from codegen.benchmarking.setting import Setting, device_named, dtype_named

    if sweep is not None:
        sweeping.check_target(sweep)
    setting = Setting(
        time=time,
        batch=batch,
        units=size,
        features=input_size or size,
        dtype=dtype_named(dtype),
        device=device_named(device),
        forward_only=forward_only,
        input_gradient=input_gradient,
        cpu_time=cpu_time,
        seed=seed,
    )
    who = Field(tuple(backend or ()), script=script, compile=compile)
    with with_threads(threads):
        about = machine(device)
        document: dict[str, Any] = {"machine": about, "rounds": rounds}
        reports = _measure(found, setting, rounds, who, quiet=json, title=in_words(about))
        document["cells"] = [report.to_dict() for report in reports]
        wrong = {f"{r.cell.name} by {name}": why for r in reports for name, why in r.refused.items()}
        if sweep is not None:
            axes = dict(
                zip((sweeping.UNITS_AXIS, sweeping.BATCH_AXIS, sweeping.TIME_AXIS), values, strict=True)
            )
            drawn = _sweep(found[0], setting, axes, sweep_rounds, who)
            sweeping.draw(drawn, in_words(about), sweep)
            document["sweep"] = drawn.to_dict()
            wrong |= {
                f"{r.cell.name} by {name} ({axis} {value})": why
                for axis, points in drawn.points.items()
                for value, r in points.items()
                for name, why in r.refused.items()
            }
    if json:
        print_json(document)
    elif sweep is not None:
        out.print(f"wrote {sweep}", markup=False)
    if wrong:
        lines = [f"  {name}: {why}" for name, why in wrong.items()]
        typer.echo("\n".join(["wrong results, not timed:", *lines]), err=True)
        raise typer.Exit(1)


def _measure(
    cells: list[Cell], setting: Setting, rounds: int, who: Field, *, quiet: bool, title: str
) -> list[Report]:
    """Each cell's report, printed as soon as it is there unless ``quiet``."""
    from codegen.benchmarking.run import bench as run_bench
    from codegen.benchmarking.table import notes, table

    reports = []
    if not quiet:
        out.print(f"{title}\n{setting}\n", markup=False)
    for cell in cells:
        with Console(stderr=True).status("") as status:
            report = run_bench(cell, setting, rounds, who, progress=status.update)
        reports.append(report)
        if not quiet:
            out.print(f"{table(report)}\n\n{notes(report, rounds)}\n", markup=False)
    return reports


def _sweep(cell: Cell, setting: Setting, axes: dict[str, list[int]], rounds: int, who: Field) -> Sweep:
    from codegen.benchmarking.run import Field
    from codegen.benchmarking.sweep import sweep

    with Console(stderr=True).status("") as status:
        return sweep(cell, setting, axes, rounds, Field(who.backends, package=False), progress=status.update)


def _numbers(given: str) -> list[int]:
    """``"16,32"`` → [16, 32]; raises ConfigError."""
    parts = given.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise ConfigError(f"{given!r}: expected whole numbers above 0 with commas between, such as 16,64,256")
    return [int(part) for part in parts]
