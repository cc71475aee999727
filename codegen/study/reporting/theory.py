"""Pictures of what was measured during training: Jacobians, sensitivity by lag, gates, states."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from codegen.study.reporting.groups import Group, groups, setting_name, settings
from codegen.study.reporting.panels import FONT, Look, Panels, Picture, looks
from codegen.study.results import Epoch, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

JACOBIAN = {
    "bound": "certified bound of ‖J‖",
    "jacobian_max": "largest ‖J‖ along text",
    "jacobian_mean": "mean ‖J‖ along text",
    "rate": "certified rate ρ",
}
STATE = {"state_norm": "norm of the state", "state_max": "largest |state|"}
_LAG, _GATE = re.compile(r"sensitivity_(\d+)"), re.compile(r"saturation_(?:low|high)_(.+)")


def theory_pictures(results: Results) -> list[Picture]:
    """A picture of each kind of measurement that these results have; none if nothing was measured."""
    names = _measured(results)
    lags = sorted(int(found[1]) for name in names if (found := _LAG.fullmatch(name)))
    gates = list(dict.fromkeys(found[1] for name in names if (found := _GATE.fullmatch(name))))
    rest = {n: n.replace("_", " ") for n in names if not _LAG.fullmatch(n) and not _GATE.fullmatch(n)}
    pictures = []
    for name, labels, caption in (
        ("jacobian", JACOBIAN, "Norms of one step's Jacobian J: what is certified, and what text does."),
        ("state", STATE, "The state along validation text."),
        ("measured", {n: t for n, t in rest.items() if n not in JACOBIAN | STATE}, "Other measurements."),
    ):
        there = {name: label for name, label in labels.items() if name in names}
        if there:
            pictures.append(Picture(name, _by_epoch(results, there), f"{caption} {_MEDIAN}"))
    if lags:
        pictures.insert(1 if pictures else 0, Picture("lag", _by_lag(results, lags), _LAG_CAPTION))
    if gates:
        pictures.append(Picture("gates", _by_gate(results, gates), _GATE_CAPTION))
    return pictures


_MEDIAN = "Median over the seeds; a triangle at the upper edge stands for what is not finite."
_LAG_CAPTION = (
    "How much a change of the state at step t matters at step t + k: the mean norm of ∂s(t+k)/∂s(t). "
    "Median over the seeds, after the first epoch (dashed) and after each trial's last (solid)."
)
_GATE_CAPTION = (
    "Saturated gates after each trial's last epoch, median over the seeds: the share of values below 0.05 "
    "to the left, above 0.95 to the right."
)


def _measured(results: Results) -> list[str]:
    """All names, in the order in which they were first measured."""
    epochs = (epoch for trial in results.trials for epoch in trial.epochs)
    return list(dict.fromkeys(name for epoch in epochs for name in epoch.measured))


def _typical(epochs: Sequence[Epoch], name: str) -> float | None:
    """The median of a measurement, infinite where half are not finite; None if none of these has it."""
    found = [epoch.measured[name] for epoch in epochs if name in epoch.measured]
    return median(math.inf if value is None else value for value in found) if found else None


def _series(group: Group, name: str) -> list[tuple[int, float]]:
    """The typical value after each epoch that has one."""
    by_number: dict[int, list[Epoch]] = {}
    for trial in group.trials:
        for epoch in trial.epochs:
            by_number.setdefault(epoch.epoch, []).append(epoch)
    values = [(number, _typical(epochs, name)) for number, epochs in sorted(by_number.items())]
    return [(number, value) for number, value in values if value is not None]


def _last(group: Group) -> list[Epoch]:
    return [trial.epochs[-1] for trial in group.trials if trial.epochs]


def _by_epoch(results: Results, labels: dict[str, str]) -> str:
    """A row of panels a setting, a panel a measurement, a line a cell."""
    shown = looks(results)
    wanted = [(setting, name) for setting in settings(results) for name in labels]
    panels = Panels([_title(setting_name(s), labels[n]) for s, n in wanted], min(len(labels), 4), 2.3)
    for axes, (setting, name) in zip(panels.axes, wanted, strict=True):
        lines = {g.cell: _series(g, name) for g in groups(results) if g.setting == setting}
        for cell, line in lines.items():
            _line(axes, line, shown[cell])
        _scale(axes, [value for line in lines.values() for _, value in line])
    panels.label("epoch", "")
    panels.whole_numbers()
    panels.legend(shown)
    return panels.svg()


def _title(setting: str, label: str) -> str:
    return f"{label}\n{setting}" if setting else label


def _line(axes: Axes, line: list[tuple[int, float]], look: Look) -> None:
    """A line through what is finite, a triangle at the upper edge for what is not."""
    epochs = [n for n, _ in line]
    values = [value if math.isfinite(value) else math.nan for _, value in line]
    axes.plot(epochs, values, color=look.colour, marker=look.marker, markersize=3, linewidth=1.2)
    infinite = [n for n, value in line if math.isinf(value)]
    edge = axes.get_xaxis_transform()
    axes.plot(infinite, [0.96] * len(infinite), "^", color=look.colour, transform=edge)


def _scale(axes: Axes, values: list[float]) -> None:
    """Logarithmic where the values span more than one and a half powers of ten."""
    finite = [value for value in values if math.isfinite(value)]
    if finite and min(finite) > 0 and max(finite) > 30 * min(finite):
        axes.set_yscale("log")


def _by_lag(results: Results, lags: list[int]) -> str:
    shown = looks(results)
    panels = Panels([setting_name(s) for s in settings(results)], 2, 2.8)
    for axes, setting in zip(panels.axes, settings(results), strict=True):
        for group in groups(results):
            if group.setting == setting:
                first = [epoch for trial in group.trials for epoch in trial.epochs[:1]]
                look = shown[group.cell]
                _lag_line(axes, _last(group), lags, color=look.colour, marker=look.marker, markersize=3)
                _lag_line(axes, first, lags, color=look.colour, linestyle="--", linewidth=0.8)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(lags, [str(lag) for lag in lags])
    panels.label("lag k, steps", "mean ‖∂s(t+k)/∂s(t)‖")
    panels.legend(shown)
    return panels.svg()


def _lag_line(axes: Axes, epochs: list[Epoch], lags: list[int], **style: Any) -> None:
    """What is zero or not finite has no place on a logarithmic scale, and leaves a gap."""
    found = [_typical(epochs, f"sensitivity_{lag}") for lag in lags]
    axes.plot(lags, [v if v and math.isfinite(v) else math.nan for v in found], **style)


def _by_gate(results: Results, gates: list[str]) -> str:
    shown = looks(results)
    wanted = [(setting, gate) for setting in settings(results) for gate in gates]
    titles = [_title(setting_name(setting), f"gate {gate}") for setting, gate in wanted]
    panels = Panels(titles, min(len(gates), 4), 0.7 + 0.2 * len(shown), sharey=True)
    for axes, (setting, gate) in zip(panels.axes, wanted, strict=True):
        for group in groups(results):
            if group.setting == setting:
                row, look = list(shown).index(group.cell), shown[group.cell]
                for side, sign in (("low", -1), ("high", 1)):
                    share = _typical(_last(group), f"saturation_{side}_{gate}")
                    axes.barh(row, sign * (share or 0.0), color=look.colour, height=0.7)
        axes.axvline(0, color="#555", linewidth=0.8)
        axes.set_xlim(-1, 1)
        axes.set_xticks([-1, -0.5, 0, 0.5, 1], ["1", "½", "0", "½", "1"])
        axes.set_yticks(range(len(shown)), list(shown), fontsize=FONT - 1)
    for axes in panels.axes[:: panels.columns]:
        axes.set_ylim(len(shown) - 0.5, -0.5)
    panels.figure.supxlabel("share of values below 0.05 | above 0.95", fontsize=FONT)
    return panels.svg()
