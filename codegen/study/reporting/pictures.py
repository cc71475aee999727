"""Pictures of the losses: the table, the learning curves, the effects of the factors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import quantiles
from typing import TYPE_CHECKING

from codegen.study.reporting.effects import Effects, effect_name, effects
from codegen.study.reporting.groups import Group, comparison, groups, setting_name, settings
from codegen.study.reporting.panels import FONT, Look, Panels, Picture, looks
from codegen.study.reporting.scale import Scale, scale_of
from codegen.study.reporting.statistics import Estimate
from codegen.study.results import Outcome, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PUBLISHED = "#8a8a8a"
_ABOVE = 0.15
"""How far a group's row of dots lies above or below its line, of the distance of two lines."""


def dot_plot(results: Results) -> Picture:
    """Each group's trials, its mean with the interval, and the published one below; a panel a setting."""
    scale, shown = scale_of(results.protocol), looks(results)
    found = groups(results)
    panels = Panels([setting_name(s) for s in settings(results)], 4, 0.5 + 0.3 * len(shown), sharey=True)
    for axes, setting in zip(panels.axes, settings(results), strict=True):
        for group in found:
            if group.setting == setting:
                _dots(axes, list(shown).index(group.cell), group, shown[group.cell], scale)
                published = comparison(results.protocol, group)
                if published is not None:
                    _interval(axes, list(shown).index(group.cell) + 2 * _ABOVE, published.published)
        axes.set_yticks(range(len(shown)), list(shown))
        axes.margins(x=0.08)
        _look_at_the_crowd(axes, [group for group in found if group.setting == setting], list(shown), scale)
    for axes in panels.axes[:: panels.columns]:
        axes.set_ylim(len(shown) - 0.4, -0.6)
    panels.figure.supxlabel(scale.label, fontsize=FONT)
    below = "; below it, open and grey, the published mean" if results.protocol.published else ""
    caption = f"Best {scale.label}: the mean with its 95% interval; above it a tick for each trial{below}."
    return Picture("dots", panels.svg(), f"{caption} {_ARROW}")


def _dots(axes: Axes, row: int, group: Group, look: Look, scale: Scale) -> None:
    losses = [scale.of(epoch) for epoch in group.best]
    axes.plot(losses, [row - _ABOVE] * len(losses), "|", color=look.colour, alpha=0.6, markersize=5)
    mean = group.estimate(scale.of)
    if mean is not None:
        _interval(axes, row, mean, look)
    if len(losses) < len(group.trials):
        text = f"{len(losses)} of {len(group.trials)}"
        axes.text(1.01, row, text, transform=axes.get_yaxis_transform(), va="center", fontsize=FONT - 2)


def crowd(means: Sequence[float]) -> float:
    """Above this, a mean is so far from the others that to show it would press them together.

    Eight times the distance of the quartiles above the upper one; with fewer than four means, nothing is.
    """
    if len(means) < 4:
        return math.inf
    lower, _, upper = quantiles(means, n=4, method="inclusive")
    return upper + 8 * (upper - lower)


def _outliers(there: Sequence[Group], scale: Scale) -> dict[str, float]:
    """The means of the cells that are not in the crowd."""
    means = {g.cell: e.mean for g in there if (e := g.estimate(scale.of)) is not None}
    fence = crowd(list(means.values()))
    return {cell: mean for cell, mean in means.items() if mean > fence}


def _look_at_the_crowd(axes: Axes, there: Sequence[Group], rows: Sequence[str], scale: Scale) -> None:
    """Let an arrow stand for a mean that is far from the others."""
    outside = _outliers(there, scale)
    if not outside:
        return
    ends = [scale.of(epoch) for group in there if group.cell not in outside for epoch in group.best]
    for group in there:
        found = group.estimate(scale.of)
        if group.cell not in outside and found is not None:
            ends += [found.mean - (found.half or 0), found.mean + (found.half or 0)]
    margin = 0.08 * (max(ends) - min(ends))
    axes.set_xlim(min(ends) - margin, max(ends) + margin)
    for cell, mean in outside.items():
        text = f"{mean:.4g} →"
        where = axes.get_yaxis_transform()
        axes.text(0.99, rows.index(cell) + 2 * _ABOVE, text, transform=where, ha="right", fontsize=FONT - 2)


_ARROW = "An arrow stands for a mean far above the others."


def _interval(axes: Axes, row: float, mean: Estimate, look: Look | None = None) -> None:
    """A mean with its interval; without a look, it is a published one."""
    axes.errorbar(
        [mean.mean],
        [row],
        xerr=None if mean.half is None else [mean.half],
        fmt=look.marker if look else "o",
        color=look.colour if look else _PUBLISHED,
        markerfacecolor=look.colour if look else "white",
        markersize=5 if look else 4,
        capsize=2.5,
        linewidth=1.4 if look else 1,
    )


def learning_curves(results: Results) -> Picture:
    """The validation loss after each epoch: a thin line a trial, a thick one for the mean over the seeds.

    The mean goes as far as every trial that finished; × is where a trial diverged.
    """
    scale, shown = scale_of(results.protocol), looks(results)
    panels = Panels([setting_name(s) for s in settings(results)], 2, 3.0)
    for axes, setting in zip(panels.axes, settings(results), strict=True):
        there = [group for group in groups(results) if group.setting == setting]
        for group in there:
            _curves(axes, group, shown[group.cell], scale)
        _look_at_the_end(axes, there, scale)
    panels.label("epoch", scale.label.replace(", ", ",\n"))
    panels.whole_numbers()
    panels.legend(shown)
    caption = (
        "A thin line a trial; a thick one for the mean of those that finished, as far as all of them went; "
        "× where a trial diverged. The first epoch, and cells far above the others, may lie above the panel."
    )
    return Picture("curves", panels.svg(), caption)


def _curves(axes: Axes, group: Group, look: Look, scale: Scale) -> None:
    finished = []
    for trial in group.trials:
        losses = [scale.of(epoch) for epoch in trial.epochs]
        numbers = [epoch.epoch for epoch in trial.epochs]
        axes.plot(numbers, losses, color=look.colour, linewidth=0.6, alpha=0.35)
        if trial.outcome is Outcome.FINISHED:
            finished.append(losses)
        if trial.outcome is Outcome.DIVERGED and losses:
            axes.plot(
                numbers[-1:], losses[-1:], "x", color=look.colour, markersize=8, markeredgewidth=2, zorder=4
            )
    if finished:
        means = [sum(column) / len(column) for column in zip(*finished, strict=False)]
        numbers = list(range(1, len(means) + 1))
        axes.plot(numbers, means, color=look.colour, marker=look.marker, markersize=3.5, linewidth=1.6)


def _look_at_the_end(axes: Axes, there: Sequence[Group], scale: Scale) -> None:
    """Cut off the first epoch's losses, and cells far from the others, which would press all together."""
    outside = _outliers(there, scale)
    near = [group for group in there if group.cell not in outside]
    later = [scale.of(e) for g in near for t in g.trials for e in t.epochs if e.epoch > 1]
    if later:
        margin = 0.05 * (max(later) - min(later))
        axes.set_ylim(min(later) - margin, max(later) + margin)


def effect_plot(results: Results) -> Picture | None:
    """Each effect with its interval at every setting; None if there are none."""
    scale = scale_of(results.protocol)
    found = [effect for effect in effects(results, scale.of) if effect.tests]
    if not found:
        return None
    names = list(found[0].tests)
    panels = Panels([setting_name(e.setting) for e in found], 4, 0.5 + 0.26 * len(names), sharey=True)
    for axes, effect in zip(panels.axes, found, strict=True):
        _effects(axes, effect)
        axes.set_yticks(range(len(names)), [effect_name(name) for name in names])
    for axes in panels.axes[:: panels.columns]:
        axes.set_ylim(len(names) - 0.5, -0.5)
    panels.figure.supxlabel(f"change of the {scale.label}", fontsize=FONT)
    caption = (
        "Effects on the loss with their 95% intervals; filled where the effect is resolved after Holm's "
        "correction. To the left of 0, the factor lowers the loss."
    )
    return Picture("effects", panels.svg(), caption)


def _effects(axes: Axes, found: Effects) -> None:
    axes.axvline(0, color="#555", linewidth=0.8)
    for row, test in enumerate(found.tests.values()):
        half = test.estimate.half
        axes.errorbar(
            [test.estimate.mean],
            [row],
            xerr=None if half is None else [half],
            fmt="o",
            color="#222",
            markerfacecolor="#222" if test.resolved else "white",
            markersize=5,
            capsize=2.5,
        )
