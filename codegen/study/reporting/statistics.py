"""Student's t: intervals of means, paired tests, Welch's difference of two means, Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import stdev
from typing import Any, TypeVar

from codegen.errors import ConfigError

Key = TypeVar("Key", bound=Hashable)

LEVEL = 0.95
"""Of all intervals; a test is resolved if its p, adjusted, is at most 1 − LEVEL."""


@dataclass(frozen=True)
class Estimate:
    """A mean and its two-sided interval, mean ± half.

    Attributes:
        mean: over the sample.
        half: half the interval's width; None for a single value, which says nothing about its spread.
        n: the size of the sample, of both samples together for a difference.
    """

    mean: float
    half: float | None
    n: int

    @property
    def covers_zero(self) -> bool:
        """Whether 0 lies in the interval; it may always, where there is no interval."""
        return self.half is None or abs(self.mean) <= self.half


@dataclass(frozen=True)
class TTest:
    """A two-sided t test of one mean against 0, one of a family of tests.

    Attributes:
        estimate: the mean with its interval, not adjusted for the family.
        p: of the test alone; None for fewer than two values.
        holm: p adjusted for all tests of the family.
    """

    estimate: Estimate
    p: float | None
    holm: float | None

    @property
    def resolved(self) -> bool:
        """Whether the mean differs from 0 at LEVEL for the family as a whole."""
        return self.holm is not None and self.holm <= 1 - LEVEL


def estimate(sample: Sequence[float]) -> Estimate | None:
    """The mean ± t(n − 1)·s/√n of a sample, s its standard deviation; None for an empty one."""
    n = len(sample)
    if n == 0:
        return None
    half = quantile(n - 1) * stdev(sample) / math.sqrt(n) if n > 1 else None
    return Estimate(math.fsum(sample) / n, half, n)


def t_tests(samples: Mapping[Key, Sequence[float]]) -> dict[Key, TTest]:
    """Whether each sample's mean differs from 0; of differences, this is the paired t test.

    Empty samples are left out.  The family that Holm's correction counts is all that are tested.
    """
    found = {key: e for key, sample in samples.items() if (e := estimate(sample)) is not None}
    raw = {key: _p(e) for key, e in found.items()}
    adjusted = holm({key: p for key, p in raw.items() if p is not None})
    return {key: TTest(found[key], raw[key], adjusted.get(key)) for key in found}


def holm(p: Mapping[Key, float]) -> dict[Key, float]:
    """The p values adjusted so that any false rejection among them stays improbable.

    The i-th smallest of m is multiplied by m − i + 1, and is never less than one before it (Holm, 1979, A
    simple sequentially rejective multiple test procedure).
    """
    adjusted: dict[Key, float] = {}
    least = 0.0
    for rank, key in enumerate(sorted(p, key=lambda key: p[key])):
        least = max(least, min(1.0, (len(p) - rank) * p[key]))
        adjusted[key] = least
    return adjusted


def welch(a: Estimate, b: Estimate) -> Estimate:
    """a − b of two independent samples, each known by its mean and its interval by Student's t.

    The standard error of a mean is half/t(n − 1); those of the two add in squares, with the degrees of
    freedom of Welch (1947, The generalization of Student's problem, eq. 28, as Satterthwaite has it).  There
    is no interval if either has none.
    """
    difference, n = a.mean - b.mean, a.n + b.n
    if a.half is None or b.half is None:
        return Estimate(difference, None, n)
    variances = [(e.half / quantile(e.n - 1)) ** 2 for e in (a, b) if e.half]
    sizes = [e.n for e in (a, b) if e.half]
    total = sum(variances)
    if total == 0:
        return Estimate(difference, 0.0, n)
    freedom = total**2 / sum(v**2 / (size - 1) for v, size in zip(variances, sizes, strict=True))
    return Estimate(difference, quantile(freedom) * math.sqrt(total), n)


def quantile(freedom: float) -> float:
    """The t that |T| exceeds with probability 1 − LEVEL."""
    return float(_student_t().ppf((1 + LEVEL) / 2, freedom))


def _p(e: Estimate) -> float | None:
    """How probable a mean as far from 0 is if the true mean is 0; a sample without spread is certain."""
    if e.half is None:
        return None
    if e.half == 0:
        return 0.0 if e.mean else 1.0
    return float(2 * _student_t().sf(abs(e.mean) / e.half * quantile(e.n - 1), e.n - 1))


def _student_t() -> Any:
    try:
        from scipy.stats import t
    except ImportError as error:
        raise ConfigError(
            "statistics of a study need SciPy, which is not installed: pip install 'cellwright[study]'"
        ) from error
    return t
