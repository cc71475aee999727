"""Commands that need no torch: list, show, derive, path, prove."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

import derive
from codegen.cli.common import CellName, find_cell, out, write_text
from codegen.cli.proofs import prove
from derive import Derivation
from derive.counts import counts, polynomial


class Form(StrEnum):
    """How equations are printed."""

    text = "text"
    latex = "latex"
    python = "python"


As = Annotated[Form, typer.Option("--as", help="Plain text, LaTeX, or Python that rebuilds it.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command("list", epilog="Example: cellwright list")(list_cells)
    app.command("show", epilog="Example: cellwright show gru --diagram gru.svg")(show)
    app.command("derive", epilog="Example: cellwright derive lstm")(derive_cell)
    app.command("path", epilog="Example: cellwright path prototype gru")(path)
    app.command("prove", epilog="Example: cellwright prove gru --json")(prove)
    app.command("rules", epilog="Example: cellwright rules")(rules)


def list_cells() -> None:
    """List the catalogue."""
    table = Table(
        Column("cell", no_wrap=True),
        "title",
        "states",
        "parameters",
        "derived from",
        box=None,
        pad_edge=False,
    )
    for name, entry in derive.published().items():
        cell = entry.cell
        table.add_row(
            name, cell.title, ", ".join(cell.states), polynomial(counts(cell).parameters), entry.parent
        )
    out.print(table)


def show(
    cell: CellName,
    form: As = Form.text,
    diagram: Annotated[Path | None, typer.Option(help="Write the data flow to this SVG file.")] = None,
) -> None:
    """Show a cell: equations, states, parameters, costs, reference."""
    found = find_cell(cell)
    if diagram is not None:
        write_text(diagram, derive.diagram(found))
        out.print(f"wrote {diagram}", markup=False)
        return
    if form is not Form.text:
        out.print(found.latex() if form is Form.latex else repr(found), markup=False)
        return
    lines = [found.title or found.name, "", str(found), ""]
    lines += [f"states: {', '.join(found.states)}   input: {', '.join(found.inputs) or 'none'}"]
    shapes = ", ".join(f"{name} ({', '.join(axes)})" for name, axes in found.parameters.items())
    lines += [f"parameters: {shapes}", str(counts(found))]
    out.print("\n".join([*lines, found.reference] if found.reference else lines), markup=False)


def derive_cell(cell: CellName, form: As = Form.text) -> None:
    """Derive a cell from the vanilla cell, step by step: the article's way, or for a FILE.py by search."""
    found = find_cell(cell)
    known = found.name in derive.catalogue() and derive.cell(found.name) == found
    _print(derive.derivation(found.name) if known else derive.path("vanilla", found), form)


def path(
    start: Annotated[str, typer.Argument(metavar="A", help="Where to start.")],
    goal: Annotated[str, typer.Argument(metavar="B", help="A cell equal to this one is looked for.")],
    form: As = Form.text,
) -> None:
    """Find a shortest derivation of B from A by search."""
    _print(derive.path(find_cell(start), find_cell(goal)), form)


def _print(derivation: Derivation, form: Form) -> None:
    texts: dict[Form, Callable[[], str]] = {
        Form.text: derivation.__str__,
        Form.latex: derivation.latex,
        Form.python: derivation.python,
    }
    out.print(texts[form](), markup=False)


def rules() -> None:
    """List the rules: law, condition, reason, options."""
    for rule in derive.RULES.values():
        options = "; ".join(f"{k}: {', '.join(map(str, v)) or 'a name'}" for k, v in rule.options.items())
        lines = [
            f"{rule.name}",
            f"  {rule.law}",
            f"  if {rule.condition}",
            f"  buys: {rule.buys}",
            f"  {rule.reason}",
        ]
        out.print("\n".join([*lines, f"  options: {options}", ""]), markup=False)
