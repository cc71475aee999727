"""A6: what the pseudo LSTM reads stays in (-1, 1); its state need not, but grows at most by 1 a step."""

from __future__ import annotations

from functools import cache
from typing import Any

import sympy

from derive.anatomy import states
from derive.bounds.ranges import Ranges
from derive.catalogue import cell as catalogued
from derive.cell import Cell
from derive.claim import Claim
from derive.claims.reads import reads_bounded
from derive.show.text import typeset
from derive.symbols import Activated
from derive.theorems.a4 import growth_claims, leaves_every_box
from derive.theorems.theorem import Theorem
from derive.theorems.tools.facts import Evidence, cell_of, fact, open_question, says

LIMITS = sympy.Interval.open(-1, 1)


def vectors_within(cell: Cell | str) -> Claim:
    """Every vector of the step but the states, and so whatever reads them, is in (-1, 1)."""
    subject = catalogued(cell)
    ranges = Ranges(subject, {}, norm=None)
    vectors = [v for v in subject.equations if v not in states(subject)]
    found = {v.name: [str(ranges(v).low), str(ranges(v).high)] for v in vectors}
    spoken = {**_spoken(found), "cell": subject}
    outside = [v.name for v in vectors if not (ranges(v).low >= -1 and ranges(v).high <= 1)]
    closed = [v.name for v in vectors if not isinstance(subject.equations[v], Activated)]
    if outside or closed:
        return open_question("A6", spoken, f"not shown for {', '.join(outside or closed)}")
    return fact("A6", spoken, {"ranges": found}, "the range of every vector", _check)


def _spoken(found: dict[str, Any]) -> dict[str, Any]:
    names = ", ".join(f"{typeset(name)}ₜ" for name in found)
    return {
        "name": "vectors-within",
        "statement": f"{names} are in (-1, 1), whatever the state and the weights",
    }


def _check(document: Evidence) -> bool:
    """By the sets that the outermost activations declare, without interval arithmetic."""
    cell = cell_of(document)
    vectors = {v.name: v for v in cell.equations if v not in states(cell)}
    found = document["certificate"]["ranges"]
    if set(found) != set(vectors) or not says(document, _spoken(found)):
        return False
    return all(_image(cell, vector).is_subset(LIMITS) for vector in vectors.values())


def _image(cell: Cell, vector: Any) -> sympy.Set:
    expr = cell.equations[vector]
    return expr.activation.range if isinstance(expr, Activated) else sympy.S.Reals


@cache
def _claims() -> tuple[Claim, ...]:
    subject = catalogued("pseudo-lstm")
    (state,) = states(subject)
    return (
        reads_bounded(subject, state),
        vectors_within(subject),
        *growth_claims(subject),
        leaves_every_box(subject, state),
    )


THEOREM = Theorem(
    name="A6",
    title="The pseudo LSTM's reads are bounded",
    statement="every quantity that is read in the pseudo LSTM stays in (-1, 1) although the state may not; "
    "the state grows at most linearly",
    latex=r"\tanh(s_t) \in (-1, 1)^n, \qquad |s_t| \le |s_0| + t",
    source="r2rt, Written Memories (2016), the pseudo LSTM: a hard bound via non-linear squashing",
    cells=("pseudo-lstm",),
    assumptions=("φ = tanh", "any input and weights"),
    prove=lambda: list(_claims()),
)
