"""Pictures of the losses: what is drawn is what the trials found."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import fmean
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from codegen.study.reporting.groups import groups
from codegen.study.reporting.panels import looks
from codegen.study.reporting.pictures import crowd, dot_plot, effect_plot, learning_curves
from codegen.study.reporting.scale import scale_of
from tests.codegen.study.synthetic import study


def interval_ends(axes: Axes) -> list[tuple[float, float]]:
    """Left and right end of each horizontal interval, in the order of drawing."""
    segments = [np.asarray(s) for c in axes.collections for s in c.get_segments()]  # type: ignore[attr-defined]
    return [(segment[0, 0], segment[1, 0]) for segment in segments]


def test_dot_plot_has_our_interval_and_the_published_one(figures: list[Figure]) -> None:
    results = study((0.003, 0.001), ("pseudo-lstm", "lstm"))
    dot_plot(results)
    panels = figures[0].axes
    assert [axes.get_title("left") for axes in panels] == ["learning rate 0.003", "learning rate 0.001"]
    scale = scale_of(results.protocol)
    expected = []
    for group in groups(results)[2:]:
        mean = group.estimate(scale.of)
        assert mean is not None
        assert mean.half is not None
        published = {"pseudo-lstm": 387.2, "lstm": 396.6}[group.cell]
        expected += [(mean.mean - mean.half, mean.mean + mean.half), (published - 0.8, published + 0.8)]
    assert np.allclose(interval_ends(panels[1]), expected, rtol=1e-12)


def test_dot_plot_says_how_many_trials_a_mean_is_of(figures: list[Figure]) -> None:
    dot_plot(study((0.003,), ("pseudo-lstm", "lstm")))
    assert [text.get_text() for text in figures[0].axes[0].texts] == ["4 of 5", "4 of 5"]


def test_curves_show_every_trial_the_mean_and_where_one_diverged(figures: list[Figure]) -> None:
    results = study((0.003,), ("pseudo-lstm",), 4)  # seed 1 diverged after three epochs, seed 3 failed
    learning_curves(results)
    lines = figures[0].axes[0].lines
    curves = [[epoch.valid_sum for epoch in trial.epochs] for trial in results.trials]
    cross = next(line for line in lines if line.get_marker() == "x")
    assert (list(cross.get_xdata()), list(cross.get_ydata())) == ([3], [curves[1][2]])
    drawn = [list(line.get_ydata()) for line in lines if line is not cross]
    assert drawn[:4] == curves
    assert drawn[4] == pytest.approx([fmean(pair) for pair in zip(curves[0], curves[2], strict=True)])


def test_the_mean_ends_where_the_first_trial_does(figures: list[Figure]) -> None:
    results = study((0.001,), ("lstm",), 3)
    short = replace(results.trials[0], epochs=results.trials[0].epochs[:4])
    learning_curves(replace(results, trials=(short, *results.trials[1:])))
    assert list(figures[0].axes[0].lines[-1].get_xdata()) == [1, 2, 3, 4]


def test_effects_are_filled_if_resolved(figures: list[Figure]) -> None:
    assert effect_plot(study((0.001,))) is not None
    axes = figures[0].axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    points = [line for line in axes.lines if line.get_marker() == "o"]
    filled = {n: to_hex(p.get_markerfacecolor()) == "#222222" for n, p in zip(labels, points, strict=True)}
    assert filled["diff 2"]
    assert filled["diff 3"]
    assert not filled["diff 1"]


def test_no_picture_of_effects_that_were_not_computed(figures: list[Figure]) -> None:
    assert effect_plot(study((0.001,), ("pseudo-lstm", "lstm"))) is None
    assert figures == []


def test_a_dozen_cells_look_different() -> None:
    results = study((0.001,), ("lstm",), 1)
    trials = tuple(
        replace(results.trials[0], options={"cell": f"cell {n}", "learning_rate": 0.001, "seed": 0})
        for n in range(84)
    )
    shown = list(looks(replace(results, trials=trials)).values())
    assert len({look.colour for look in shown[:12]}) == 12
    assert len(set(shown)) == 84


def test_svg_is_well_formed_and_the_same_every_time() -> None:
    results = study((0.003,), ("pseudo-lstm", "lstm"), 3, epochs=4)
    one, other = dot_plot(results), dot_plot(results)
    assert one == other
    tree = ElementTree.fromstring(one.svg)
    assert tree.get("role") == "img"
    title = tree.find("{http://www.w3.org/2000/svg}title")
    assert title is not None
    assert title.text == one.caption
    assert tree.get("aria-labelledby") == title.get("id")


def test_one_cell_far_from_the_others_does_not_press_them_together() -> None:
    near = [82.4, 82.6, 82.8, 83.0, 84.9]
    assert max(near) < crowd([*near, 280.0]) < 100
    assert crowd([1.0, 1.0, 500.0]) == math.inf  # too few to speak of a crowd


def test_an_arrow_stands_for_a_cell_that_is_far_away(figures: list[Figure]) -> None:
    found = study(rates=(0.001,), seeds=2, epochs=3, measured=False)
    far = tuple(
        replace(trial, epochs=tuple(replace(e, valid_sum=9 * e.valid_sum) for e in trial.epochs))
        if trial.options["cell"] == "lstm"
        else trial
        for trial in found.trials
    )
    for results, expected in ((found, 0), (replace(found, trials=far), 1)):
        dot_plot(results)
        texts = [text.get_text() for axes in figures[-1].axes for text in axes.texts]
        assert sum("→" in text for text in texts) == expected
