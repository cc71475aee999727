"""What the tests of several theorems ask."""

import pytest

from derive.claim import Claim
from derive.theorems import theorem

pytest.importorskip("z3")
pytest.importorskip("cvc5")

SAMPLES, SETS = 40, 3


def holds(claims: list[Claim]) -> None:
    """All proved, each checked again by its second method."""
    assert [(c.name, c.status) for c in claims] == [(c.name, "proved") for c in claims]
    assert [c.name for c in claims if not c.recheck()] == []


def refuted(claim: Claim) -> None:
    """A counterexample with numbers, which replays."""
    assert claim.status == "refuted"
    assert claim.counterexample is not None
    assert claim.recheck()


def trials(name: str, *, certified_at_least: int) -> None:
    """A quarter of the samples is certified as published, and by the engine; no attack succeeds."""
    subject = theorem(name)
    assert subject.compare is not None
    assert subject.attack is not None
    found = subject.compare(SAMPLES, 1)
    assert (found.samples, found.lost) == (SAMPLES, 0)
    assert SAMPLES // 5 <= found.published <= SAMPLES // 3
    assert found.published <= found.closed <= SAMPLES
    assert found.engine >= certified_at_least
    attacked = subject.attack(SETS, 1)
    assert (attacked.attacked, attacked.broken) == (SETS, 0)
    assert 0.3 < attacked.worst <= 1 + 1e-9
