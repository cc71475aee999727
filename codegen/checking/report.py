"""The result of a check: each comparison with its error and its tolerance."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

FLOAT64 = 1e-10
"""The tolerance between two float64 computations of the same thing."""
FLOAT32 = 1e-5
DIFFERENCES = 1e-6
"""The tolerance of central differences."""


@dataclass(frozen=True)
class Comparison:
    """Two computations of one thing; ``error`` is max|a - b| / max(1, max|b|), and a NaN never passes."""

    name: str
    error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        return self.error <= self.tolerance

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON, which knows no infinity and no NaN: such an error is null."""
        error = self.error if math.isfinite(self.error) else None
        return {"name": self.name, "error": error, "tolerance": self.tolerance, "passed": self.passed}

    def __str__(self) -> str:
        verdict = "ok  " if self.passed else "FAIL"
        return f"{verdict}  {self.name}: error {self.error:.1e}, tolerance {self.tolerance:.0e}"


@dataclass(frozen=True)
class CheckReport:
    """All comparisons of one check; truthy when all passed and there was at least one."""

    cell: str
    backend: str
    comparisons: tuple[Comparison, ...]
    why: str = ""
    """Why it was that backend."""

    def __bool__(self) -> bool:
        return bool(self.comparisons) and all(c.passed for c in self.comparisons)

    @property
    def passed(self) -> bool:
        return bool(self)

    @property
    def failures(self) -> tuple[Comparison, ...]:
        return tuple(c for c in self.comparisons if not c.passed)

    def to_dict(self) -> dict[str, Any]:
        """The document that ``cellwright check --json`` prints."""
        found = [c.to_dict() for c in self.comparisons]
        return {
            "cell": self.cell,
            "backend": self.backend,
            "why": self.why,
            "passed": bool(self),
            "comparisons": found,
        }

    def __str__(self) -> str:
        verdict = "passed" if self else f"FAILED ({len(self.failures)} of {len(self.comparisons)})"
        why = f" ({self.why})" if self.why else ""
        return "\n".join(
            [f"{self.cell}, {self.backend} backend{why}: {verdict}", *(f"  {c}" for c in self.comparisons)]
        )


def compare(name: str, pairs: Iterable[tuple[Any, Any]], tolerance: float) -> Comparison:
    """The largest error over pairs of arrays (found, expected); unequal shapes are an infinite error."""
    return Comparison(
        name, max((error(found, expected) for found, expected in pairs), default=math.inf), tolerance
    )


def error(found: Any, expected: Any) -> float:
    """max|a - b| / max(1, max|b|): infinite where the shapes differ, infinite where a number is missing."""
    a, b = np.asarray(found), np.asarray(expected)
    if a.shape != b.shape:
        return math.inf
    if a.size == 0:
        return 0.0
    largest = float(np.max(np.abs(a - b)) / max(1.0, float(np.max(np.abs(b)))))
    return math.inf if math.isnan(largest) else largest  # max() over pairs would lose a NaN
