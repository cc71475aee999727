"""A4: the prototype's state is bounded by nothing; normalization bounds its spread, not its mean.

With v the variance of what is normalized, the state's is v/(v + 1) < 1, so no unit is further than √(n - 1)
from the mean.  The mean itself grows as in the prototype: where all units are equal, v = 0.  Subtracting it
first (option ``center`` of the rule normalize-state) bounds the state.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import sympy

from derive.calculus.polynomials import mean_of
from derive.catalogue import cell as catalogued
from derive.cell import Cell
from derive.claim import Claim
from derive.claims import kinds
from derive.claims.bounded import stays_in
from derive.claims.tools.drives import zeros
from derive.claims.tools.kind import state_of
from derive.decide import Problem, decide
from derive.equivalence import equivalent
from derive.errors import DeriveError
from derive.rule import apply
from derive.show.text import typeset
from derive.symbols import Activated, Linear, MeanMap, Quantity, State
from derive.theorems.a2 import one_unit
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

U, V, D, REST, UNITS = sympy.symbols("u v d r n")
"""1/(v + c); the variance before; a squared deviation, the sum of the others'; the number of units."""


@dataclass(frozen=True)
class Normalized:
    """state = shown / √(mean(deviation²) + added), with ``deviation`` that of ``shown`` from its mean."""

    state: State
    shown: sympy.Expr
    deviation: sympy.Expr
    added: sympy.Rational
    over: MeanMap

    @property
    def is_centred(self) -> bool:
        """Whether the state's mean is 0."""
        return bool(mean_of(self.shown, self.over) == 0)


def normalization(cell: Cell, state: State) -> Normalized:
    """Read off the state's equation; :class:`~derive.errors.DeriveError` where it has another form."""
    expr = cell.equations[state]
    roots = [f for f in sympy.Mul.make_args(expr) if f.is_Pow and f.exp == -sympy.Rational(1, 2)]
    if len(roots) == 1:
        added, square = roots[0].base.as_coeff_Add()
        shown = expr / roots[0]
        if added > 0 and isinstance(square, Linear) and isinstance(square.map, MeanMap):
            deviation, exponent = square.vector.as_base_exp()
            centre = mean_of(shown, square.map)
            if exponent == 2 and sympy.expand(shown - centre - deviation) == 0:
                return Normalized(state, shown, deviation, added, square.map)
    raise DeriveError(f"{cell.name}: {state} is not divided by √(Var + c):\n  {cell.line(state)}")


# the spread


def variance_below_one(cell: Cell | str, state: Any = "s") -> Claim:
    """The variance of a normalized state is v/(v + c) < 1, with v ≥ 0 that of what is normalized."""
    subject = catalogued(cell)
    found = normalization(subject, state_of(subject, state))
    spoken = {**_spoken_variance(found), "cell": subject}
    decided = decide(_variance_problem(found))
    certificate = plain_decision(decided)
    if certificate is None:
        return open_question("A4", spoken, decided.method, decided.attempts)
    evidence = {"state": found.state.name, "decided": certificate}
    return fact("A4", spoken, evidence, "the root is one number for all units", _check_variance)


def _variance_problem(found: Normalized) -> Problem:
    """Var(s) = u v, as 1/√… is the same in all units; u (v + c) = 1."""
    return Problem.of(
        {U: (0, sympy.oo), V: (0, sympy.oo)}, (U * V, "<", 1), [(U * (V + found.added), "==", 1)]
    )


def _spoken_variance(found: Normalized) -> dict[str, Any]:
    name = typeset(found.state.name)
    mean = ", and its mean is 0" if found.is_centred else ""
    return {
        "name": f"variance-{found.state.name}",
        "statement": f"Var({name}ₜ) < 1 over the units, whatever the weights{mean}",
        "latex": rf"\operatorname{{Var}}({found.state.name}_t) = \frac{{v}}{{v + {found.added}}} < 1",
    }


def _check_variance(document: Evidence) -> bool:
    """The decision by its second method; and the units of n = 2 and 3 written out: Var(s) (v + c) = v."""
    cell, evidence = cell_of(document), document["certificate"]
    found = normalization(cell, state_of(cell, evidence["state"]))
    if not says(document, _spoken_variance(found)):
        return False
    return stands(_variance_problem(found), evidence["decided"]) and all(
        _variance_of_units(cell, found, n) for n in (2, 3)
    )


def _variance_of_units(cell: Cell, found: Normalized, n: int) -> bool:
    """Exactly, with a symbol for every unit of whatever the state's equation reads."""
    read: dict[Any, list[Any]] = {}
    before, after = (_units(expr, read, n) for expr in (found.shown, cell.equations[found.state]))
    spread = _spread(before)
    centred = not found.is_centred or sympy.simplify(sympy.Add(*after)) == 0
    return bool(centred and sympy.simplify(_spread(after) * (spread + found.added) - spread) == 0)


def _spread(units: list[sympy.Expr]) -> sympy.Expr:
    centre = sympy.Add(*units) / len(units)
    return sympy.Add(*((u - centre) ** 2 for u in units)) / len(units)


def _units(expr: sympy.Expr, read: dict[Any, list[Any]], n: int) -> list[sympy.Expr]:
    """An expression unit by unit; a mean is the sum of the units divided by n."""
    if isinstance(expr, Linear) and isinstance(expr.map, MeanMap):
        return [sympy.Add(*_units(expr.vector, read, n)) / n] * n
    if isinstance(expr, Quantity | Linear | Activated):
        return read.setdefault(expr, list(sympy.symbols(f"x{len(read)}_:{n}", real=True)))
    if not expr.args:
        return [expr] * n
    return [expr.func(*parts) for parts in zip(*(_units(arg, read, n) for arg in expr.args), strict=True)]


def deviations_bounded(cell: Cell | str, state: Any = "s") -> Claim:
    """No unit is further than √(n - 1) from the mean; a centred state is bounded by that."""
    subject = catalogued(cell)
    found = normalization(subject, state_of(subject, state))
    spoken = {**_spoken_deviation(found), "cell": subject}
    decisions = [decide(_variance_problem(found)), decide(_deviation_problem())]
    certificates = [plain_decision(d) for d in decisions]
    if not all(certificates):
        tried = tuple(attempt for d in decisions for attempt in d.attempts)
        return open_question("A4", spoken, "not decided", tried)
    evidence = {"state": found.state.name, "decided": certificates}
    method = "variance below 1, and Cauchy-Schwarz for the other units"
    return fact("A4", spoken, evidence, method, _check_deviation)


def _deviation_problem() -> Problem:
    """The deviations add up to 0, so d ≤ (n - 1) r for one square d and the sum r of the others."""
    some = (0, sympy.oo)
    known = [(D, "<=", (UNITS - 1) * REST), (D + REST, "==", UNITS * V), (V, "<", 1)]
    return Problem.of({UNITS: (2, sympy.oo), D: some, REST: some, V: some}, (D, "<", UNITS - 1), known)


def _spoken_deviation(found: Normalized) -> dict[str, Any]:
    name = typeset(found.state.name)
    shown = f"|{name}ₜ|" if found.is_centred else f"|{name}ₜ - mean({name}ₜ)|"
    return {
        "name": f"deviation-{found.state.name}",
        "statement": f"{shown} < √(n - 1) in every unit, whatever the weights",
        "assumptions": ("n ≥ 2",),
        "latex": rf"|{found.state.name}_t - \overline{{{found.state.name}_t}}| < \sqrt{{n - 1}}",
    }


def _check_deviation(document: Evidence) -> bool:
    """The decisions by their second methods; Lagrange's identity behind Cauchy-Schwarz for 1 to 5 units."""
    cell, evidence = cell_of(document), document["certificate"]
    found = normalization(cell, state_of(cell, evidence["state"]))
    problems = [_variance_problem(found), _deviation_problem()]
    if not says(document, _spoken_deviation(found)) or len(evidence["decided"]) != 2:
        return False
    if not all(map(stands, problems, evidence["decided"])) or not _variance_of_units(cell, found, 2):
        return False
    for n in range(1, 6):
        x = sympy.symbols(f"x:{n}")
        squares = sympy.Add(*((x[i] - x[j]) ** 2 for i in range(n) for j in range(i)))
        if sympy.expand(n * sympy.Add(*(v**2 for v in x)) - sympy.Add(*x) ** 2 - squares) != 0:
            return False
    return True


# the mean


def is_the_prototype_where_units_agree(cell: Cell | str, other: Cell | str) -> Claim:
    """With one unit, or equal ones, the variance is 0, and the step is that of the cell before."""
    subject, before = catalogued(cell), catalogued(other)
    spoken = {**_spoken_same(subject, before), "cell": subject}
    if not equivalent(one_unit(subject), before):
        return open_question("A4", spoken, "the normal forms differ")
    evidence = {"before": before.name}
    return fact("A4", spoken, evidence, "equivalence of normal forms, mean(v) = v", _check_same)


def _spoken_same(cell: Cell, before: Cell) -> dict[str, Any]:
    return {
        "name": "equal-units",
        "statement": f"with one unit, or all units written alike, {cell.name} steps as {before.name} does",
    }


def _check_same(document: Evidence) -> bool:
    """Both evaluated from equal units with the same weights."""
    cell = cell_of(document)
    before = catalogued(document["certificate"]["before"])
    if not says(document, _spoken_same(cell, before)):
        return False
    rng = np.random.default_rng(0)
    for _ in range(5):
        numbers = zeros(before, n=3, T=4, fill=float(rng.normal()))
        for array in numbers.parameters.values():
            array[...] = rng.normal()
        other = numbers.states(cell)[-1][0]
        if not np.allclose(numbers.states(before)[-1][0], other, rtol=1e-12, atol=1e-12):
            return False
    return True


def leaves_every_box(cell: Cell | str, state: Any = "s", size: int = 1000) -> Claim:
    """A run out of [-size, size]."""
    subject = catalogued(cell)
    found = stays_in(subject, state, -size, size)
    run = (found.counterexample or {}).get("run", {})
    steps = len(run.get("inputs", ()))
    told = "a step" if steps == 1 else f"a run of {steps} steps"
    name = typeset(state_of(subject, state).name)
    return disproved(found, f"{told} takes {name} out of [-{size}, {size}]")


def growth_claims(cell: Cell | str) -> list[Claim]:
    """At most linear growth with its slope, and a run that grows as fast, from :mod:`derive.claims`."""
    subject = catalogued(cell)
    return [claim for kind in ("bounded", "grows") for claim in kinds()[kind].prove(subject)]


def centred(cell: Cell | str = "prototype") -> Cell:
    """The prototype, its mean subtracted before it is divided."""
    done = apply("normalize-state", cell, center=True).after
    return done.replace(name=f"centred-{done.name}")


@cache
def _claims() -> tuple[Claim, ...]:
    found = [*growth_claims("prototype"), leaves_every_box("prototype")]
    normalized = catalogued("normalized-prototype")
    found += [variance_below_one(normalized), deviations_bounded(normalized)]
    found += [is_the_prototype_where_units_agree(normalized, "prototype")]
    found += [*growth_claims(normalized), leaves_every_box(normalized)]
    found += [variance_below_one(centred()), deviations_bounded(centred())]
    return tuple(found)


THEOREM = Theorem(
    name="A4",
    title="What bounds the prototype",
    statement="the prototype's state is not bounded; normalization bounds its variance by 1 and its "
    "deviations from the mean by √(n - 1), but not the mean; with the mean subtracted "
    "the state is bounded by √(n - 1)",
    latex=r"\operatorname{Var}(s_t) = \frac{v}{v + 1} < 1, \qquad |s_t - \overline{s_t}| < \sqrt{n - 1}",
    source="r2rt, Written Memories (2016), the normalized prototype",
    cells=("prototype", "normalized-prototype"),
    assumptions=("variance with divisor n, over the units of one state",),
    prove=lambda: list(_claims()),
)
