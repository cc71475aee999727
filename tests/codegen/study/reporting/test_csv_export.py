"""The CSV files: all trials, all epochs, and floats that come back bit for bit."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

from codegen.study.reporting.csv_export import epochs_csv, trials_csv
from codegen.study.results import Epoch
from tests.codegen.study.synthetic import ABOUT, study


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_one_row_a_trial_with_everything_that_traces_it() -> None:
    results = study((0.003,), ("pseudo-lstm", "lstm"))
    rows = read(trials_csv(results))
    assert len(rows) == len(results.trials)
    for row, trial in zip(rows, results.trials, strict=True):
        best = trial.best
        assert row["outcome"] == trial.outcome
        assert (row["cell"], row["seed"]) == (trial.options["cell"], str(trial.options["seed"]))
        assert row["hidden_size"] == "250"
        assert (row["number"], row["attempts"]) == (str(trial.number), str(trial.attempts))
        assert row["run_directory"] == trial.run_directory
        assert {name: row[f"about_{name}"] for name in ABOUT} == ABOUT
        assert row["about_command"] == trial.about["command"]
        if best is None:
            assert row["best_epoch"] == row["best_valid"] == row["seconds"] == ""
        else:
            assert float(row["best_valid"]) == best.valid
            assert float(row["best_valid_sum"]) == best.valid_sum
            assert float(row["seconds"]) == trial.epochs[-1].seconds


def test_one_row_an_epoch_with_what_was_measured() -> None:
    results = study((0.001,), ("pseudo-lstm",), 2)
    rows = read(epochs_csv(results))
    epochs = [epoch for trial in results.trials for epoch in trial.epochs]
    assert len(rows) == len(epochs)
    for row, epoch in zip(rows, epochs, strict=True):
        assert float(row["valid_sum"]) == epoch.valid_sum
        assert float(row["train"]) == epoch.train
        for name, value in epoch.measured.items():
            assert row[name] == ("" if value is None else repr(value))
    names = [name for name in rows[0] if name.startswith("sensitivity")]
    assert names == [f"sensitivity_{lag}" for lag in (1, 2, 4, 8, 16, 32, 64)]


def test_perplexity_only_for_words() -> None:
    results = study((0.001,), ("lstm",), 2)
    assert "perplexity" in trials_csv(results)
    protocol = replace(results.protocol, training={"task": "adding"}, published=None)
    assert "perplexity" not in trials_csv(replace(results, protocol=protocol))


def test_what_is_not_finite_and_what_needs_quotes() -> None:
    results = study((0.001,), ("lstm",), 1)
    epoch = Epoch(1, float("inf"), float("nan"), 1e-320, 0.1 + 0.2, 1.0)
    trial = replace(results.trials[0], epochs=(epoch,), message='a "quoted", \n broken line')
    results = replace(results, trials=(trial,))
    (row,) = read(epochs_csv(results))
    assert (row["train"], row["valid"], row["valid_sum"]) == ("inf", "nan", "1e-320")
    assert row["max_state"] == "0.30000000000000004"
    (row,) = read(trials_csv(results))
    assert row["message"] == trial.message
