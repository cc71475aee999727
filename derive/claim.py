"""A claim is never a bare boolean: statement, assumptions, status, method, and what backs the status."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["proved", "refuted", "unknown"]


@dataclass(frozen=True)
class Claim:
    """One statement about a cell.

    ``proved`` comes with a ``certificate`` (plain data) that :meth:`recheck` verifies by a second method;
    ``refuted`` with a ``counterexample``; everything else is ``unknown``.  Sampling never proves.
    """

    name: str
    statement: str
    status: Status
    method: str
    assumptions: tuple[str, ...] = ()
    certificate: Mapping[str, Any] | None = None
    counterexample: Mapping[str, Any] | None = None
    verify: Callable[[], bool] | None = field(default=None, repr=False, compare=False)

    def recheck(self) -> bool:
        """Verify the certificate or replay the counterexample; False for what is unknown."""
        return self.verify is not None and self.verify()

    def __str__(self) -> str:
        assuming = f" (assuming {', '.join(self.assumptions)})" if self.assumptions else ""
        return f"{self.status}: {self.statement}{assuming}"
