"""Show a training: a progress bar where there is a terminal, plain lines elsewhere."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from codegen.training.log import EpochReport, StepReport


def epoch_line(report: EpochReport) -> str:
    """An epoch on one line: the validation loss in the article's unit, nats and perplexity; the speed."""
    measured = "".join(
        f"  {name} {'∞' if value is None else f'{value:.4g}'}" for name, value in report.measured.items()
    )
    valid = report.valid
    losses = (
        f"valid {valid.article:7.2f} (sum over {valid.batches} batches)"
        f"  {valid.nats:.4f} nats/word  perplexity {valid.perplexity:.2f}"
        f"  train {report.train.nats:.4f} nats/word"
        if valid.correct is None
        else f"valid {valid.nats:.4g}  right {valid.correct:.1%}  train {report.train.nats:.4g}"
    )
    return (
        f"epoch {report.epoch:2}  {losses}  max|state| {report.max_state:.3g}"
        f"  {report.tokens_per_second:,.0f} tokens/s{measured}{'  best' if report.best else ''}"
    )


class RichProgress:
    """A reporter whose `on_step` and `on_epoch` are made for `train`; use it as a context manager.

    Args:
        console: where to write; standard error by default, so that standard output stays the result's.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console if console is not None else Console(stderr=True)
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[loss]:.3f}  max|state| {task.fields[max_state]:.3g}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> RichProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def on_step(self, report: StepReport) -> None:
        """Move the bar."""
        if self._task is None:
            self._task = self._bar.add_task(
                "", total=report.steps, epoch=report.epoch, loss=0.0, max_state=0.0
            )
        self._bar.update(self._task, completed=report.step, loss=report.loss, max_state=report.max_state)

    def on_epoch(self, report: EpochReport) -> None:
        """Write the epoch's line above the bar, and begin the bar anew."""
        self.console.print(epoch_line(report), highlight=False, soft_wrap=True, markup=False)
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
