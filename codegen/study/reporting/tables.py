"""The tables of a report as plain text cells, which the page and the terminal both show."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codegen.study.protocol import CELL, SEED
from codegen.study.reporting.effects import baseline, differences, effect_name, effects
from codegen.study.reporting.groups import (
    Comparison,
    Group,
    Setting,
    comparison,
    groups,
    places,
    setting_name,
    setting_of,
)
from codegen.study.reporting.scale import (
    NOTHING,
    Scale,
    decimals,
    number,
    perplexity,
    plain,
    plus_minus,
    probability,
    scale_of,
)
from codegen.study.reporting.statistics import Estimate, TTest
from codegen.study.results import Outcome, Results, Trial

if TYPE_CHECKING:
    from rich.console import JustifyMethod
    from rich.table import Table as RichTable

NATS_PLACES, PERPLEXITY_PLACES = 3, 1


TEXT_COLUMNS = ("cell", "effect", "trials", "verdict", "reading", "outcome", "why", "folder", "command")
"""The columns of words, which are flush left."""


@dataclass(frozen=True)
class Section:
    """Rows under one heading, which is empty if the table needs none."""

    heading: str
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Table:
    """The first column names the rows; `notes` stand below the table."""

    caption: str
    columns: tuple[str, ...]
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        rows = [_row("th", self.columns)]
        for section in self.sections:
            rows += [_row("th", (section.heading,))] if section.heading else []
            rows += [_row("td", row) for row in section.rows]
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        return f"<table><caption>{html.escape(self.caption)}</caption>{''.join(rows)}</table>{notes}"


def _row(tag: str, texts: tuple[str, ...]) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(text)}</{tag}>' for text in texts)}</tr>"


def losses(results: Results) -> Table:
    """The article's table: each group's mean beside the published one, in all units, with its best epoch."""
    scale, found = scale_of(results.protocol), groups(results)
    shown = places(results)
    published = results.protocol.published is not None
    sections: dict[str, list[tuple[str, ...]]] = {}
    for group in found:
        row = [group.cell, group.tally, plus_minus(group.estimate(scale.of), shown)]
        if published:
            row += _beside(comparison(results.protocol, group), shown)
        if scale.words:
            row += _words(group)
        sections.setdefault(setting_name(group.setting), []).append((*row, group.best_epochs or NOTHING))
    return Table(
        f"Best {scale.label}: mean ± half width of the 95% interval. Lower is better.",
        (
            *("cell", "trials", scale.name),
            *(("published", "ours − published", "verdict") if published else ()),
            *(("nats a word", "perplexity") if scale.words else ()),
            "best epoch",
        ),
        _sections(sections),
        tuple(_loss_notes(results, scale)),
    )


def others(results: Results) -> Table | None:
    """Every trial that is in no mean: how far it came, and why it ended; None if all finished."""
    scale, shown = scale_of(results.protocol), places(results)
    sections: dict[str, list[tuple[str, ...]]] = {}
    for trial in results.trials:
        if trial.outcome is not Outcome.FINISHED:
            best = trial.best
            loss = f"{number(scale.of(best), shown)} in epoch {best.epoch}" if best else NOTHING
            cell, seed = str(trial.options[CELL]), plain(trial.options[SEED])
            row = (cell, seed, str(trial.outcome), str(len(trial.epochs)), loss, trial.message or NOTHING)
            sections.setdefault(setting_name(setting_of(trial)), []).append(row)
    if not sections:
        return None
    return Table(
        "Trials that are in no mean.",
        ("cell", "seed", "outcome", "epochs", "best loss before", "why"),
        _sections(sections),
    )


def effect_table(results: Results) -> Table | None:
    """Main effects and interactions at each setting; None for a study without a design."""
    scale, found = scale_of(results.protocol), effects(results, scale_of(results.protocol).of)
    if not found:
        return None
    named = {setting_name(e.setting): {effect_name(f): t for f, t in e.tests.items()} for e in found}
    notes = [
        "A main effect is the mean loss of the cells with the factor − that of the cells without it. An "
        "interaction is half the difference that one factor makes to the other's effect. Each is computed at "
        "every seed that has all cells, and tested over those seeds by a paired t test."
    ]
    notes += [f"Not computed: {line}." for line in found[0].missing]
    notes += [line for e in found for line in _left_out(results, e.setting, e.left_out)]
    caption = f"Effects of the factors on the best {scale.label}."
    return _tests(caption, ("effect", "lowers the loss", "raises the loss"), named, notes)


def difference_table(results: Results) -> Table | None:
    """Every cell minus the baseline at each setting; None for a study of one cell."""
    scale = scale_of(results.protocol)
    found = differences(results, scale.of)
    named = {setting_name(d.setting): d.tests for d in found}
    if not any(named.values()):
        return None
    notes = ["Paired over the seeds at which both cells finished."]
    notes += [line for d in found for line in _left_out(results, d.setting, d.left_out)]
    caption = f"Best {scale.label}: cell − {baseline(results)}."
    return _tests(caption, ("cell", "lower", "higher"), named, notes)


def trials(results: Results) -> Table:
    """Every trial of the grid."""
    scale = scale_of(results.protocol)
    options = tuple(name for name in results.protocol.grid if name != CELL)
    shown = places(results) + 2
    rows = tuple(_trial_row(trial, options, scale, shown) for trial in results.trials)
    columns = ("outcome", scale.name, *(("nats a word", "perplexity") if scale.words else ()), "best epoch")
    names = tuple(name.replace("_", " ") for name in options)
    return Table(
        "Every trial; the loss is that of its best epoch.",
        ("cell", *names, *columns, "epochs", "attempts", "number", "folder", "command"),
        (Section("", rows),),
    )


def summary_table(results: Results) -> RichTable:
    """The table of losses for the terminal."""
    from rich.table import Table as RichTable
    from rich.text import Text

    table = losses(results)
    shown = RichTable(title=Text(table.caption), caption=Text("\n".join(table.notes)), caption_justify="left")
    for name in table.columns:
        justify: JustifyMethod = "left" if name in TEXT_COLUMNS else "right"
        shown.add_column(Text(name), justify=justify, no_wrap=name == table.columns[0])
    for section in table.sections:
        if section.heading:
            shown.add_row(Text(section.heading, style="bold"))
        for row in section.rows:
            shown.add_row(*map(Text, row))
        shown.add_section()
    return shown


def _sections(rows: Mapping[str, list[tuple[str, ...]]]) -> tuple[Section, ...]:
    return tuple(Section(heading, tuple(found)) for heading, found in rows.items())


def _left_out(results: Results, setting: Setting, seeds: tuple[str, ...]) -> list[str]:
    """`At learning rate 0.003, 1 of 5 seeds lacks a trial: seed 1 (lstm diverged).`"""
    if not seeds:
        return []
    name = setting_name(setting)
    count = f"{len(seeds)} of {len(results.protocol.grid[SEED])} seeds not complete"
    return [f"{f'At {name}, ' if name else ''}{count}: {', '.join(seeds)}."]


def _beside(found: Comparison | None, shown: int) -> list[str]:
    if found is None:
        return [NOTHING] * 3
    return [
        plus_minus(found.published, shown),
        plus_minus(found.difference, shown, signed=True),
        found.verdict,
    ]


def _words(group: Group) -> list[str]:
    nats = group.estimate(lambda epoch: epoch.valid)
    if nats is None:
        return [NOTHING] * 2
    return [plus_minus(nats, NATS_PLACES), _perplexity(nats)]


def _perplexity(nats: Estimate) -> str:
    """The mean and the ends of the interval, each transformed; that of a single trial has no ends."""
    mean = number(perplexity(nats.mean), PERPLEXITY_PLACES)
    if nats.half is None:
        return f"{mean} ({NOTHING})"
    ends = (perplexity(nats.mean + sign * nats.half) for sign in (-1, 1))
    return f"{mean} ({'–'.join(number(end, PERPLEXITY_PLACES) for end in ends)})"


def _loss_notes(results: Results, scale: Scale) -> list[str]:
    notes = ["Intervals are Student's t over the trials that finished; a single one has none. "]
    notes[0] += "Best epoch: median (range)."
    if scale.words:
        notes.append(
            "Perplexity is exp of the mean nats a word; its interval is that of the nats, transformed, "
            "and so not symmetric."
        )
    if any(trial.outcome is Outcome.DIVERGED for trial in results.trials):
        notes.append(
            "A diverged trial is counted and is not part of the mean: the mean is that of the trials which "
            "did train, and flatters a cell whose trials diverge."
        )
    published = results.protocol.published
    if published:
        notes.append(
            f"Published: {published.source}. Difference by Welch's t, on the assumption that each published "
            f"interval is a 95% one by Student's t over {published.trials} trials. "
            "Within: the interval of the difference contains 0."
        )
    return notes


def _tests(
    caption: str, words: tuple[str, str, str], tests: Mapping[str, Mapping[str, TTest]], notes: list[str]
) -> Table:
    """A row a test; `words` are what is tested, and what a resolved one below and above 0 is called."""
    what, below, above = words
    shown = decimals(test.estimate for family in tests.values() for test in family.values())
    sections: dict[str, list[tuple[str, ...]]] = {
        heading: [
            (
                name,
                plus_minus(test.estimate, shown, signed=True),
                probability(test.p),
                probability(test.holm),
                str(test.estimate.n),
                "not resolved" if not test.resolved else below if test.estimate.mean < 0 else above,
            )
            for name, test in family.items()
        ]
        for heading, family in tests.items()
        if family
    }
    last = (
        "p: of the test alone. Holm: adjusted for all tests under the same heading; the reading is at 95% "
        "after that. The intervals are not adjusted."
    )
    columns = (what, "estimate", "p", "p (Holm)", "seeds", "reading")
    return Table(caption, columns, _sections(sections), (*notes, last))


def _trial_row(trial: Trial, options: tuple[str, ...], scale: Scale, shown: int) -> tuple[str, ...]:
    best = trial.best
    columns = 4 if scale.words else 2
    values = [NOTHING] * columns
    if best:
        values = [number(scale.of(best), shown)]
        if scale.words:
            values += [
                number(best.valid, NATS_PLACES),
                number(perplexity(best.valid), PERPLEXITY_PLACES),
            ]
        values.append(str(best.epoch))
    return (
        str(trial.options[CELL]),
        *(plain(trial.options[name]) for name in options),
        str(trial.outcome),
        *values,
        str(len(trial.epochs)),
        str(trial.attempts),
        NOTHING if trial.number is None else str(trial.number),
        trial.run_directory or NOTHING,
        str(trial.about.get("command", NOTHING)),
    )
