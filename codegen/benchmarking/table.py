"""A report as a table, with what its figures mean below it."""

from __future__ import annotations

from codegen.benchmarking.memory import MEANING
from codegen.benchmarking.ours import NAIVE
from codegen.benchmarking.peers import LSTM
from codegen.benchmarking.run import FLOOR, Report, Row
from codegen.generated import lowered
from derive.counts import polynomial, size

SLOW_START = 1.0
"""Seconds; a first pass that took longer is mentioned."""


def table(report: Report) -> str:
    """One line a contender, the fastest first, the floor last."""
    baselines = columns(report)
    headings = [report.cell.name, "ms", *(f"÷ {name}" for name in baselines), "peak MB", ""]
    lines = [headings]
    for row in sorted(report.rows, key=lambda row: (row.name == FLOOR, row.milliseconds)):
        against = ["1" if name == row.name else str(report.ratio(row.name, name)) for name in baselines]
        peak = "" if row.memory is None else f"{row.memory / 1e6:.3g}"
        lines.append([row.name, f"{row.milliseconds:.3g}", *against, peak, _remark(row)])
    widths = [max(len(line[k]) for line in lines) for k in range(len(headings))]
    last = len(headings) - 1

    def cell(k: int, text: str) -> str:
        return text.ljust(widths[k]) if k in (0, last) else text.rjust(widths[k])

    return "\n".join("  ".join(cell(k, text) for k, text in enumerate(line)).rstrip() for line in lines)


def columns(report: Report) -> list[str]:
    """The baselines with a column, as far as measured: ``nn.LSTM``, torch's layer for the cell, the floor."""
    wanted = dict.fromkeys([LSTM, report.own_torch_layer, FLOOR])
    return [name for name in wanted if name is not None and report.row(name)]


def notes(report: Report, rounds: int) -> str:
    """What stands below the table: who has no time, and what the figures are."""
    lines = [f"Refused, no time: {name}: {why}." for name, why in report.refused.items()]
    lines += [f"Left out: {name}: {why}" for name, why in report.skipped.items()]
    lines += [
        f"ms: the fastest of {rounds} interleaved rounds; ÷: median of the rounds' ratios [quartiles].",
        f"{NAIVE}: every matrix is a product of its own at every step; no stacking, no hoisting, no fusion.",
    ]
    if report.multiply_adds:
        lines.append(
            f"{FLOOR}: {products_in_words(report)}; torch.mm into allocated outputs, each in its faster "
            f"layout, and nothing else: {report.multiply_adds:,} multiply-adds "
            f"at {report.gigaflops:.1f} GFLOP/s."
        )
    lines.append(f"{MEANING}.")
    return "\n".join(lines)


def products_in_words(report: Report) -> str:
    """How many products each phase of the plan has, and the size of their matrices."""
    plan = lowered(report.cell)
    phases = {"once": plan.once, "before": plan.before, "step": plan.step, "after": plan.after}
    parts = []
    for name, phase in phases.items():
        if phase.products:
            entries = sum(size(part.matrix.axes) for product in phase.products for part in product.parts)
            parts.append(f"{len(phase.products)} {name} ({polynomial(entries)})")
    backward = (
        "" if report.setting.forward_only else ", with the transposed matrices, and every matrix's gradient"
    )
    return f"the plan's products, {', '.join(parts)}{backward}"


def _remark(row: Row) -> str:
    slow = row.seconds_first is not None and row.seconds_first > SLOW_START
    started = f"built and first run in {row.seconds_first:.1f} s" if slow else ""
    return "; ".join(part for part in (row.about, started) if part)
