"""Claims that one theorem makes: from plain data to a statement, and back for the second method."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from derive.activations import Activation
from derive.catalogue import cell as catalogued
from derive.cell import Cell
from derive.claim import Attempt, Claim
from derive.decide import Decision, Problem, recheck

Evidence = Mapping[str, Any]
Spoken = Mapping[str, Any]
"""What a claim says: ``name``, ``statement`` and, where there are any, ``assumptions`` and ``latex``."""


def fact(
    theorem: str, spoken: Spoken, evidence: Evidence, method: str, check: Callable[[Evidence], bool]
) -> Claim:
    """A proved claim.  ``check`` is the second method: it is given the claim as plain data, statement and
    all, as a reader of a certificate would have it."""
    claim = Claim(status="proved", method=method, certificate=evidence, kind=theorem, **spoken)
    return replace(claim, verify=lambda: check(json.loads(json.dumps(claim.to_json()))))


def refutation(
    theorem: str, spoken: Spoken, shown: Evidence, method: str, check: Callable[[Evidence], bool]
) -> Claim:
    """A refuted claim; ``check`` replays the counterexample, given the claim as plain data."""
    claim = Claim(status="refuted", method=method, counterexample=shown, kind=theorem, **spoken)
    return replace(claim, verify=lambda: check(json.loads(json.dumps(claim.to_json()))))


def open_question(theorem: str, spoken: Spoken, why: str, attempts: tuple[Attempt, ...] = ()) -> Claim:
    """A claim that no method settled."""
    return Claim(status="unknown", method=why, attempts=attempts, kind=theorem, **spoken)


def says(document: Evidence, spoken: Spoken) -> bool:
    """Whether a claim as plain data says what its own certificate supports, and no more."""
    said = (document["name"], document["statement"], list(document["assumptions"]))
    return said == (spoken["name"], spoken["statement"], list(spoken.get("assumptions", ())))


def disproved(claim: Claim, statement: str) -> Claim:
    """The negation of a refuted claim, proved by its counterexample, which ``recheck`` replays."""
    latex = rf"\neg\left({claim.latex}\right)" if claim.latex else ""
    turned = replace(claim, name=f"not-{claim.name}", statement=statement, latex=latex, kind="")
    if claim.status != "refuted" or claim.counterexample is None:
        return replace(turned, status="unknown", method=f"not refuted: {claim.method}", verify=None)
    return replace(
        turned,
        status="proved",
        method=f"a counterexample, replayed: {claim.method}",
        certificate={"refuted": claim.statement, "counterexample": dict(claim.counterexample)},
        counterexample=None,
        verify=claim.recheck,
    )


def plain_decision(decision: Decision) -> dict[str, Any] | None:
    """The certificate of a decided problem as a dict, or None."""
    return None if decision.certificate is None else dict(decision.certificate)


def stands(problem: Problem, certificate: Evidence) -> bool:
    """Whether a certificate is of that very problem and stands by its second method."""
    return Problem.from_json(certificate["problem"]) == problem and recheck(certificate)


def cell_of(document: Evidence) -> Cell:
    """The cell that a claim as plain data speaks of."""
    from derive.claims.tools.plain import cell_from_plain

    return cell_from_plain(document["cell"])


def with_activation(cell: Cell | str, phi: Activation) -> Cell:
    """A one-state cell with another outermost activation, under a name that says so."""
    subject = catalogued(cell)
    changed = subject.with_activations({subject.states[0]: phi})
    return subject if changed == subject else changed.replace(name=f"{subject.name}-{_hyphened(phi)}")


def _hyphened(phi: Activation) -> str:
    return phi.name.replace("_", "-")
