"""What was proved of the initial weights of a memory task, beside what became of them."""

from __future__ import annotations

from codegen.prediction import FAINT
from codegen.study.protocol import SEED
from codegen.study.reporting.groups import places, setting_name, setting_of
from codegen.study.reporting.scale import NOTHING, number, plain, scale_of
from codegen.study.reporting.tables import Section, Table
from codegen.study.results import Results, Trial

_NOTE = (
    "Proved is how much, at most, what lies so far back changes a state under the initial weights. "
    f"Where that is below {FAINT:g}, it is predicted that learning begins late or never (too little); "
    "otherwise nothing is predicted."
)


def prediction_table(results: Results) -> Table | None:
    """A row a trial; None if nothing was predicted."""
    sections: dict[str, list[tuple[str, ...]]] = {}
    for trial in results.trials:
        if "predicts_failure" in trial.about:
            heading = f"{trial.options['cell']}, {setting_name(setting_of(trial))}".removesuffix(", ")
            sections.setdefault(heading, []).append(_row(trial, results))
    if not sections:
        return None
    return Table(
        "What the initial weights let through, by proof, and what came of them.",
        ("seed", "predicted", scale_of(results.protocol).name, "right", "epochs", "reading"),
        tuple(Section(heading, tuple(rows)) for heading, rows in sections.items()),
        (_NOTE,),
    )


def _row(trial: Trial, results: Results) -> tuple[str, ...]:
    best, scale = trial.best, scale_of(results.protocol)
    predicted = "too little" if trial.about["predicts_failure"] else NOTHING
    loss = number(scale.of(best), places(results) + 2) if best else NOTHING
    right = best.measured.get("correct") if best else None
    share = NOTHING if right is None else f"{right:.0%}"
    reading = str(trial.about.get("prediction", "")).partition(": ")[2]
    return plain(trial.options[SEED]), predicted, loss, share, str(len(trial.epochs)), reading
