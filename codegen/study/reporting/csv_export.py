"""The results as two CSV files: a row a trial, and a row an epoch; every float in full."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

from codegen.study.reporting.scale import perplexity, scale_of
from codegen.study.results import Results, Trial

_BEST = ("best_epoch", "best_valid_sum", "best_valid")
_COUNTS = ("epochs", "seconds", "attempts", "number")


def trials_csv(results: Results) -> str:
    """One row a trial: all options, how it ended, its best epoch in each unit, and where it is from.

    A `perplexity` is given for language models only.  What is not known is empty.
    """
    protocol = results.protocol
    words = scale_of(protocol).words
    about = sorted({name for trial in results.trials for name in trial.about})
    options = (*protocol.grid, *(name for name in protocol.training if name not in protocol.grid))
    best = (*_BEST, *(("best_perplexity",) if words else ()))
    rows = (
        {**protocol.training, **trial.options, **_summary(trial), **_prefixed(trial.about)}
        for trial in results.trials
    )
    columns = (*options, "outcome", *best, *_COUNTS, "run_directory", "message", *map(_about, about))
    return _csv(columns, rows)


def epochs_csv(results: Results) -> str:
    """One row an epoch of a trial: the grid's options, the losses, and all that was measured."""
    found = {name for trial in results.trials for epoch in trial.epochs for name in epoch.measured}
    measured = sorted(found, key=_natural)
    rows = (
        {
            **{name: epoch.measured.get(name) for name in measured},
            **trial.options,
            "epoch": epoch.epoch,
            "train": epoch.train,
            "valid": epoch.valid,
            "valid_sum": epoch.valid_sum,
            "max_state": epoch.max_state,
            "seconds": epoch.seconds,
        }
        for trial in results.trials
        for epoch in trial.epochs
    )
    columns = ("epoch", "train", "valid", "valid_sum", "max_state", "seconds")
    return _csv((*results.protocol.grid, *columns, *measured), rows)


def _summary(trial: Trial) -> dict[str, Any]:
    best = trial.best
    return {
        "outcome": str(trial.outcome),
        "best_epoch": best and best.epoch,
        "best_valid_sum": best and best.valid_sum,
        "best_valid": best and best.valid,
        "best_perplexity": best and perplexity(best.valid),
        "epochs": len(trial.epochs),
        "seconds": trial.epochs[-1].seconds if trial.epochs else None,
        "attempts": trial.attempts,
        "number": trial.number,
        "run_directory": trial.run_directory,
        "message": trial.message,
    }


def _prefixed(about: Mapping[str, Any]) -> dict[str, Any]:
    return {_about(name): value for name, value in about.items()}


def _about(name: str) -> str:
    """The column of what is known about a trial, apart from the options' columns."""
    return f"about_{name}"


def _natural(name: str) -> tuple[str, int]:
    """Lag 2 before lag 16."""
    stem = name.rstrip("0123456789")
    return stem, int(name[len(stem) :] or 0)


def _csv(columns: tuple[str, ...], rows: Iterable[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _text(row.get(name)) for name in columns} for row in rows)
    return text.getvalue()


def _text(value: Any) -> str:
    """Floats as `repr` gives them, so that reading them gives the same bits."""
    return "" if value is None else repr(value) if isinstance(value, float) else str(value)
