"""What was proved of the initial weights of a memory task, beside what became of them."""

from __future__ import annotations

from codegen.study.protocol import SEED
from codegen.study.reporting.groups import places, setting_name, setting_of
from codegen.study.reporting.scale import NOTHING, number, plain, scale_of
from codegen.study.reporting.tables import Section, Table
from codegen.study.results import Results, Trial

_NOTE = (
    "Proved: whether the certified contraction of the initial weights leaves less of what the answer needs "
    "than any answer could use. Excluded says that nothing can be learned before these weights are left, so "
    "that it begins late or never; not excluded promises nothing."
)


def prediction_table(results: Results) -> Table | None:
    """A row a trial; None if nothing was predicted."""
    sections: dict[str, list[tuple[str, ...]]] = {}
    for trial in results.trials:
        if "excluded" in trial.about:
            heading = f"{trial.options['cell']}, {setting_name(setting_of(trial))}".removesuffix(", ")
            sections.setdefault(heading, []).append(_row(trial, results))
    if not sections:
        return None
    return Table(
        "What was proved of the initial weights, and what came of them.",
        ("seed", "proved", scale_of(results.protocol).name, "right", "epochs", "reading"),
        tuple(Section(heading, tuple(rows)) for heading, rows in sections.items()),
        (_NOTE,),
    )


def _row(trial: Trial, results: Results) -> tuple[str, ...]:
    best, scale = trial.best, scale_of(results.protocol)
    proved = "excluded" if trial.about["excluded"] else "not excluded"
    loss = number(scale.of(best), places(results) + 2) if best else NOTHING
    right = best.measured.get("correct") if best else None
    share = NOTHING if right is None else f"{right:.0%}"
    reading = str(trial.about.get("prediction", "")).partition(": ")[2]
    return plain(trial.options[SEED]), proved, loss, share, str(len(trial.epochs)), reading
