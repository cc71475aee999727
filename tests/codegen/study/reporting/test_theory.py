"""Pictures of what was measured: as many as there are kinds of measurement, medians over the seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure

from codegen.study.reporting.theory import theory_pictures
from codegen.study.results import Results
from tests.codegen.study.synthetic import study


def with_measured(*found: Mapping[str, float | None]) -> Results:
    """One cell; a trial of two epochs for each of `found`, which holds for both."""
    results = study((0.001,), ("lstm",), len(found) + 1, epochs=2)  # the last one failed
    trials = [
        replace(trial, epochs=tuple(replace(epoch, measured=measured) for epoch in trial.epochs))
        for trial, measured in zip(results.trials[:-1], found, strict=True)
    ]
    return replace(results, trials=(*trials, results.trials[-1]))


def names(results: Results) -> list[str]:
    return [picture.name for picture in theory_pictures(results)]


def test_a_picture_for_each_kind_of_measurement(figures: list[Figure]) -> None:
    assert names(study((0.001,), ("lstm",), 2, measured=False)) == []
    assert names(study((0.001,), ("lstm",), 2)) == ["jacobian", "lag", "state", "gates"]
    assert names(with_measured({"state_max": 1.0, "anything_else": 2.0})) == ["state", "measured"]
    assert names(with_measured({"sensitivity_4": 1.0})) == ["lag"]


def test_lines_are_medians_over_the_seeds(figures: list[Figure]) -> None:
    theory_pictures(with_measured({"rate": 1.0}, {"rate": 2.0}, {"rate": 9.0}))
    (line,) = figures[0].axes[0].lines[:1]
    assert list(line.get_xdata()) == [1, 2]
    assert list(line.get_ydata()) == [2.0, 2.0]


def test_what_is_not_finite_is_marked_at_the_edge(figures: list[Figure]) -> None:
    theory_pictures(with_measured({"bound": None}, {"bound": None}, {"bound": 3.0}))
    line, triangles = figures[0].axes[0].lines
    assert np.isnan(line.get_ydata()).all()
    assert (list(triangles.get_xdata()), triangles.get_marker()) == ([1, 2], "^")


def test_sensitivity_by_lag_in_the_order_of_the_lags(figures: list[Figure]) -> None:
    results = with_measured({"sensitivity_16": 0.01, "sensitivity_2": 0.5, "sensitivity_4": 0.0})
    theory_pictures(results)
    last, first = figures[0].axes[0].lines
    assert list(last.get_xdata()) == [2, 4, 16]
    assert np.array_equal(last.get_ydata(), [0.5, np.nan, 0.01], equal_nan=True)
    assert (last.get_linestyle(), first.get_linestyle()) == ("-", "--")


def test_gates_low_to_the_left_and_high_to_the_right(figures: list[Figure]) -> None:
    results = with_measured({"saturation_low_i": 0.25, "saturation_high_i": 0.5, "saturation_high_f": 1.0})
    theory_pictures(results)
    i, f = figures[0].axes
    assert [axes.get_title("left").split("\n")[0] for axes in (i, f)] == ["gate i", "gate f"]
    assert [bar.get_width() for bar in i.patches] == [-0.25, 0.5]  # type: ignore[attr-defined]
    assert [bar.get_width() for bar in f.patches] == [0.0, 1.0]  # type: ignore[attr-defined]


def test_a_wide_range_is_shown_on_a_logarithmic_scale(figures: list[Figure]) -> None:
    results = study((0.001,), ("lstm",), 2, epochs=2)
    one, two = results.trials[0].epochs
    epochs = (replace(one, measured={"rate": 1.0}), replace(two, measured={"rate": 100.0}))
    theory_pictures(replace(results, trials=(replace(results.trials[0], epochs=epochs),)))
    theory_pictures(with_measured({"rate": 1.0}))
    assert [figure.axes[0].get_yscale() for figure in figures] == ["log", "linear"]
