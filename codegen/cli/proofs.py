"""``cellwright prove``: what is proved about a cell, about all cells, or of a published theorem."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

import derive
from codegen.cli.common import find_cell, out, print_json
from derive import Claim

if TYPE_CHECKING:
    from derive.theorems import Attack, Comparison

SAMPLES, ATTACKED = 3000, 300
"""Random weight sets for --compare, and certified ones that are attacked."""
T = TypeVar("T")
MARKS = {"proved": "✓", "refuted": "✗", "unknown": "?"}


def prove(
    cell: Annotated[
        str | None,
        typer.Argument(metavar="[CELL]", help="A catalogue name, or FILE.py that declares one cell."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All cells of the catalogue by claims, and all theorems.")
    ] = False,
    theorem: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Prove a published theorem, such as B5, from the equations."),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare",
            help="With --theorem: how many random weight sets each condition certifies (minutes).",
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    certificates: Annotated[
        bool, typer.Option(help="With --json: all that a re-check needs, for every claim.")
    ] = False,
) -> None:
    """Say what is proved about a cell, re-checked by a second method, and what is not decided."""
    if sum((cell is not None, everything, theorem is not None)) != 1:
        raise typer.BadParameter("give a CELL, or --all, or --theorem NAME")
    if compare and theorem is None:
        raise typer.BadParameter("--compare goes with --theorem NAME")
    if theorem is not None:
        _theorem(theorem, compare, json, certificates)
        return
    cells = [derive.cell(name) for name in derive.catalogue()] if cell is None else [find_cell(cell)]
    found, interrupted = _one_by_one({c.name: partial(derive.prove, c) for c in cells})
    results: dict[str, list[Claim]] = {}
    if everything and not interrupted:
        from derive.theorems import THEOREMS

        results, interrupted = _one_by_one({name: each.prove for name, each in THEOREMS.items()})
    documents = [
        {"cell": c, "claims": [_document(claim, certificates) for claim in cs]} for c, cs in found.items()
    ]
    if json:
        proved = [
            {"theorem": n, "claims": [_document(claim, certificates) for claim in cs]}
            for n, cs in results.items()
        ]
        whole = {"cells": documents, "theorems": proved}
        print_json(whole if everything else documents[0] if documents else {})
    elif everything:
        _print_table(_table(found))
        out.print(f"{'  '.join(f'{mark} {status}' for status, mark in MARKS.items())}\n", markup=False)
        _print_table(_theorem_table(results))
    else:
        for claims in found.values():
            _print(claims)
    everyone = [claim for claims in (*found.values(), *results.values()) for claim in claims]
    missed = [f"{n}: {c.name}" for n, cs in results.items() for c in cs if c.status != "proved"]
    _end(everyone, missed, interrupted)


def _one_by_one(provers: Mapping[str, Callable[[], T]]) -> tuple[dict[str, T], bool]:
    """What each gives, by name, as far as it came before Ctrl-C; a bar where somebody watches."""
    found: dict[str, T] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("", total=len(provers))
        try:
            for name, prover in provers.items():
                bar.update(task, description=name)
                found[name] = prover()
                bar.advance(task)
        except KeyboardInterrupt:
            return found, True
    return found, False


def _theorem(name: str, compare: bool, json: bool, certificates: bool) -> None:
    from derive.theorems import theorem

    result = theorem(name)
    found, interrupted = _one_by_one({result.name: result.prove})
    claims = found.get(result.name, [])
    trials: list[Comparison | Attack] = []
    if compare and not interrupted:
        trials += [result.compare(SAMPLES, 0)] if result.compare else []
        trials += [result.attack(ATTACKED, 0)] if result.attack else []
    if json:
        document = {"theorem": result.name, "statement": result.statement}
        proved = [_document(claim, certificates) for claim in claims]
        print_json(document | {"claims": proved, "trials": [asdict(t) for t in trials]})
    else:
        out.print(f"{result}\n", markup=False)
        _print(claims)
        for trial in trials:
            out.print(str(trial), markup=False)
    missed = [c.name for c in claims if c.status != "proved"]
    missed += [str(t) for t in trials if getattr(t, "broken", 0) or getattr(t, "lost", 0)]
    _end(claims, missed, interrupted)


def _theorem_table(results: Mapping[str, list[Claim]]) -> Table:
    """Every published result: what it says, and how many claims came out how."""
    from derive.theorems import THEOREMS

    table = Table(*(Column(text) for text in ("theorem", "about", "claims")), box=None, pad_edge=False)
    for name, claims in results.items():
        counts = Counter(claim.status for claim in claims)
        table.add_row(
            name,
            escape(THEOREMS[name].title),
            "  ".join(f"{MARKS[status]} {n}" for status, n in counts.items()),
        )
    return table


def _print_table(table: Table) -> None:
    """A table as wide as it is: no entry is cut."""
    wide = Console(width=1000)
    Console(width=max(out.width, wide.measure(table).maximum), highlight=False).print(table)


def _print(claims: Sequence[Claim]) -> None:
    for claim in claims:
        out.print(f"{claim}\n    by {claim.method}", markup=False)


def _end(claims: Sequence[Claim], missed: Sequence[str], interrupted: bool) -> None:
    """Re-check all that is decided; status 1 where that fails, or where a theorem is not proved."""
    decided = {f"re-checking {k}: {c.name}": c for k, c in enumerate(claims, 1) if c.status != "unknown"}
    checked, stopped = _one_by_one({label: c.recheck for label, c in decided.items()})
    interrupted = interrupted or stopped
    failed = [decided[label].name for label, stands in checked.items() if not stands]
    if failed:
        typer.echo(f"re-check failed: {', '.join(failed)}", err=True)
    if missed:
        typer.echo(f"not proved: {', '.join(missed)}", err=True)
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
