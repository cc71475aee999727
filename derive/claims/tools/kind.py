"""``Kind``: a kind of claim, and how its claims are made so that plain data alone is enough to check them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

from derive.cell import Cell
from derive.claim import Attempt, Claim
from derive.errors import DeriveError
from derive.symbols import State

Evidence = Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """A kind of claim: one file in ``derive/claims``, found by looking into the folder.

    ``prove`` makes the claims of this kind about a cell.  ``check`` is the second method: from a cell and a
    claim as plain data it says whether the claim stands.  Both look at the cell alone, and at no name.
    """

    name: str
    title: str
    prove: Callable[[Cell], Iterable[Claim]]
    check: Callable[[Cell, Evidence], bool]
    rank: int = 100  # where it stands among the others


def made(cell: Cell, kind: str, **fields: Any) -> Claim:
    """A claim whose ``recheck`` starts from its plain data, as a reader of a certificate would."""
    from derive.claims import recheck_certificate

    claim = Claim(kind=kind, cell=cell, **fields)
    if claim.status == "unknown":
        return claim
    return replace(claim, verify=lambda: recheck_certificate(claim.to_json()))


class Tries:
    """What was tried for a claim, and how long it took."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self._start = perf_counter()

    def note(self, what: str, outcome: str) -> None:
        """One attempt is over."""
        now = perf_counter()
        self.attempts.append((what, outcome, now - self._start))
        self._start = now

    @property
    def told(self) -> str:
        """What was tried, in one line."""
        return "; ".join(f"{what}: {outcome}" for what, outcome, _ in self.attempts)


def state_of(cell: Cell, name: Any) -> State:
    """The state of that name, or that very state."""
    from derive.rewriting import named_state

    return named_state(cell, str(name))


class BadCertificate(DeriveError, ValueError):
    """Plain data that is no certificate of any kind of claim."""
