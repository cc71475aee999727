"""Commands about code: emit, check, backends."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from codegen.backends import AUTO, backends
from codegen.backends import backend as find_backend
from codegen.cli.common import CellName, find_cell, out, print_json, write_text
from codegen.cli.plan import show_plan
from codegen.emission import emit
from codegen.errors import ConfigError

Chosen = Annotated[
    str, typer.Option("--backend", help="Which backend; auto takes the fastest that can run here.")
]
Backend = Annotated[str, typer.Option("--backend", help="Which backend; see cellwright backends.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command("emit", epilog="Example: cellwright emit pseudo-lstm -o pseudo_lstm.py")(emit_cell)
    app.command("check", epilog="Example: cellwright check gru --json")(check)
    app.command("backends", epilog="Example: cellwright backends")(list_backends)


def emit_cell(
    cell: CellName,
    backend: Backend = "eager",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write to this file, whole or not at all.")
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show the stages instead, with their operation and byte counts.")
    ] = False,
    sizes: Annotated[
        str | None, typer.Option("--sizes", help="With --plan: numbers for n=250,m=250,B=30,T=30.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="With --plan: print one JSON document.")] = False,
) -> None:
    """Emit a self-contained PyTorch file, or show what it computes when and at which cost."""
    find_backend(backend)
    if plan:
        show_plan(find_cell(cell), backend, sizes, json, output)
        return
    if sizes is not None or json:
        raise ConfigError("--sizes and --json go with --plan, which shows the stages instead of the source")
    source = emit(find_cell(cell), backend)
    if output is None:
        typer.echo(source, nl=False)
    else:
        write_text(output, source)


def check(
    cell: CellName,
    backend: Chosen = AUTO,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Check emitted code against the evaluator, torch.nn, and itself."""
    if backend != AUTO:
        find_backend(backend)
    found = find_cell(cell)
    from codegen.checking import check as run_check  # torch takes seconds to import

    report = run_check(found, backend)
    if json:
        print_json(report.to_dict())
    else:
        out.print(str(report), markup=False)
    if not report:
        raise typer.Exit(1)


def list_backends() -> None:
    """List the backends and whether they can run here."""
    for name, availability in backends().items():
        out.print(f"{name}: {availability}", markup=False)
