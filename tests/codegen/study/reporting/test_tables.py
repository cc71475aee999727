"""Tables: which rows and columns there are, and that no trial is left unmentioned."""

from __future__ import annotations

import io
from dataclasses import replace
from math import exp
from statistics import fmean, stdev

from rich.console import Console

from codegen.study.reporting import tables
from codegen.study.reporting.tables import Section, Table
from codegen.study.results import Outcome
from tests.codegen.study.synthetic import study


def test_the_articles_table() -> None:
    results = study((0.003, 0.001), ("pseudo-lstm", "lstm"))
    table = tables.losses(results)
    assert table.columns == (
        *("cell", "trials", "loss", "published", "ours − published", "verdict"),
        *("nats a word", "perplexity", "best epoch"),
    )
    assert [section.heading for section in table.sections] == ["learning rate 0.003", "learning rate 0.001"]
    first = table.sections[0].rows[0]
    assert first[:2] == ("pseudo-lstm", "4 of 5, 1 diverged")
    assert first[3] == "433.7\u00a0±\u00a00.8"
    assert any("flatters" in note for note in table.notes)
    assert any("a table & its footnotes" in note and "over 5 trials" in note for note in table.notes)


def test_three_units_of_the_same_trials() -> None:
    """One trial: its best epoch in all units, and no interval for any."""
    results = study((0.001,), ("pseudo-lstm",), 2)  # the second failed
    best = results.trials[0].best
    assert best is not None
    (row,) = tables.losses(results).sections[0].rows
    assert row[1] == "1 of 2, 1 failed"
    assert row[2] == f"{best.valid_sum:.2f}\u00a0±\u00a0—"
    assert row[-3] == f"{best.valid:.3f}\u00a0±\u00a0—"
    assert row[-2] == f"{exp(best.valid):.1f} (—)"
    assert row[-1] == str(best.epoch)


def test_perplexitys_interval_is_transformed() -> None:
    results = study((0.001,), ("lstm",), 4)
    nats = [min(epoch.valid for epoch in trial.epochs) for trial in results.trials[:3]]  # the last failed
    mean, half = fmean(nats), 4.30265273 * stdev(nats) / 3**0.5
    expected = f"{exp(mean):.1f} ({exp(mean - half):.1f}–{exp(mean + half):.1f})"
    assert tables.losses(results).sections[0].rows[0][-2] == expected


def test_trials_that_are_in_no_mean_are_listed_with_their_reason() -> None:
    table = tables.others(study((0.003,), ("pseudo-lstm", "lstm")))
    assert table is not None
    (section,) = table.sections
    diverged, failed = section.rows
    assert diverged[:4] == ("pseudo-lstm", "1", "diverged", "3")
    assert diverged[4].endswith("in epoch 3")
    assert diverged[5] == "the loss became infinite"
    assert failed == ("lstm", "4", "failed", "0", "—", "OSError: no space left on <disk>")


def test_no_table_of_others_if_all_finished() -> None:
    results = study((0.001,), ("lstm",), 2)
    finished = tuple(replace(trial, outcome=Outcome.FINISHED) for trial in results.trials[:1])
    assert tables.others(replace(results, trials=finished)) is None


def test_effects_say_which_seeds_are_left_out() -> None:
    table = tables.effect_table(study((0.003,)))
    assert table is not None
    assert "At learning rate 0.003, 2 of 5 seeds not complete: " in table.notes[1]
    assert "seed 1 (pseudo-lstm diverged), seed 4 (lstm failed)" in table.notes[1]
    rows = {row[0]: row for row in table.sections[0].rows}
    assert rows["diff 2"][-2:] == ("3", "lowers the loss")
    assert rows["diff 1"][-1] == "not resolved"


def test_effects_of_an_incomplete_design_are_not_computed() -> None:
    table = tables.effect_table(study((0.001,), ("pseudo-lstm", "lstm"), 2))
    assert table is not None
    assert table.sections == ()
    assert "Not computed: no trial of pseudo-lstm-d1." in table.notes


def test_differences_are_named_after_the_baseline() -> None:
    table = tables.difference_table(study((0.001,), ("pseudo-lstm", "lstm")))
    assert table is not None
    assert table.caption.endswith("cell − pseudo-lstm.")
    ((name, *_, seeds, reading),) = table.sections[0].rows
    assert (name, seeds, reading) == ("lstm", "4", "higher")
    assert tables.difference_table(study((0.001,), ("lstm",), 2)) is None


def test_every_trial_has_a_row() -> None:
    results = study((0.001,), ("pseudo-lstm", "lstm"), 3)
    table = tables.trials(results)
    (section,) = table.sections
    assert len(section.rows) == len(results.trials)
    assert all(len(row) == len(table.columns) for row in section.rows)
    assert section.rows[0][-1].startswith("cellwright train pseudo-lstm")
    assert section.rows[0][-2] == "runs/0000"


def test_a_task_that_is_not_language_knows_no_words() -> None:
    results = study((0.001,), ("pseudo-lstm", "lstm"), 3)
    protocol = replace(results.protocol, training={"task": "adding"}, published=None)
    table = tables.losses(replace(results, protocol=protocol))
    assert table.columns == ("cell", "trials", "mean squared error", "best epoch")
    assert "word" not in str(table)
    assert "erplexity" not in str(table)


def test_the_terminal_shows_the_same_rows() -> None:
    results = study((0.003,), ("pseudo-lstm", "lstm"))
    console = Console(width=200, file=io.StringIO(), color_system=None)
    console.print(tables.summary_table(results))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for row in tables.losses(results).sections[0].rows:
        assert all(cell in shown for cell in row)
    assert "learning rate 0.003" in shown


def test_a_notebook_shows_headings_rows_and_notes() -> None:
    shown = Table("a < b", ("cell", "x"), (Section("at 1", (("gru", "2"),)),), ("note",))._repr_html_()
    assert shown == (
        "<table><caption>a &lt; b</caption><tr><th>cell</th><th>x</th></tr><tr><th>at 1</th></tr>"
        "<tr><td>gru</td><td>2</td></tr></table><p>note</p>"
    )
