"""What each factor of a 2ᵏ design does to the loss, and the cells' differences, paired over the seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise, product
from typing import TypeAlias

from codegen.study.protocol import CELL, SEED, Design, Value
from codegen.study.reporting.groups import Setting, cells, setting_of, settings
from codegen.study.reporting.statistics import TTest, t_tests
from codegen.study.results import Epoch, Outcome, Results, Trial

Factors: TypeAlias = tuple[str, ...]
"""One factor for a main effect; several for their interaction."""
Measure: TypeAlias = Callable[[Epoch], float]


@dataclass(frozen=True)
class Effects:
    """All main effects and interactions at one setting.

    Attributes:
        samples: for each effect, its contrast at every seed that has all cells.
        tests: of each effect against 0, paired over those seeds; one family of 2ᵏ − 1.
        left_out: each seed that takes no part, and why.
        missing: what the design lacks in these results; if anything, nothing is computed.
    """

    setting: Setting
    samples: Mapping[Factors, tuple[float, ...]]
    tests: Mapping[Factors, TTest]
    left_out: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Differences:
    """Each other cell minus the baseline at one setting, paired over the seeds; one family of tests."""

    setting: Setting
    baseline: str
    tests: Mapping[str, TTest]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ranking:
    """The factors by their main effects, from the one that raises the loss most, at one setting.

    Attributes:
        steps: how much each raises it more than the next does, paired over the seeds; one family of tests.
    """

    order: tuple[str, ...]
    steps: Mapping[tuple[str, str], TTest]

    @property
    def resolved(self) -> bool:
        """Whether every step is."""
        return all(test.resolved for test in self.steps.values())


def effects(results: Results, of: Measure) -> tuple[Effects, ...]:
    """The effects at every setting; empty for a study without a design."""
    design = results.protocol.design
    if design is None:
        return ()
    missing = _missing(design, cells(results))
    if missing:
        return tuple(Effects(setting, {}, {}, missing=missing) for setting in settings(results))
    return tuple(_effects(design, setting, _Losses(results, setting, of)) for setting in settings(results))


def contrast(design: Design, factors: Factors, losses: Mapping[str, float]) -> float:
    """One effect, from one loss a cell.

    A main effect is the mean at level 1 − the mean at level 0.  The interaction of A and B is half of (A's
    effect where B is 1 − A's effect where B is 0), and so on: the mean of the losses whose codes (−1 for
    level 0, +1 for level 1), multiplied over `factors`, give +1, minus the mean of the others (Box, Hunter
    and Hunter, 2005, Statistics for Experimenters, sections 5.4 to 5.6).
    """
    positions = [design.factors.index(factor) for factor in factors]
    signed = [
        losses[cell] * math.prod(2 * levels[k] - 1 for k in positions)
        for cell, levels in design.levels.items()
    ]
    return math.fsum(signed) / (len(signed) / 2)


def differences(results: Results, of: Measure) -> tuple[Differences, ...]:
    """Every cell minus the baseline, at every setting."""
    first = baseline(results)
    found = []
    for setting in settings(results):
        losses = _Losses(results, setting, of)
        others = [cell for cell in cells(results) if cell != first]
        samples = {cell: losses.paired(cell, first) for cell in others}
        found.append(Differences(setting, first, t_tests(samples), losses.left_out([first, *others])))
    return tuple(found)


def baseline(results: Results) -> str:
    """The cell at level 0 of every factor; without such a design, the first cell of the grid."""
    there = cells(results)
    design = results.protocol.design
    levels = design.levels if design else {}
    return next((cell for cell in there if cell in levels and not any(levels[cell])), there[0])


def versus_best(results: Results, setting: Setting, best: str, of: Measure) -> Mapping[str, TTest]:
    """Every other cell minus the cell `best`, paired over the seeds.

    Which cell is the best is known from the same losses, so that the family of tests is that of all pairs.
    """
    losses, there = _Losses(results, setting, of), cells(results)
    others = [cell for cell in there if cell != best]
    pairs = [*((cell, best) for cell in others), *combinations(others, 2)]
    tests = t_tests({pair: losses.paired(*pair) for pair in pairs})
    return {cell: tests[cell, best] for cell in others if (cell, best) in tests}


def ranking(found: Effects) -> Ranking | None:
    """Which factor raises the loss most, and whether that is sure; None for fewer than two factors.

    The differences of neighbours in the order are contrasts as well. Who are neighbours is known from the
    same losses, so that the family of tests is that of all pairs.
    """
    mains = {factors[0]: sample for factors, sample in found.samples.items() if len(factors) == 1}
    if len(mains) < 2 or not all(mains.values()):
        return None
    order = sorted(mains, key=lambda factor: -math.fsum(mains[factor]))
    tests = t_tests(
        {(a, b): [x - y for x, y in zip(mains[a], mains[b], strict=True)] for a, b in combinations(order, 2)}
    )
    return Ranking(tuple(order), {pair: tests[pair] for pair in pairwise(order) if pair in tests})


def effect_name(factors: Factors) -> str:
    """`diff 1 × diff 2`."""
    return " × ".join(factors)


class _Losses:
    """The best losses of the finished trials at one setting, by cell and seed, and why others have none."""

    def __init__(self, results: Results, setting: Setting, of: Measure) -> None:
        self.seeds = results.protocol.grid[SEED]
        self.known: dict[tuple[str, Value], float] = {}
        self.unknown: dict[tuple[str, Value], str] = {}
        for trial in results.trials:
            if setting_of(trial) == setting:
                self._add(trial, of)

    def _add(self, trial: Trial, of: Measure) -> None:
        key = str(trial.options[CELL]), trial.options[SEED]
        if trial.outcome is Outcome.FINISHED and trial.best is not None:
            self.known[key] = of(trial.best)
        else:
            self.unknown[key] = str(trial.outcome)

    def paired(self, cell: str, other: str) -> list[float]:
        """cell − other at the seeds where both finished."""
        both = [seed for seed in self.seeds if (cell, seed) in self.known and (other, seed) in self.known]
        return [self.known[cell, seed] - self.known[other, seed] for seed in both]

    def complete(self, wanted: list[str]) -> list[dict[str, float]]:
        """One loss a cell, for each seed at which all the cells finished."""
        rows = [
            {cell: self.known[cell, seed] for cell in wanted if (cell, seed) in self.known}
            for seed in self.seeds
        ]
        return [row for row in rows if len(row) == len(wanted)]

    def left_out(self, wanted: list[str]) -> tuple[str, ...]:
        """`seed 3 (lstm diverged)`, for each seed that lacks a cell."""
        lines = []
        for seed in self.seeds:
            lacks = {c: self.unknown.get((c, seed), "absent") for c in wanted if (c, seed) not in self.known}
            if lacks:
                lines.append(f"seed {seed} ({', '.join(f'{cell} {why}' for cell, why in lacks.items())})")
        return tuple(lines)


def _effects(design: Design, setting: Setting, losses: _Losses) -> Effects:
    wanted = list(design.levels)
    rows = losses.complete(wanted)
    samples = {
        factors: tuple(contrast(design, factors, row) for row in rows)
        for size in range(1, len(design.factors) + 1)
        for factors in combinations(design.factors, size)
    }
    return Effects(setting, samples, t_tests(samples), losses.left_out(wanted))


def _missing(design: Design, there: tuple[str, ...]) -> tuple[str, ...]:
    """The combinations of levels that no cell has, and the cells that have no trials."""
    held = set(design.levels.values())
    unheld = [levels for levels in product((0, 1), repeat=len(design.factors)) if levels not in held]
    named = [", ".join(map("{} = {}".format, design.factors, levels)) for levels in unheld]
    absent = [cell for cell in design.levels if cell not in there]
    return (*(f"no cell with {levels}" for levels in named), *(f"no trial of {cell}" for cell in absent))
