"""A sweep varies one thing at a time, and is drawn with the floor."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import derive
from codegen.benchmarking.run import FLOOR, Field
from codegen.benchmarking.setting import Setting
from codegen.benchmarking.sweep import BATCH_AXIS, TIME_AXIS, UNITS_AXIS, Sweep, check_target, draw, sweep
from codegen.errors import CodegenError, ConfigError


@pytest.fixture(scope="module")
def small() -> Sweep:
    axes = {UNITS_AXIS: [2, 4], BATCH_AXIS: [1, 3], TIME_AXIS: [2]}
    who = Field(("eager",), package=False)
    return sweep(derive.cell("gru"), Setting(time=3, batch=2, units=5, features=5), axes, 1, who)


def test_one_thing_is_varied_at_a_time(small: Sweep) -> None:
    shapes = {
        (axis, value): (r.setting.units, r.setting.features, r.setting.batch, r.setting.time)
        for axis, reports in small.points.items()
        for value, r in reports.items()
    }
    assert shapes == {
        (UNITS_AXIS, 2): (2, 2, 2, 3),
        (UNITS_AXIS, 4): (4, 4, 2, 3),
        (BATCH_AXIS, 1): (5, 5, 1, 3),
        (BATCH_AXIS, 3): (5, 5, 3, 3),
        (TIME_AXIS, 2): (5, 5, 2, 2),
    }
    document = small.to_dict()
    assert [point["value"] for point in document[UNITS_AXIS]] == [2, 4]


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_a_plot_is_written_with_the_floor_and_the_machine(small: Sweep, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"gru{suffix}"
    check_target(path)
    draw(small, "a machine", path)
    data = path.read_bytes()
    if suffix == ".png":
        assert data.startswith(b"\x89PNG")
        return
    text = data.decode()
    for words in (f"{FLOOR} (bare products)", "eager", "naive loop", "nn.LSTM", "a machine", "milliseconds"):
        assert f"<!-- {words} -->" in text or words in text
    draw(small, "a machine", path)
    assert path.read_bytes() == data


def test_a_target_that_cannot_be_written_is_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"\.svg or \.png"):
        check_target(tmp_path / "plot.pdf")
    with pytest.raises(ConfigError, match="no such folder"):
        check_target(tmp_path / "nowhere" / "plot.svg")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(CodegenError, match=r"cellwright\[report\]"):
        check_target(tmp_path / "plot.svg")
