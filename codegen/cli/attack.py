"""``cellwright attack``: how far a bound lies above the best that gradient ascent finds."""

from __future__ import annotations

import os
import platform
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import derive
from codegen.cli.common import find_cell, out, print_json
from codegen.errors import ConfigError
from derive import Cell

SLACK = 1e-3
"""How far a bound for weights may lie above the one in norms: its suprema are found to 1 in 10⁴, and nest."""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("attack", epilog="Example: cellwright attack gru lstm --restarts 20")(attack)


def attack(
    cells: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CELL]...", help="Catalogue names or FILE.py; the catalogue by default."),
    ] = None,
    norm: Annotated[list[str] | None, typer.Option(help="2 or inf; both by default.")] = None,
    restarts: Annotated[int, typer.Option(help="Starts of the ascent.", min=1)] = 100,
    steps: Annotated[int, typer.Option(help="Of Adam.", min=1)] = 300,
    norms: Annotated[float, typer.Option(help="The norm of every parameter.", min=0)] = 1.0,
    states: Annotated[float, typer.Option(help="The bound of a state that nothing bounds.", min=0)] = 1.0,
    inputs: Annotated[float, typer.Option(help="The bound of the input.", min=0)] = 1.0,
    size: Annotated[int, typer.Option(help="State size n.", min=1)] = 4,
    input_size: Annotated[int, typer.Option(help="Input size m.", min=1)] = 2,
    seed: Annotated[int, typer.Option(help="Decides where the ascent starts.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Attack the Jacobian bounds of cells: one line for every cell and norm, bound ÷ best attack last.

    Weights of the given norm, the states and the input are moved by gradient ascent.  The best point is
    replayed in NumPy; a bound below it is an error of the toolkit, and ends with exit status 1.
    """
    for kind in norm or []:
        if kind not in ("2", "inf"):
            raise ConfigError(f"--norm {kind!r}: expected 2 or inf")
    found = [find_cell(name) for name in cells or derive.catalogue()]
    rows = []
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=len(found) * len(norm or "2i"))
        for cell in found:
            for kind in norm or ["2", "inf"]:
                bar.update(task, description=f"{cell.name}, norm {kind}")
                settings = {"norms": norms, "n": size, "m": input_size, "seed": seed}
                rows.append(
                    _row(cell, kind, states, inputs, restarts=restarts, steps=steps, **settings),
                )
                bar.advance(task)
    about = {"norms": norms, "states": states, "inputs": inputs, "n": size, "m": input_size}
    if json:
        print_json({**about, "restarts": restarts, "steps": steps, "machine": _machine(), "attacks": rows})
    else:
        out.print(_table(rows))
        out.print(f"{', '.join(f'{k} {v:g}' for k, v in about.items())}; {_machine()}", markup=False)
    broken = [f"{r['cell']} (norm {r['norm']})" for r in rows if not r["holds"]]
    if broken:
        typer.echo(f"bounds that do not hold: {', '.join(broken)}", err=True)
        raise typer.Exit(1)


def _row(cell: Cell, norm: str, states: float, inputs: float, **settings: Any) -> dict[str, Any]:
    from codegen.attack import attack as run_attack  # torch takes seconds to import

    open_states = derive.bound(cell, norm).states
    bound = derive.bound(
        cell, norm, states=dict.fromkeys(open_states, states) or None, inputs=inputs if cell.inputs else None
    )
    found = run_attack(bound, **settings)
    weighted, rigorous = found.weighted(), found.weighted(rigorous=True)
    symbolic = found.symbolic()
    return {
        "cell": cell.name,
        "norm": norm,
        "bound": symbolic,
        "weighted": weighted,
        "attack": found.value,
        "ratio": symbolic / found.value if found.value else None,
        "holds": found.value <= min(weighted * (1 + 1e-9) + 1e-9, rigorous, symbolic * (1 + 1e-9) + 1e-9)
        and weighted <= symbolic * (1 + SLACK) + SLACK,
        "seconds": round(found.seconds, 1),
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    headings = ("cell", "norm", "bound", "for the weights found", "best attack", "bound ÷ attack", "seconds")
    table = Table(*headings, box=None, pad_edge=False)
    for row in rows:
        ratio = "–" if row["ratio"] is None else f"{row['ratio']:.3f}"
        numbers = (f"{row[key]:.4f}" for key in ("bound", "weighted", "attack"))
        table.add_row(row["cell"], row["norm"], *numbers, ratio, f"{row['seconds']:.0f}")
    return table


def _machine() -> str:
    import torch

    threads = f"torch {torch.__version__} on {torch.get_num_threads()} threads"
    return f"{platform.machine()}, {os.cpu_count()} cores, {threads}"
