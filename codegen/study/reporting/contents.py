"""What stands on the page of a study, in which order; and the facts that its numbers can be traced by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields

from codegen.study.reporting import tables
from codegen.study.reporting.panels import Picture
from codegen.study.reporting.pictures import dot_plot, effect_plot, learning_curves
from codegen.study.reporting.predictions import prediction_table
from codegen.study.reporting.scale import plain
from codegen.study.reporting.tables import Table
from codegen.study.reporting.theory import theory_pictures
from codegen.study.results import Outcome, Results

_SAME = {
    "data_sha256": "The trials did not all read the same data.",
    "cellwright": "The trials are not all of the same version of the toolkit.",
}
"""What should be the same for all trials, and what to say if it is not."""

_OWN = ("command", "cell_sha256", "prediction", "predicts_failure")
"""What each trial, or each cell, has of its own."""

_TOO_MANY = 6
"""So many different values of one fact are counted instead of listed."""


@dataclass(frozen=True)
class Part:
    """Pictures, then tables, under one heading."""

    heading: str
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()


def parts(results: Results) -> list[Part]:
    """The body of the page, without what these results have nothing for."""
    found = [
        _part(
            "Best validation losses", [dot_plot(results)], [tables.losses(results), tables.others(results)]
        ),
        _part("Proved and measured", [], [prediction_table(results)]),
        _part("Effects of the factors", [effect_plot(results)], [tables.effect_table(results)]),
        _part("Cell by cell", [], [tables.difference_table(results)]),
        _part("Learning curves", [learning_curves(results)], []),
        _part("Jacobians, gates and states", theory_pictures(results), []),
    ]
    return [part for part in found if part.pictures or part.tables]


def _part(heading: str, pictures: Sequence[Picture | None], shown: Sequence[Table | None]) -> Part:
    return Part(heading, tuple(p for p in pictures if p), tuple(t for t in shown if t))


def protocol_facts(results: Results) -> dict[str, str]:
    """The protocol as the study's file declares it."""
    protocol = results.protocol
    facts = {"study": protocol.name}
    facts |= {_words(name): ", ".join(map(plain, values)) for name, values in protocol.grid.items()}
    facts |= {_words(name): plain(value) for name, value in protocol.training.items()}
    data = {field.name: getattr(protocol.data, field.name) for field in fields(protocol.data)}
    facts |= {f"data: {_words(name)}": plain(value) for name, value in data.items() if value is not None}
    if protocol.design:
        levels = (f"{cell} {''.join(map(str, codes))}" for cell, codes in protocol.design.levels.items())
        facts[f"design ({', '.join(protocol.design.factors)})"] = ", ".join(levels)
    if protocol.published:
        facts["published figures"] = protocol.published.source
    return facts


def origin_facts(results: Results) -> dict[str, str]:
    """Versions, machines and the data's checksum, from what the trials say of themselves."""
    found = _about(results)
    return {_words(name): _values(counts, len(results.trials)) for name, counts in found.items()}


def warnings(results: Results) -> list[str]:
    """What the reader must know first: that trials are to come, or that they are not comparable."""
    found = _about(results)
    warnings = [warning for name, warning in _SAME.items() if len(found.get(name, ())) > 1]
    unfinished = sum(trial.outcome is Outcome.UNFINISHED for trial in results.trials)
    if unfinished:
        warnings.insert(
            0, f"The study is not complete: {unfinished} of {len(results.trials)} trials are to come."
        )
    return warnings


def _about(results: Results) -> dict[str, Counter[str]]:
    """How often each value is said of a trial, but for what differs from trial to trial by its nature."""
    found: dict[str, Counter[str]] = {}
    for trial in results.trials:
        for name, value in trial.about.items():
            if name not in _OWN and value is not None:
                found.setdefault(name, Counter())[str(value)] += 1
    return found


def _values(counts: Counter[str], trials: int) -> str:
    """The one value, or each with the number of its trials."""
    if len(counts) > _TOO_MANY:
        return f"{len(counts)} different values, in the file of trials"
    if counts.total() == trials and len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{value} ({n} of {trials} trials)" for value, n in counts.items())


def _words(name: str) -> str:
    return name.replace("_", " ")
