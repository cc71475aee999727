"""A claim is never a bare boolean: statement, assumptions, status, method, and what backs the status."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from derive.cell import Cell

Status = Literal["proved", "refuted", "unknown"]
Attempt = tuple[str, str, float]
"""What was tried, what came of it, seconds."""


@dataclass(frozen=True)
class Claim:
    """One statement about a cell.

    ``proved`` comes with a ``certificate`` (plain data) that :meth:`recheck` verifies by a second method;
    ``refuted`` with a ``counterexample`` that it replays; everything else is ``unknown``, and ``attempts``
    tells what was tried.  Sampling never proves.  ``kind`` names the file of ``derive/claims`` that made the
    claim about ``cell``; the claims that only a rule makes have none.  ``latex`` is the statement as LaTeX,
    ``gist`` what a table has room for.
    """

    name: str
    statement: str
    status: Status
    method: str
    assumptions: tuple[str, ...] = ()
    certificate: Mapping[str, Any] | None = None
    counterexample: Mapping[str, Any] | None = None
    verify: Callable[[], bool] | None = field(default=None, repr=False, compare=False)
    latex: str = ""
    gist: str = ""
    attempts: tuple[Attempt, ...] = field(default=(), compare=False)
    kind: str = ""
    cell: Cell | None = field(default=None, repr=False, compare=False)

    def recheck(self) -> bool:
        """Verify the certificate or replay the counterexample; False for what is unknown."""
        return self.verify is not None and self.verify()

    def to_json(self) -> dict[str, Any]:
        """Plain data; with a ``cell``, all that :func:`derive.claims.recheck_certificate` needs."""
        document: dict[str, Any] = {
            "name": self.name,
            "kind": self.kind,
            "statement": self.statement,
            "latex": self.latex,
            "assumptions": list(self.assumptions),
            "status": self.status,
            "method": self.method,
        }
        if self.certificate is not None:
            document["certificate"] = dict(self.certificate)
        if self.counterexample is not None:
            document["counterexample"] = dict(self.counterexample)
        if self.attempts:
            document["attempts"] = [[what, outcome, round(took, 4)] for what, outcome, took in self.attempts]
        if self.cell is not None:
            from derive.claims.tools.plain import cell_to_plain

            document["cell"] = cell_to_plain(self.cell)
        return document

    def __str__(self) -> str:
        assuming = f" (assuming {', '.join(self.assumptions)})" if self.assumptions else ""
        return f"{self.status}: {self.statement}{assuming}"
