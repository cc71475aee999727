"""What was proved beside what was measured."""

from __future__ import annotations

from dataclasses import replace

from codegen.study.reporting.contents import parts
from codegen.study.reporting.predictions import prediction_table
from codegen.study.results import Results
from tests.codegen.study.synthetic import study


def test_no_table_where_nothing_was_predicted() -> None:
    assert prediction_table(study(seeds=2, measured=False)) is None


def test_a_row_a_trial() -> None:
    plain = study(rates=(0.001,), cells=("lstm", "pseudo-lstm"), seeds=2, measured=False)
    said = [
        {"predicts_failure": True, "prediction": "failure predicted: a step contracts by ρ = 0.5, so that …"},
        {"predicts_failure": False, "prediction": "nothing predicted: a step is not proved to contract"},
    ]
    trials = tuple(
        replace(
            trial,
            about={**trial.about, **said[trial.options["cell"] == "lstm"]},
            epochs=tuple(replace(epoch, measured={"correct": 0.25}) for epoch in trial.epochs),
        )
        for trial in plain.trials
    )
    results = Results(plain.protocol, trials)
    table = prediction_table(results)
    assert table is not None
    assert table in {part.heading: part for part in parts(results)}["Proved and measured"].tables
    by_heading = {section.heading: section.rows for section in table.sections}
    assert list(by_heading) == ["lstm, learning rate 0.001", "pseudo-lstm, learning rate 0.001"]
    (first, *_) = by_heading["lstm, learning rate 0.001"]
    assert first[:2] == ("0", "—")
    assert first[3:] == ("25%", "10", "a step is not proved to contract")
    excluded = by_heading["pseudo-lstm, learning rate 0.001"][0]
    best = next(t for t in trials if t.options["cell"] == "pseudo-lstm").best
    assert excluded[1] == "too little"
    assert best is not None
    assert abs(float(excluded[2]) - best.valid_sum) < 0.01
