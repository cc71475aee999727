"""The sentences about what was found are true of the numbers they are made from."""

from __future__ import annotations

from dataclasses import replace

from codegen.study.reporting.answers import answers
from codegen.study.results import Outcome, Results
from tests.codegen.study.synthetic import study


def text(results: Results) -> str:
    return " ".join(sentence for part in answers(results).values() for sentence in part).replace(
        "\u00a0", " "
    )


def test_divergence_is_said() -> None:
    said = answers(study((0.003,)))["The trials"]
    assert said == [
        "Of 40 trials, 38 finished, 1 diverged and 1 failed.",
        "Diverged: pseudo-lstm at learning rate 0.003 (1 of 5).",
    ]


def test_the_lowest_cell_and_what_it_is_not_resolved_from() -> None:
    (said,) = answers(study((0.001,)))["The lowest loss"]
    assert said.startswith("At learning rate 0.001: pseudo-lstm-d2 has the lowest mean, 38")
    assert "not resolved from pseudo-lstm" in said
    (said,) = answers(study((0.001,), ("pseudo-lstm", "lstm")))["The lowest loss"]
    assert said.endswith("it is below every other cell that has a mean, at 95%.")


def test_resolved_effects_and_the_order_of_the_factors() -> None:
    (said,) = answers(study((0.001,)))["The factors"]
    assert said.startswith("At learning rate 0.001: resolved: diff 3 (+")
    assert said.endswith("is resolved at 95%: diff 3 > diff 1 > diff 2.")
    (said,) = answers(study((0.003,)))["The factors"]
    assert "is not resolved at 95% between diff 3 and diff 1 (apart by " in said


def test_an_incomplete_design_is_said() -> None:
    (said,) = answers(study((0.003, 0.001), ("lstm",), 2))["The factors"]
    assert said.startswith("The effects are not computed: no trial of pseudo-lstm, no trial")
    results = study((0.001,), seeds=1)
    assert "no seed has all cells" in text(results)  # its last trial failed


def test_published_figures_are_counted() -> None:
    (said,) = answers(study((0.001,)))["Beside the published figures"]
    assert said.startswith("Compared with the published figures, 5 means are within the interval")
    assert " 3 means are higher by 1." in said
    (said,) = answers(study((0.001,), ("lstm",), 2))["Beside the published figures"]
    assert said == "Compared with the published figures, 1 mean is without an interval to judge by."


def test_a_study_that_has_not_begun_claims_nothing() -> None:
    results = study((0.001,), seeds=2)
    waiting = tuple(replace(t, outcome=Outcome.UNFINISHED, epochs=()) for t in results.trials)
    said = answers(replace(results, trials=waiting))
    assert said["The trials"] == ["Of 16 trials, 16 unfinished."]
    assert set(said) == {"The trials", "The factors"}
    assert said["The factors"] == [
        "At learning rate 0.001: the effects are not computed: no seed has all cells."
    ]
