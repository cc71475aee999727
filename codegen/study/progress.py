"""How far a study is, and when it will be done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean

from codegen.study.attempts import Standing, State
from codegen.study.protocol import CELL, Options, Protocol
from codegen.study.results import Epoch, Outcome

_USUAL_EPOCHS = 20  # the article's; a first guess, before any trial has ended


@dataclass(frozen=True)
class View:
    """A study at one moment.

    Attributes:
        trials: of the grid.
        finished, diverged, failed, waiting: how many of them.
        running: options and finished epochs of those that somebody trains.
        seconds_left: until all are done, with as many workers as there are now; None if not one epoch is
            done yet.
    """

    trials: int
    finished: int
    diverged: int
    failed: int
    waiting: int
    running: tuple[tuple[Options, int], ...]
    seconds_left: float | None

    @property
    def done(self) -> int:
        """Trials that have come to an end."""
        return self.finished + self.diverged + self.failed

    def __str__(self) -> str:
        counts = [f"{self.done} of {self.trials} trials done"]
        named = {"diverged": self.diverged, "failed": self.failed, "running": len(self.running)}
        counts += [f"{count} {what}" for what, count in named.items() if count]
        if self.done < self.trials and self.seconds_left is not None:
            counts.append(f"about {duration(self.seconds_left)} left")
        return ", ".join(counts)


def view(protocol: Protocol, found: Mapping[str, Standing], workers: int = 1) -> View:
    """Of a study whose trials stand so.

    Args:
        workers: how many there are here; more if more trials than that are running.
    """
    each = list(zip(protocol.points(), found.values(), strict=True))
    outcomes = [one.outcome for one in found.values()]
    running = [(options, one) for options, one in each if _is_running(one)]
    unfinished = [(options, one) for options, one in each if one.outcome == Outcome.UNFINISHED]
    return View(
        trials=len(each),
        finished=outcomes.count(Outcome.FINISHED),
        diverged=outcomes.count(Outcome.DIVERGED),
        failed=outcomes.count(Outcome.FAILED),
        waiting=len(unfinished) - len(running),
        running=tuple((options, len(_epochs(one))) for options, one in running),
        seconds_left=_seconds_left(protocol, each, unfinished, max(workers, len(running))),
    )


def _seconds_left(
    protocol: Protocol,
    each: Sequence[tuple[Options, Standing]],
    unfinished: Sequence[tuple[Options, Standing]],
    workers: int,
) -> float | None:
    """From what an epoch of each cell took, and how many epochs a finished trial had, on average.

    No less than the longest trial takes, however many workers there are.
    """
    of_cell: dict[object, list[float]] = defaultdict(list)
    for options, one in each:
        of_cell[options[CELL]] += epoch_seconds(_epochs(one))
    everything = [seconds for found in of_cell.values() for seconds in found]
    if not everything:
        return None
    lengths = [len(_epochs(one)) for _, one in each if one.outcome == Outcome.FINISHED]
    remaining = []
    for options, one in unfinished:
        most = options.get("epochs", protocol.training.get("epochs", _USUAL_EPOCHS))
        epochs = mean(lengths) if lengths else float(most)
        seconds = mean(of_cell[options[CELL]] or everything)
        remaining.append(max(epochs - len(_epochs(one)), 1) * seconds)  # one is under way, or comes
    return max(sum(remaining) / workers, max(remaining, default=0.0))


def epoch_seconds(epochs: Iterable[Epoch]) -> list[float]:
    """What each of a trial's epochs took; their own times count from the trial's beginning."""
    times = [0.0, *(epoch.seconds for epoch in epochs)]
    return [later - earlier for earlier, later in pairwise(times)]


def duration(seconds: float) -> str:
    """In words, to two places: `40 s`, `12 min`, `3 h 5 min`, `2 days 4 h`."""
    minutes = round(seconds / 60)
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(minutes / 60)
    return f"{hours // 24} days {hours % 24} h"


def trial_name(options: Options) -> str:
    """A trial in a line of progress: its cell, then the rest as given."""
    rest = (f"{name} {value}" for name, value in options.items() if name != CELL)
    return " ".join([str(options[CELL]), *rest])


def _epochs(one: Standing) -> tuple[Epoch, ...]:
    return one.counted.epochs if one.counted is not None else ()


def _is_running(one: Standing) -> bool:
    return (
        one.outcome == Outcome.UNFINISHED and one.counted is not None and one.counted.state == State.RUNNING
    )
