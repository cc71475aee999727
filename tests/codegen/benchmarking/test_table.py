"""The table and its notes, from figures that are given."""

from __future__ import annotations

import dataclasses

import derive
from codegen.benchmarking.run import FLOOR, Report, Row
from codegen.benchmarking.setting import Setting
from codegen.benchmarking.table import columns, notes, products_in_words, table

ROWS = (
    Row("eager", "", [0.004, 0.002], 2_500_000, 0.5),
    Row("fast", "", [0.001, 0.001], 1_000, 3.25),
    Row(FLOOR, "bare", [0.0005, 0.001]),
    Row("nn.LSTM", "yardstick", [0.002, 0.002], None),
)
REPORT = Report(
    derive.cell("gru"), Setting(), ROWS, 1_000_000, {"bad": "∂x differs"}, {"gone": "no compiler"}
)


def test_the_table_is_sorted_by_time_with_the_floor_last() -> None:
    head, *lines = table(REPORT).splitlines()
    assert head.split()[:2] == ["gru", "ms"]
    assert [line.split()[0] for line in lines] == ["fast", "eager", "nn.LSTM", FLOOR]
    assert lines[0].split("  ")[-1] == "built and first run in 3.2 s"
    assert "1.50 [1.25, 1.75]" in lines[1]  # ÷ nn.LSTM: 2 and 1
    assert "5.00 [3.50, 6.50]" in lines[1]  # ÷ floor: 8 and 2
    assert "2.5" in lines[1].split()
    assert "yardstick" in lines[2]


def test_columns_are_of_what_was_measured() -> None:
    assert columns(REPORT) == ["nn.LSTM", FLOOR]
    vanilla = Report(derive.cell("vanilla"), Setting(), (*ROWS, Row("nn.RNN", "", [0.001, 0.001])), 1_000_000)
    assert columns(vanilla) == ["nn.LSTM", "nn.RNN", FLOOR]
    assert columns(dataclasses.replace(REPORT, rows=ROWS[:2])) == []


def test_the_notes_say_what_is_missing_and_what_the_floor_is() -> None:
    text = notes(REPORT, 60)
    assert "Refused, no time: bad: ∂x differs." in text
    assert "Left out: gone: no compiler" in text
    assert "the fastest of 60 interleaved rounds" in text
    assert "1,000,000 multiply-adds at 4.0 GFLOP/s" in text  # 2·10⁶ in half a millisecond
    assert products_in_words(REPORT).startswith("the plan's products, 1 before (3nm), 2 step (3n²), with")
    alone = dataclasses.replace(REPORT, setting=Setting(forward_only=True))
    assert products_in_words(alone) == "the plan's products, 1 before (3nm), 2 step (3n²)"
