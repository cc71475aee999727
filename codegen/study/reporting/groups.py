"""Trials that differ in their seeds alone, and how their mean compares with what was published."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias

from codegen.study.protocol import CELL, SEED, Protocol, Value
from codegen.study.reporting.scale import decimals, plain, scale_of
from codegen.study.reporting.statistics import Estimate, estimate, welch
from codegen.study.results import Epoch, Outcome, Results, Trial

Setting: TypeAlias = tuple[tuple[str, Value], ...]
"""The options of the grid besides cell and seed, such as the learning rate, in the grid's order."""


@dataclass(frozen=True)
class Group:
    """All trials of one cell at one setting."""

    cell: str
    setting: Setting
    trials: tuple[Trial, ...]

    def count(self, outcome: Outcome) -> int:
        """How many trials ended so."""
        return sum(trial.outcome is outcome for trial in self.trials)

    @property
    def best(self) -> tuple[Epoch, ...]:
        """The best epoch of each trial that finished; no other trial enters a mean."""
        finished = (trial.best for trial in self.trials if trial.outcome is Outcome.FINISHED)
        return tuple(epoch for epoch in finished if epoch is not None)

    def estimate(self, of: Callable[[Epoch], float]) -> Estimate | None:
        """The mean over `best`, with its interval; None if no trial finished."""
        return estimate([of(epoch) for epoch in self.best])

    @property
    def best_epochs(self) -> str:
        """`9 (7–12)`: median and range of the best epochs' numbers; empty if no trial finished."""
        numbers = [epoch.epoch for epoch in self.best]
        if not numbers:
            return ""
        return f"{median(numbers):g} ({min(numbers)}–{max(numbers)})" if len(numbers) > 1 else f"{numbers[0]}"

    @property
    def tally(self) -> str:
        """`5`, or `4 of 5, 1 diverged`."""
        finished = self.count(Outcome.FINISHED)
        if finished == len(self.trials):
            return str(finished)
        others = (Outcome.DIVERGED, Outcome.FAILED, Outcome.UNFINISHED)
        counts = [f"{n} {outcome}" for outcome in others if (n := self.count(outcome))]
        return ", ".join([f"{finished} of {len(self.trials)}", *counts])


@dataclass(frozen=True)
class Comparison:
    """A group's mean beside the published one, in the article's unit.

    Attributes:
        published: its interval taken as Student's t over the trials that were published.
        difference: ours − theirs by Welch's t; None if we have no mean.
    """

    published: Estimate
    difference: Estimate | None

    @property
    def verdict(self) -> str:
        """In a word or two; `within` if the interval of the difference contains 0."""
        if self.difference is None:
            return "no mean"
        if self.difference.half is None:
            return "no interval"
        if self.difference.covers_zero:
            return "within"
        return "lower" if self.difference.mean < 0 else "higher"


def groups(results: Results) -> tuple[Group, ...]:
    """Every group, setting by setting, the cells of each in the grid's order."""
    found: dict[tuple[Setting, str], list[Trial]] = {
        (setting, cell): [] for setting in settings(results) for cell in cells(results)
    }
    for trial in results.trials:
        found[setting_of(trial), str(trial.options[CELL])].append(trial)
    return tuple(Group(cell, setting, tuple(trials)) for (setting, cell), trials in found.items() if trials)


def places(results: Results) -> int:
    """How many decimals the means and intervals of all groups are shown with."""
    of = scale_of(results.protocol).of
    return decimals(group.estimate(of) for group in groups(results))


def settings(results: Results) -> tuple[Setting, ...]:
    """In the order of the grid."""
    return tuple(dict.fromkeys(map(setting_of, results.trials)))


def cells(results: Results) -> tuple[str, ...]:
    """In the order of the grid."""
    return tuple(dict.fromkeys(str(trial.options[CELL]) for trial in results.trials))


def setting_of(trial: Trial) -> Setting:
    """What a trial's options are besides cell and seed."""
    return tuple((name, value) for name, value in trial.options.items() if name not in (CELL, SEED))


def setting_name(setting: Setting) -> str:
    """`learning rate 0.001`; empty if the grid is over cells and seeds alone."""
    return ", ".join(f"{name.replace('_', ' ')} {plain(value)}" for name, value in setting)


def comparison(protocol: Protocol, group: Group) -> Comparison | None:
    """The group's mean beside the published number with its options; None if none was published."""
    options = {CELL: group.cell, **dict(group.setting)}
    if protocol.published is None:
        return None
    for loss in protocol.published.losses:
        if all(options.get(name) == value for name, value in loss.options.items()):
            theirs = Estimate(loss.mean, loss.interval, protocol.published.trials)
            ours = group.estimate(lambda epoch: epoch.valid_sum)
            return Comparison(theirs, None if ours is None else welch(ours, theirs))
    return None
