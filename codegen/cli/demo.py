"""The command demo: the main job on an embedded default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("demo", epilog="Example: cellwright demo --output demo-out")(demo)


def demo(
    output: Annotated[
        Path, typer.Option(help="Folder for the emitted files, the runs and the report.")
    ] = Path("demo-out"),
    epochs: Annotated[int, typer.Option(help="The most for each cell.", min=1)] = 15,
) -> None:
    """Derive the pseudo LSTM and the LSTM; emit, check and train both; write an HTML report."""
    from codegen.demo import run_demo  # torch takes seconds to import

    run_demo(output, epochs, Console(highlight=False, soft_wrap=True))
