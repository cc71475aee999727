"""``cellwright prove``: what is proved about a cell, about all cells, or of a published theorem."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

import derive
from codegen.cli.common import find_cell, out, print_json
from derive import Claim

MARKS = {"proved": "✓", "refuted": "✗", "unknown": "?"}


def prove(
    cell: Annotated[
        str | None,
        typer.Argument(metavar="[CELL]", help="A catalogue name, or FILE.py that declares one cell."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="One table: all cells of the catalogue by claims.")
    ] = False,
    theorem: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Prove a published theorem, such as B5, from the equations."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    certificates: Annotated[
        bool, typer.Option(help="With --json: all that a re-check needs, for every claim.")
    ] = False,
) -> None:
    """Say what is proved about a cell, re-checked by a second method, and what is not decided."""
    if sum((cell is not None, everything, theorem is not None)) != 1:
        raise typer.BadParameter("give a CELL, or --all, or --theorem NAME")
    if theorem is not None:
        _theorem(theorem, json, certificates)
        return
    names = derive.catalogue() if everything else [cell]
    found, interrupted = _prove_each(names)
    documents = [
        {"cell": c, "claims": [_document(claim, certificates) for claim in cs]} for c, cs in found.items()
    ]
    if json:
        print_json({"cells": documents} if everything else documents[0] if documents else {})
    elif everything:
        _print_table(_table(found))
        out.print(f"{'  '.join(f'{mark} {status}' for status, mark in MARKS.items())}", markup=False)
    else:
        for claims in found.values():
            _print(claims)
    _end([claim for claims in found.values() for claim in claims], interrupted)


def _prove_each(names: Iterable[Any]) -> tuple[dict[str, list[Claim]], bool]:
    """The claims by cell, as far as it came before Ctrl-C; a bar where somebody watches."""
    cells = [find_cell(name) for name in names]
    found: dict[str, list[Claim]] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=len(cells))
        try:
            for cell in cells:
                bar.update(task, description=cell.name)
                found[cell.name] = derive.prove(cell)
                bar.advance(task)
        except KeyboardInterrupt:
            return found, True
    return found, False


def _theorem(name: str, json: bool, certificates: bool) -> None:
    from derive.theorems import THEOREMS  # type: ignore[import-not-found, unused-ignore]

    if name not in THEOREMS:
        near = derive.errors.nearest(name, THEOREMS)
        raise derive.DeriveError(f"no theorem is called {name!r}{near} Theorems: {', '.join(THEOREMS)}")
    theorem = THEOREMS[name]
    claims = list(theorem.prove())
    if json:
        documents = [_document(claim, certificates) for claim in claims]
        print_json({"theorem": name, "statement": theorem.statement, "claims": documents})
    else:
        out.print(f"{name}: {theorem.statement}", markup=False)
        _print(claims)
    _end(claims, False, wanted="proved")


def _print_table(table: Table) -> None:
    """A table as wide as it is: no entry is cut."""
    wide = Console(width=1000)
    Console(width=max(out.width, wide.measure(table).maximum), highlight=False).print(table)


def _print(claims: Sequence[Claim]) -> None:
    for claim in claims:
        out.print(f"{claim}\n    by {claim.method}", markup=False)


def _end(claims: Sequence[Claim], interrupted: bool, wanted: str = "") -> None:
    """Re-check all that is decided; status 1 where that fails, or where a theorem is not proved."""
    failed = [c.name for c in claims if c.status != "unknown" and not c.recheck()]
    missed = [c.name for c in claims if wanted and c.status != wanted]
    if failed:
        typer.echo(f"re-check failed: {', '.join(failed)}", err=True)
    if missed:
        typer.echo(f"not {wanted}: {', '.join(missed)}", err=True)
    if interrupted:
        typer.echo("interrupted", err=True)
        raise typer.Exit(130)
    if failed or missed:
        raise typer.Exit(1)


def _document(claim: Claim, certificates: bool) -> dict[str, object]:
    if certificates:
        return claim.to_json()
    return {
        "name": claim.name,
        "statement": claim.statement,
        "assumptions": list(claim.assumptions),
        "status": claim.status,
        "method": claim.method,
    }


def _table(found: dict[str, list[Claim]]) -> Table:
    """Cells by claims: for every state whether it holds, and the gist of it."""
    from derive.claims import kinds

    order = list(kinds())
    columns: dict[str, int] = {}
    rows: dict[str, dict[str, list[str]]] = {}
    for cell, claims in found.items():
        row = rows.setdefault(cell, {})
        for claim in claims:
            what, _, state = claim.name.rpartition("-") if "-" in claim.name else (claim.name, "", "")
            columns[what] = order.index(claim.kind)
            entry = " ".join(filter(None, [state, MARKS[claim.status], claim.gist]))
            row.setdefault(what, []).append(entry)
    headings = sorted(columns, key=lambda what: columns[what])
    table = Table(*(Column(text, no_wrap=True) for text in ("cell", *headings)), box=None, pad_edge=False)
    for cell, row in rows.items():
        table.add_row(cell, *(escape("\n".join(row.get(column, ["–"]))) for column in headings))
    return table
