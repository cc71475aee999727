"""A7: the basic LSTM's read gate is one step out of date, and peepholes repair it in part.

The latency of a read gate is the shortest lag in the graph from the newest input to the candidate that reads
through it; its age, how much older the newest state is that it has seen than the one that it gates
(:mod:`derive.claims.latency`).  Of the steps that lead to the LSTM with peepholes, one alone adds to the
latency, and one alone takes from the age.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from derive.anatomy import memories
from derive.catalogue import catalogue
from derive.catalogue import cell as catalogued
from derive.cell import Cell
from derive.claim import Claim
from derive.claims.latency import read_latency
from derive.derivation import derivation
from derive.errors import DeriveError
from derive.theorems.theorem import Theorem
from derive.theorems.tools.facts import Evidence, disproved, fact, says


def latencies(cell: Cell | str) -> list[Claim]:
    """The latency of every read gate through which a state of the cell is read."""
    subject = catalogued(cell)
    found = (read_latency(subject, memory.state) for memory in memories(subject))
    return [claim for claim in found if claim is not None]


def changed_by(cell: Cell | str, what: str) -> Claim:
    """Which steps of a cell's derivation change ``what`` of the read gate: its "latency" or its "age"."""
    subject = catalogued(cell)
    measured = [
        [rule, *((claim.certificate or {})[what] for claim in pair)] for rule, pair in _steps(subject.name)
    ]
    evidence = {"derivation": subject.name, "what": what, "steps": measured}
    spoken = {**_spoken(evidence), "cell": subject}
    method = "the shortest lag in the graph before and after every step"
    return fact("A7", spoken, evidence, method, _check)


def _steps(name: str) -> list[tuple[str, list[Claim]]]:
    """The steps before and after which the state is read through one gate, with the two claims."""
    pairs = [(s.rule.name, [latencies(c) for c in (s.before, s.after)]) for s in derivation(name).steps]
    return [(rule, [c for (c,) in pair]) for rule, pair in pairs if all(len(found) == 1 for found in pair)]


def _spoken(evidence: Evidence) -> dict[str, Any]:
    what = evidence["what"]
    changes = [f"{rule} from {old} to {new}" for rule, old, new in evidence["steps"] if old != new]
    told = f"only by {' and '.join(changes)}" if changes else "by no step"
    return {
        "name": f"read-{what}-changed",
        "statement": f"on the way from vanilla to {evidence['derivation']} the {what} of the read gate is "
        f"changed {told}",
    }


def _check(document: Evidence) -> bool:
    """Both sides of every step by the second method, the equations unrolled over time."""
    evidence = document["certificate"]
    found = _steps(evidence["derivation"])
    if not says(document, _spoken(evidence)) or len(found) != len(evidence["steps"]):
        return False
    for (rule, pair), (said, *values) in zip(found, evidence["steps"], strict=True):
        if rule != said or not all(claim.recheck() for claim in pair):
            return False
        if [(claim.certificate or {})[evidence["what"]] for claim in pair] != values:
            return False
    return True


def up_to_date_is_wrong(cell: Cell | str, latency: int = 0) -> Claim:
    """That the read gate had seen an input as new as that: two runs that differ in that input alone."""
    subject = catalogued(cell)
    (memory,) = memories(subject)
    found = read_latency(subject, memory.state, latency)
    if found is None:
        raise DeriveError(f"{subject.name}: no gate reads {memory.state}")
    gate = (found.counterexample or {}).get("gate", "the read gate")
    return disproved(
        found, f"changing xₜ alone does not move the {gate} that the candidate reads through at t"
    )


@cache
def _claims() -> tuple[Claim, ...]:
    found = [claim for name in catalogue() for claim in latencies(name)]
    found += [changed_by("peephole-lstm", "latency"), changed_by("peephole-lstm", "age")]
    return (*found, up_to_date_is_wrong("lstm"), up_to_date_is_wrong("peephole-lstm"))


THEOREM = Theorem(
    name="A7",
    title="The read gate is a step out of date",
    statement="the candidate of the basic LSTM reads c through a gate that has seen xₜ₋₁, one step out of "
    "date (diff 1), and in the pseudo LSTM through one that has seen xₜ; peepholes repair it in part: "
    "oₜ sees cₜ",
    latex=r"\tilde c_t = \varphi(W (o_{t-1} \odot \varphi(c_{t-1})) + \ldots), \quad o_t \ni c_t",
    source="r2rt, Written Memories (2016), LSTM diff 1; Gers and Schmidhuber 2000",
    cells=("pseudo-lstm", "lstm", "peephole-lstm"),
    assumptions=(),
    prove=lambda: list(_claims()),
)
