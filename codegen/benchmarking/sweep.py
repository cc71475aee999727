"""How time grows with n, with the batch and with the length: a few rounds at each of several shapes."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codegen.benchmarking.run import FLOOR, Field, Report, bench
from codegen.benchmarking.setting import Setting
from codegen.errors import CodegenError, ConfigError
from codegen.files import write_atomic
from derive.cell import Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UNITS = (16, 32, 64, 128, 256, 512, 1024)
BATCHES = (1, 4, 16, 64, 256)
TIMES = (4, 16, 64, 256)
ROUNDS = 5
FORMATS = (".svg", ".png")

UNITS_AXIS, BATCH_AXIS, TIME_AXIS = "n = m", "batch", "time"


@dataclass(frozen=True)
class Sweep:
    """Reports of one cell by what was varied and by its value."""

    cell: Cell
    setting: Setting
    points: Mapping[str, Mapping[int, Report]]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            axis: [{"value": value, **report.to_dict()} for value, report in reports.items()]
            for axis, reports in self.points.items()
        }


def sweep(
    cell: Cell,
    setting: Setting,
    axes: Mapping[str, Sequence[int]],
    rounds: int = ROUNDS,
    who: Field | None = None,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> Sweep:
    """Vary one thing at a time, the rest as in ``setting``; ``axes`` has values by axis."""
    points: dict[str, dict[int, Report]] = {}
    for axis, values in axes.items():
        points[axis] = {}
        for value in values:
            progress(f"{cell.name}: {axis} {value}")
            points[axis][value] = bench(cell, _varied(setting, axis, value), rounds, who, memory=False)
    return Sweep(cell, setting, points)


def _varied(setting: Setting, axis: str, value: int) -> Setting:
    if axis == UNITS_AXIS:
        return dataclasses.replace(setting, units=value, features=value)
    field = {BATCH_AXIS: "batch", TIME_AXIS: "time"}[axis]
    changed: Any = {field: value}
    return dataclasses.replace(setting, **changed)


def check_target(path: Path) -> None:
    """Raise before anything is measured: an ending that is no format, no such folder, no matplotlib."""
    if path.suffix not in FORMATS:
        raise ConfigError(f"{path}: a plot is written as {' or '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: no such folder {path.parent}")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise CodegenError("a plot needs matplotlib: pip install 'cellwright[report]'") from error


def draw(found: Sweep, machine: str, path: Path) -> None:
    """Write the plot, whole or not at all: a panel an axis, both scales logarithmic, the floor shaded."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(found.points), 4.2), layout="constrained")
    panels = figure.subplots(1, len(found.points), squeeze=False)[0]
    for panel, (axis, reports) in zip(panels, found.points.items(), strict=True):
        _panel(panel, axis, reports)
    clock = " of processor time" if found.setting.cpu_time else ""
    panels[0].set_ylabel(f"milliseconds{clock}, the fastest round")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 4), frameon=False)
    figure.suptitle(f"{found.cell.name}: {found.setting.what}\n{machine}", fontsize=9)
    buffer = io.BytesIO()
    metadata: dict[str, Any] = {"Date": None} if path.suffix == ".svg" else {}
    with mpl.rc_context({"svg.hashsalt": "cellwright"}):
        figure.savefig(buffer, format=path.suffix[1:], metadata=metadata)
    write_atomic(path, buffer.getvalue())


def _panel(panel: Axes, axis: str, reports: Mapping[int, Report]) -> None:
    names = dict.fromkeys(row.name for report in reports.values() for row in report.rows)
    for name in sorted(names, key=lambda name: name == FLOOR):
        measured = [(value, row) for value, report in reports.items() if (row := report.row(name))]
        values = [value for value, _ in measured]
        times = [row.milliseconds for _, row in measured]
        if name == FLOOR:
            panel.plot(values, times, color="black", linewidth=2, label=f"{FLOOR} (bare products)")
            panel.fill_between(values, times, 0, color="black", alpha=0.08)
        else:
            panel.plot(values, times, marker="o", markersize=3, linewidth=1.2, label=name)
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    panel.set_xlabel(_caption(axis, reports))
    panel.set_xticks(list(reports), [str(value) for value in reports])
    panel.spines[["top", "right"]].set_visible(False)


def _caption(axis: str, reports: Mapping[int, Report]) -> str:
    """What is varied, and what the rest is."""
    setting = next(iter(reports.values())).setting
    rest = {BATCH_AXIS: str(setting.batch), TIME_AXIS: str(setting.time), UNITS_AXIS: str(setting.units)}
    fixed = ", ".join(f"{name} {value}" for name, value in rest.items() if name != axis)
    return f"{axis}   ({fixed.replace('n = m', 'n = m =')})"
