"""``prove``: all kinds of claims about a cell."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from derive.catalogue import cell as catalogued
from derive.cell import Cell
from derive.claim import Claim
from derive.claims import kinds
from derive.initialization.memory import forget_biases as forget_biases  # until derive imports it from there


def prove(cell: Cell | str) -> list[Claim]:
    """The claims about a cell, each with a certificate or a counterexample that ``recheck`` verifies.

    Every kind of :mod:`derive.claims` in turn, each for all the states that it speaks of.  A claim is decided
    where two methods agree; what they do not settle is ``unknown`` and tells what was tried.
    """
    return list(_prove(catalogued(cell)))


@lru_cache(maxsize=256)
def _prove(cell: Cell) -> tuple[Claim, ...]:
    return tuple(_agreed(claim) for kind in kinds().values() for claim in kind.prove(cell))


def _agreed(claim: Claim) -> Claim:
    """The claim; ``unknown`` if its second method does not agree with the first."""
    if claim.status == "unknown" or claim.recheck():
        return claim
    told = f"{claim.method}: {claim.status}; the second method does not agree"
    return replace(
        claim,
        status="unknown",
        method=told,
        certificate=None,
        counterexample=None,
        verify=None,
        attempts=(*claim.attempts, (claim.method, f"{claim.status}, not confirmed", 0.0)),
    )
