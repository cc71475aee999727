"""What the commands share: finding cells, writing files, printing."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

import derive
from codegen.errors import CodegenError
from codegen.files import write_atomic
from derive import Cell, MalformedCell

CellName = Annotated[
    str, typer.Argument(metavar="CELL", help="A catalogue name, or FILE.py that declares one cell.")
]

out = Console(highlight=False, soft_wrap=True)


def find_cell(name: str) -> Cell:
    """A catalogue cell, or the cell that a Python file declares."""
    if not name.endswith(".py"):
        return derive.cell(name)
    path = Path(name)
    if not path.is_file():
        raise CodegenError(
            f"{name}: no such file; expected a Python file that declares a Cell, or a catalogue name"
        )
    try:
        names = runpy.run_path(str(path))
    except MalformedCell:
        raise
    except (Exception, SystemExit) as error:
        raise CodegenError(f"{name}: running it raised {type(error).__name__}: {error}") from error
    cells = list(dict.fromkeys(value for value in names.values() if isinstance(value, Cell)))
    if len(cells) > 1:
        listed = ", ".join(c.name for c in cells)
        raise CodegenError(f"{name}: declares {len(cells)} cells ({listed}); expected one")
    if not cells:
        raise CodegenError(
            f"{name}: declares no Cell; expected one, such as my_cell = Cell('my-cell', {{…}}, output=s)"
        )
    return cells[0]


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    write_atomic(path, text.encode())


def print_json(document: Any) -> None:
    """One JSON document and nothing else on standard output."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False, default=str))
