"""A5: the GRU's state stays where its candidate's activation lies, for every weight.

The box is solved for from the write (:func:`derive.invariant_boxes`), shown to be mapped into itself, and
compared with the published one; a smaller one is left.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import sympy

from derive.bounds import invariant_boxes
from derive.catalogue import cell as catalogued
from derive.cell import Cell
from derive.claim import Claim
from derive.claims import recheck_certificate
from derive.claims.bounded import maps_into_itself, stays_in
from derive.claims.tools.kind import state_of
from derive.decide import Problem, decide
from derive.show.text import typeset
from derive.theorems.theorem import Theorem
from derive.theorems.tools.facts import (
    Evidence,
    cell_of,
    disproved,
    fact,
    open_question,
    plain_decision,
    says,
    stands,
)

PUBLISHED = (sympy.Integer(-1), sympy.Integer(1))
NINE_TENTHS = sympy.Rational(9, 10)


def solved_box(cell: Cell | str, state: Any = "s") -> Claim:
    """The smallest box that contains 0 and is not left, as the engine solves for it."""
    subject = catalogued(cell)
    found = next(b for b in invariant_boxes(subject) if b.state == state_of(subject, state))
    return maps_into_itself(subject, state, found.range.low, found.range.high)


def within(cell: Cell | str, state: Any = "s", low: Any = PUBLISHED[0], high: Any = PUBLISHED[1]) -> Claim:
    """The engine's box lies in [low, high]: whatever starts in the one is in the other ever after."""
    subject = catalogued(cell)
    box = solved_box(subject, state)
    spoken = {**_spoken(box, low, high), "cell": subject}
    if box.certificate is None:
        return open_question("A5", spoken, box.method, box.attempts)
    decisions = [decide(problem) for problem in _problems(box.certificate, low, high)]
    certificates = [plain_decision(d) for d in decisions]
    if not all(certificates):
        tried = tuple(attempt for d in decisions for attempt in d.attempts)
        return open_question("A5", spoken, "the engine's box is not inside", tried)
    evidence = {"box": box.to_json(), "low": str(low), "high": str(high), "decided": certificates}
    return fact("A5", spoken, evidence, f"the box solved for: {box.method}", _check)


def _problems(box: Evidence, low: Any, high: Any) -> list[Problem]:
    """Whatever lies in the box lies in [low, high]."""
    value = sympy.Symbol(box["state"])
    inside = {value: (sympy.Rational(box["low"]), sympy.Rational(box["high"]))}
    return [Problem.of(inside, (value, "<=", high)), Problem.of(inside, (value, ">=", low))]


def _spoken(box: Claim, low: Any, high: Any) -> dict[str, Any]:
    name = typeset(box.name.removeprefix("bounded-"))
    return {
        "name": f"within-{box.name.removeprefix('bounded-')}",
        "statement": f"{box.statement}, the box solved for, which lies in [{low}, {high}]; any weights",
        "assumptions": box.assumptions,
        "latex": rf"{name}_0 \in [{low}, {high}]^n \implies {name}_t \in [{low}, {high}]^n",
    }


def _check(document: Evidence) -> bool:
    """The induction by its own second method (the scaled step), the inclusion by its."""
    cell, evidence = cell_of(document), document["certificate"]
    inner = evidence["box"]
    if inner["cell"] != document["cell"] or not recheck_certificate(inner):
        return False
    low, high = (sympy.Rational(evidence[end]) for end in ("low", "high"))
    box = solved_box(cell, inner["certificate"]["state"])
    if box.statement != inner["statement"] or not says(document, _spoken(box, low, high)):
        return False
    problems = _problems(inner["certificate"], low, high)
    return len(problems) == len(evidence["decided"]) and all(map(stands, problems, evidence["decided"]))


def smaller_is_left(cell: Cell | str, state: Any = "s", part: Any = NINE_TENTHS) -> Claim:
    """A box of ``part`` of the size is left in a run."""
    subject = catalogued(cell)
    low, high = (part * end for end in PUBLISHED)
    name = typeset(state_of(subject, state).name)
    return disproved(stays_in(subject, state, low, high), f"a step takes {name} out of [{low}, {high}]")


@cache
def _claims() -> tuple[Claim, ...]:
    return within("gru"), smaller_is_left("gru")


THEOREM = Theorem(
    name="A5",
    title="The GRU's state is bounded",
    statement="the state of a GRU with tanh stays in [-1, 1] for every weight, from any start in it",
    latex=r"s_0 \in [-1, 1]^n \implies s_t \in [-1, 1]^n",
    source="r2rt, Written Memories (2016), the GRU: a hard bound via write-forget coupling",
    cells=("gru",),
    assumptions=("φ = tanh", "any input"),
    prove=lambda: list(_claims()),
)
