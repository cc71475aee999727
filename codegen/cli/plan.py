"""``cellwright emit --plan``: the stages of a cell as a table, in symbols or in numbers, or as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import sympy
from rich.console import Console
from rich.console import Group as Lines
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from codegen.backends import backend as named
from codegen.cli.common import print_json
from codegen.errors import ConfigError
from codegen.lowering import lower
from codegen.stages import STEP, B, Group, Stage, Stages, T, loop_stages, plan_stages
from derive.cell import Cell
from derive.counts import polynomial
from derive.errors import nearest

FLOAT32 = 4
"""Bytes a number."""
WIDTH = 120
"""Of a table that goes into a file or a pipe."""
STYLES = {"product": "bold cyan", "gradient": "bold cyan", "mean": "magenta", "recomputed": "italic"}


def show_plan(cell: Cell, backend: str, sizes: str | None, json: bool, output: Path | None) -> None:
    """Print the stages of what a backend writes."""
    if output is not None:
        raise ConfigError(f"--plan prints a table and writes no file; -o {output} goes with the source")
    stages = stages_of(cell, backend)
    numbers = None if sizes is None else sizes_from(sizes, stages)
    if json:
        print_json({"backend": backend, **document(stages, numbers)})
        return
    terminal = Console(highlight=False)
    wide = terminal if terminal.is_terminal else Console(highlight=False, width=WIDTH)
    wide.print(table(stages, numbers))


def stages_of(cell: Cell, backend: str) -> Stages:
    """The stages of what a backend computes: its loop with the adjoint, or the phases of the plan.

    Raises :class:`~codegen.errors.UnknownBackend`, and :class:`~codegen.errors.Unsupported` for what cannot
    be lowered.
    """
    plan = lower(cell)
    loop = named(backend).loop(plan)
    return plan_stages(plan) if loop is None else loop_stages(loop)


def sizes_from(text: str, stages: Stages) -> dict[sympy.Symbol, int]:
    """``n=250,m=250,B=30,T=30`` as numbers; every size that the table asks for and no other."""
    wanted = {symbol.name: symbol for symbol in _free(stages)}
    found: dict[sympy.Symbol, int] = {}
    for item in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, value = (piece.strip() for piece in item.partition("="))
        if not value.isdecimal() or int(value) == 0:
            raise ConfigError(f"--sizes: {item!r} is no size; expected such as n=250")
        if name not in wanted and name not in ("n", "m"):
            expected = ", ".join(sorted(wanted))
            raise ConfigError(
                f"--sizes: {stages.cell.name} has no size {name!r}{nearest(name, wanted)} Sizes: {expected}"
            )
        if name in wanted:
            found[wanted[name]] = int(value)
    if missing := sorted(set(wanted) - {symbol.name for symbol in found}):
        example = ",".join(f"{name}=…" for name in missing)
        raise ConfigError(f"--sizes: {', '.join(missing)} missing; expected also {example}")
    return found


def _free(stages: Stages) -> set[sympy.Symbol]:
    every = [stage for group in stages.groups for stage in group.stages]
    symbols: set[sympy.Symbol] = {T, B}
    for stage in every:
        symbols |= set().union(*(value.free_symbols for value in _values(stage)))
    return symbols


def _values(stage: Stage) -> list[sympy.Expr]:
    counts = stage.counts
    return [
        sympy.sympify(v)
        for v in (counts.multiply_adds, counts.elementwise, counts.activations, stage.read, stage.written)
    ]


# in symbols


def table(stages: Stages, sizes: Mapping[sympy.Symbol, int] | None = None) -> Lines:
    """What to print: the table, its totals, what is stored, and what the numbers mean."""
    title = f"{stages.cell.name}: {'the phases' if stages.form == 'phases' else 'the loop and its adjoint'}"
    if sizes:
        order = sorted(sizes, key=lambda s: (s in (T, B), s.name))
        title += f" at {', '.join(f'{s.name} = {sizes[s]}' for s in order)}"
    pieces: list[Table | Text] = [
        Text(title, style="bold"),
        _rows(stages, sizes or {}),
        _totals(stages, sizes or {}),
        *_stored(stages, sizes or {}),
        Text(_legend(stages, bool(sizes)), style="dim"),
    ]
    return Lines(*[line for piece in pieces for line in (piece, Text())][:-1])


def _empty(first: str, *rest: str) -> Table:
    """A table without lines, numbers to the right."""
    numbers = [Column(name, justify="right") for name in rest]
    return Table(Column(first), *numbers, box=None, pad_edge=False, padding=(0, 2, 0, 0))


def _heads(sizes: Mapping[sympy.Symbol, int]) -> list[str]:
    shares = ["flop %", "bytes %", "flop/byte"] if sizes else []
    return ["multiply-adds", "elementwise", "activations", "bytes read", "bytes written", *shares]


def _rows(stages: Stages, sizes: Mapping[sympy.Symbol, int]) -> Table:
    found = _empty("stage", *_heads(sizes))
    whole = stages.total()
    for group in stages.groups:
        found.add_row()
        found.add_row(Text(group.title, style="bold yellow" if group.way_back else "bold green"))
        for stage in group.stages:
            for row in _stage_rows(stage, whole, sizes):
                found.add_row(*row)
    return found


def _totals(stages: Stages, sizes: Mapping[sympy.Symbol, int]) -> Table:
    found = _empty("total", *_heads(sizes))
    whole = stages.total()
    if any(group.way_back for group in stages.groups):
        for name, way_back in (("forward", False), ("way back", True)):
            found.add_row(name, *_cells(stages.total(way_back=way_back), whole, sizes))
    found.add_row("all", *_cells(whole, whole, sizes), style="bold")
    return found


def _stage_rows(stage: Stage, whole: Stage, sizes: Mapping[sympy.Symbol, int]) -> Iterable[list[Any]]:
    style = "dim" if stage.optional else STYLES.get(stage.kind, "")
    before = "again: " if stage.kind == "recomputed" else ""
    after = " (if asked for)" if stage.optional else ""
    for index, formula in enumerate(stage.formulas):
        text = Padding(Text(before + formula + after, style), (0, 0, 0, 2))
        yield [text, *(_cells(stage, whole, sizes) if index == 0 else [])]


def _cells(stage: Stage, whole: Stage, sizes: Mapping[sympy.Symbol, int]) -> list[str]:
    *operations, read, written = _values(stage)
    if not sizes:
        return [*map(in_steps, operations), *(in_steps(FLOAT32 * v) for v in (read, written))]
    numbers = [int(v.subs(sizes)) for v in operations]
    sent = [FLOAT32 * int(v.subs(sizes)) for v in (read, written)]
    flop, all_flop = _flop(stage, sizes), _flop(whole, sizes)
    moved, all_moved = sum(sent), FLOAT32 * int((whole.read + whole.written).subs(sizes))
    shares = ["", ""] if stage.optional else [_share(flop, all_flop), _share(moved, all_moved)]
    intensity = f"{flop / moved:.1f}" if moved and flop else ""
    return [*map(in_thousands, numbers), *map(in_kibi, sent), *shares, intensity]


def _flop(stage: Stage, sizes: Mapping[sympy.Symbol, int]) -> int:
    """A multiply-add is two operations, an activation one."""
    counts = stage.counts
    total = 2 * counts.multiply_adds + counts.elementwise + counts.activations
    return int(sympy.sympify(total).subs(sizes))


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if part and whole else ""


def in_steps(expr: sympy.Expr) -> str:
    """A polynomial sorted by how it grows with T and B: ``12n·TB + 8n²·T``; nothing for zero."""
    if expr == 0:
        return ""
    terms = sympy.Poly(expr, T, B).terms()
    pieces = []
    for (steps, batch), coefficient in sorted(terms, reverse=True):
        text = polynomial(coefficient)
        factor = "T" * bool(steps) + "B" * bool(batch)
        pieces.append(f"{f'({text})' if ' ' in text else text}·{factor}" if factor else text)
    return " + ".join(pieces)


def in_thousands(number: int) -> str:
    """``168.8 M``; nothing for zero."""
    return _scaled(number, 1000, ("", " k", " M", " G", " T", " P"))


def in_kibi(number: int) -> str:
    """``21.5 MiB``; nothing for zero."""
    return _scaled(number, 1024, (" B", " KiB", " MiB", " GiB", " TiB", " PiB"))


def _scaled(number: int, base: int, units: tuple[str, ...]) -> str:
    if number == 0:
        return ""
    value, index = float(number), 0
    while value >= base and index < len(units) - 1:
        value, index = value / base, index + 1
    return f"{value:.1f}{units[index]}" if index else f"{number}{units[0]}"


def _stored(stages: Stages, sizes: Mapping[sympy.Symbol, int]) -> list[Table]:
    if not stages.stored:
        return []
    found = Table("stored at every step", "why", Column("bytes", justify="right"), box=None, pad_edge=False)
    found.padding = (0, 2, 0, 0)
    total = sympy.expand(sum((s.numbers for s in stages.stored), sympy.S.Zero))
    for name, why, numbers in [*((s.name, s.why, s.numbers) for s in stages.stored), ("all", "", total)]:
        amount = FLOAT32 * numbers
        text = in_kibi(int(amount.subs(sizes))) if sizes else in_steps(amount)
        found.add_row(name, why, text, style="bold" if name == "all" else "")
    return [found]


def _legend(stages: Stages, numeric: bool) -> str:
    lines = ["Of a whole call: T steps of B sequences, 4 bytes a number (float32)."]
    if any(s.runs == STEP for g in stages.groups for s in g.stages):
        lines.append(
            "Matrices are read anew at every step; what only its own stage reads stays in registers."
        )
    if numeric:
        lines.append("A multiply-add is two flop, an elementwise operation or an activation one.")
    lines += [f"Not counted: {what}." for what in stages.uncounted]
    return "\n".join(lines)


# as JSON


def document(stages: Stages, sizes: Mapping[sympy.Symbol, int] | None = None) -> dict[str, Any]:
    """The same as plain data; polynomials are text that SymPy reads, with ``sizes`` numbers."""

    def number(expr: Any) -> Any:
        expr = sympy.sympify(expr)
        return int(expr.subs(sizes)) if sizes else str(expr)

    def row(stage: Stage) -> dict[str, Any]:
        multiply_adds, elementwise, activations, read, written = _values(stage)
        return {
            "multiply_adds": number(multiply_adds),
            "elementwise": number(elementwise),
            "activations": number(activations),
            "bytes_read": number(FLOAT32 * read),
            "bytes_written": number(FLOAT32 * written),
        }

    def group(found: Group) -> dict[str, Any]:
        stages_in = [
            {"kind": s.kind, "runs": s.runs, "optional": s.optional, "formulas": list(s.formulas), **row(s)}
            for s in found.stages
        ]
        return {"title": found.title, "way_back": found.way_back, "stages": stages_in}

    return {
        "cell": stages.cell.name,
        "form": stages.form,
        "sizes": {symbol.name: size for symbol, size in (sizes or {}).items()},
        "groups": [group(g) for g in stages.groups],
        "stored": [
            {"name": s.name, "why": s.why, "bytes": number(FLOAT32 * s.numbers)} for s in stages.stored
        ],
        "total": row(stages.total()),
        "uncounted": list(stages.uncounted),
    }
