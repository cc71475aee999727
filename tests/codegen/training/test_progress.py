"""What a training shows."""

import io

from rich.console import Console

from codegen.training.evaluation import Loss
from codegen.training.log import EpochReport, StepReport
from codegen.training.progress import RichProgress, epoch_line

EPOCH = EpochReport(3, Loss(5000.0, 1032), Loss(396.6, 81), 268.4, 3456.7, 100.0, True)
STEP = StepReport(3, 17, 1032, 6.125, 42.0, 9.0)


def show(terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
    with RichProgress(console) as progress:
        progress.on_step(STEP)
        progress.on_epoch(EPOCH)
        progress.on_step(STEP)
    output = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(output, str)
    return output


def test_epoch_line_has_all_units() -> None:
    line = epoch_line(EPOCH)
    for part in ("epoch  3", "396.60 (sum over 81 batches)", "4.8963 nats/word", "perplexity 133.79"):
        assert part in line
    assert "max|state| 268" in line
    assert "3,457 tokens/s" in line
    assert line.endswith("best")


def test_plain_lines_where_there_is_no_terminal() -> None:
    assert show(terminal=False).strip() == epoch_line(EPOCH)


def test_bar_on_a_terminal() -> None:
    output = show(terminal=True)
    assert "17/1032" in output
    assert "6.125  max|state| 42" in output
    assert epoch_line(EPOCH) in output
