"""A1: changes of any size vanish in a vanilla cell whose ‖W‖ is below 1/γ.

The bound of the step's Jacobian (:func:`derive.bound`) holds for every state, hence all along the segment
between two states: by the mean value theorem it bounds finite changes, step after step.  The second method
takes no derivative: differences go through the equations, Δφ(a) is at most γ |Δa| in every unit.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import sympy

from derive.activations import ACTIVATIONS, Activation
from derive.anatomy import states
from derive.bounds import bound
from derive.bounds.symbols import norm_symbol, typeset_bound
from derive.catalogue import cell as catalogued
from derive.cell import Cell
from derive.claim import Claim
from derive.claims.tools.drives import Numbers, zeros
from derive.claims.tools.plain import from_plain, to_plain
from derive.decide import Problem, decide
from derive.symbols import Activated, Linear, Parameter
from derive.theorems.theorem import Theorem
from derive.theorems.tools.facts import (
    Evidence,
    cell_of,
    fact,
    open_question,
    plain_decision,
    refutation,
    says,
    stands,
    with_activation,
)
from derive.theorems.tools.slopes import difference, steepest_point, steepest_slope

NORMS = (2, sympy.oo)
STEPS = 200
"""Of two runs that stay apart."""


def finite_changes(cell: Cell | str, rate: Any) -> Claim:
    """‖Δs‖ is multiplied by at most ``rate`` a step, whatever the size of the change, in both norms.

    ``rate`` is an expression in the symbols of the parameters' norms (:func:`derive.bound`).  Proved where
    the engine's bound is at most that; refuted by a step from two states.
    """
    subject, claimed = catalogued(cell), sympy.nsimplify(rate, rational=True)
    spoken = {**_spoken_changes(subject, claimed), "cell": subject}
    bounds = [bound(subject, norm, states=sympy.oo).expr for norm in NORMS]
    decisions = [decide(_at_most(b, claimed)) for b in bounds]
    certificates = [plain_decision(d) for d in decisions]
    if all(certificates):
        evidence = {
            "bounds": [to_plain(b) for b in bounds],
            "rate": to_plain(claimed),
            "decided": certificates,
        }
        method = "the Jacobian's bound all along the segment between two states (mean value theorem)"
        return fact("A1", spoken, evidence, method, _check_changes)
    pair = _beside(subject, 1.0, steps=1)
    shown = {"rate": to_plain(claimed), "runs": [n.to_plain() for n in pair]}
    if _exceeds(subject, shown):
        return refutation("A1", spoken, shown, "a step from two states", _check_exceeds)
    tried = tuple(attempt for d in decisions for attempt in d.attempts)
    told = ", ".join(typeset_bound(b) for b in bounds)
    return open_question("A1", spoken, f"the engine's bounds are {told}", tried)


def vanishes_if(cell: Cell | str, largest: Any) -> Claim:
    """‖W‖ < ``largest`` is enough for changes of any size to vanish, and the engine's condition is the same.

    Proved from the engine's bound; refuted by weights that meet the condition and two runs that stay apart.
    """
    subject, limit = catalogued(cell), sympy.nsimplify(largest, rational=True)
    w = norm_symbol(_recurrent(subject).name)
    conditions = [bound(subject, norm, states=sympy.oo).condition for norm in NORMS]
    spoken = {**_spoken_condition(subject, limit), "cell": subject}
    box = {w: (0, sympy.oo)}
    forward = [decide(Problem.of(box, c, [(w, "<", limit)])) for c in conditions]
    if all(d.status == "proved" for d in forward):
        backward = [decide(Problem.of(box, (w, "<", limit), [c])) for c in conditions]
        evidence = {
            "limit": str(limit),
            "suffices": [plain_decision(d) for d in forward],
            "needed": [plain_decision(d) for d in backward],
        }
        if all(evidence["needed"]):
            spoken |= _spoken_condition(subject, limit, equivalent=True)
        method = "the condition implies that the engine's bound is below 1"
        return fact("A1", spoken, evidence, method, _check_condition)
    pair = _beside(subject, float(limit) * (1 - 1e-3), STEPS)
    shown = {"limit": str(limit), "runs": [n.to_plain() for n in pair]}
    if _stay_apart(subject, shown):
        return refutation("A1", spoken, shown, "two runs that stay apart", _check_apart)
    tried = tuple(attempt for d in forward for attempt in d.attempts)
    return open_question("A1", spoken, "neither implied by the engine's condition nor refuted", tried)


# finite changes


def _at_most(found: sympy.Expr, claimed: sympy.Expr) -> Problem:
    symbols = sorted(found.free_symbols | claimed.free_symbols, key=str)
    return Problem.of(dict.fromkeys(symbols, (0, sympy.oo)), (found, "<=", claimed))


def _spoken_changes(cell: Cell, rate: sympy.Expr) -> dict[str, Any]:
    (state,), phi = states(cell), _activation(cell)
    name, factor = state.name, typeset_bound(rate)
    return {
        "name": f"finite-changes-{phi.name}",
        "statement": f"‖Δ{name}ₜ₊ₖ‖ ≤ ({factor})ᵏ ‖Δ{name}ₜ‖ for changes of any size, "
        f"φ = {phi.text or phi.name}",
        "assumptions": ("the same inputs after t", "‖·‖ the 2-norm or the ∞-norm"),
        "latex": rf"\|\Delta {name}_{{t+k}}\| \le ({sympy.latex(rate)})^k \|\Delta {name}_t\|",
    }


def _check_changes(document: Evidence) -> bool:
    """Differences through the equations, without a derivative, grow by at most the claimed rate."""
    cell, evidence = cell_of(document), document["certificate"]
    known = {s.name: s for s in map(norm_symbol, cell.parameters)}
    bounds = [from_plain(b, known) for b in evidence["bounds"]]
    rate = from_plain(evidence["rate"], known)
    if not says(document, _spoken_changes(cell, rate)) or len(bounds) != len(NORMS):
        return False
    problems = [_at_most(b, rate) for b in bounds]
    if not all(map(stands, problems, evidence["decided"])) or len(evidence["decided"]) != len(problems):
        return False
    (state,) = states(cell)
    return decide(_at_most(difference(cell, state), rate)).status == "proved"


# the condition


def _activation(cell: Cell) -> Activation:
    """The one activation of the cell."""
    (found,) = {node.activation for expr in cell.equations.values() for node in expr.atoms(Activated)}
    return found


def _recurrent(cell: Cell) -> Parameter:
    """The one matrix that is applied to the past."""
    (state,) = states(cell)
    (found,) = {node.map for node in cell.equations[state].atoms(Linear) if node.vector == state.prev}
    return found


def _spoken_condition(cell: Cell, limit: sympy.Expr, *, equivalent: bool = False) -> dict[str, Any]:
    (state,), phi, matrix = states(cell), _activation(cell), _recurrent(cell)
    only = "; the engine's own condition is the same" if equivalent else ""
    return {
        "name": f"vanishing-{phi.name}",
        "statement": f"‖{matrix.name}‖ < {limit} ⇒ Δ{state.name}ₜ₊ₖ → 0, φ = {phi.text or phi.name}{only}",
        "assumptions": ("the same inputs after t", "‖·‖ the 2-norm or the ∞-norm"),
        "latex": rf"\|{matrix.name}\| < {sympy.latex(limit)} \implies \Delta {state.name}_{{t+k}} \to 0",
    }


def _check_condition(document: Evidence) -> bool:
    """The implications by their second methods, and from the differences instead of the bound."""
    cell, evidence = cell_of(document), document["certificate"]
    limit, equivalent = sympy.Rational(evidence["limit"]), all(evidence["needed"])
    if not says(document, _spoken_condition(cell, limit, equivalent=equivalent)):
        return False
    w = norm_symbol(_recurrent(cell).name)
    box = {w: (0, sympy.oo)}
    conditions = [bound(cell, norm, states=sympy.oo).condition for norm in NORMS]
    forward = [Problem.of(box, c, [(w, "<", limit)]) for c in conditions]
    backward = [Problem.of(box, (w, "<", limit), [c]) for c in conditions]
    if not all(map(stands, forward, evidence["suffices"])):
        return False
    if equivalent and not all(map(stands, backward, evidence["needed"])):
        return False
    rate = difference(cell, states(cell)[0])
    return decide(Problem.of(box, (rate, "<", 1), [(w, "<", limit)])).status == "proved"


# counterexamples


def _beside(cell: Cell, kappa: float, steps: int) -> tuple[Numbers, Numbers]:
    """Two runs with W = κ I that start on both sides of a fixed point at which φ is steepest."""
    phi, matrix = _activation(cell), _recurrent(cell)
    point = steepest_point(phi)
    argument = float(point or 0) + (0.5 if point in phi.kinks else 0.0)
    fixed = float(phi.numpy(np.array(argument)))
    pair = []
    for side in (1e-3, -1e-3):
        numbers = zeros(cell, n=2, T=steps, fill=fixed + side)
        numbers.parameters[matrix.name][...] = kappa * np.eye(2)
        for name in cell.biases[:1]:
            numbers.parameters[name][...] = argument - kappa * fixed
        pair.append(numbers)
    return pair[0], pair[1]


def _changes(cell: Cell, evidence: Evidence, norm: Any) -> tuple[Numbers, float, float] | None:
    """The distance of two runs at the start and at the end; None where more than their starts differ."""
    one, other = (Numbers.from_plain(cell, run) for run in evidence["runs"])
    same = all(np.array_equal(one.parameters[p], other.parameters[p]) for p in cell.parameters)
    if not same or not np.array_equal(one.inputs, other.inputs):
        return None
    with np.errstate(all="ignore"):
        runs = [numbers.states(cell) for numbers in (one, other)]
        first, last = (float(np.linalg.norm(runs[0][t][0] - runs[1][t][0], float(norm))) for t in (0, -1))
    return one, first, last


def _norm(matrix: Any, norm: Any) -> float:
    return float(np.linalg.norm(matrix, float(norm)))


def _exceeds(cell: Cell, evidence: Evidence) -> bool:
    """Whether a step drives two states further apart than the rate allows, in both norms."""
    known = {s.name: s for s in map(norm_symbol, cell.parameters)}
    rate = from_plain(evidence["rate"], known)
    for norm in NORMS:
        found = _changes(cell, evidence, norm)
        if found is None:
            return False
        numbers, first, last = found
        sizes = {s: _norm(numbers.parameters[_recurrent(cell).name], norm) for s in rate.free_symbols}
        if not last > first * float(rate.xreplace(sizes)) * (1 + 1e-6):
            return False
    return True


def _check_exceeds(document: Evidence) -> bool:
    cell, evidence = cell_of(document), document["counterexample"]
    known = {s.name: s for s in map(norm_symbol, cell.parameters)}
    return says(document, _spoken_changes(cell, from_plain(evidence["rate"], known))) and _exceeds(
        cell, evidence
    )


def _stay_apart(cell: Cell, evidence: Evidence) -> bool:
    """Whether two runs whose weights meet the condition end no nearer than they began."""
    limit = float(sympy.Rational(evidence["limit"]))
    for norm in NORMS:
        found = _changes(cell, evidence, norm)
        if found is None or not _norm(found[0].parameters[_recurrent(cell).name], norm) < limit:
            return False
        if len(found[0].inputs) < STEPS or not found[2] >= found[1] > 0:
            return False
    return True


def _check_apart(document: Evidence) -> bool:
    cell, evidence = cell_of(document), document["counterexample"]
    limit = sympy.Rational(evidence["limit"])
    return says(document, _spoken_condition(cell, limit)) and _stay_apart(cell, evidence)


@cache
def _claims() -> tuple[Claim, ...]:
    found: list[Claim] = []
    for phi in ACTIVATIONS.values():
        if phi.lipschitz.is_Rational:
            subject = with_activation("vanilla", phi)
            found += [
                steepest_slope("A1", phi),
                finite_changes(subject, phi.lipschitz * norm_symbol(_recurrent(subject).name)),
                vanishes_if(subject, 1 / phi.lipschitz),
            ]
    return tuple(found)


THEOREM = Theorem(
    name="A1",
    title="Vanishing changes in a vanilla cell",
    statement="‖Δsₜ₊ₖ‖ / ‖Δsₜ‖ ≤ ‖γW‖ᵏ for finite changes; so ‖W‖ < 1/γ suffices for changes to vanish: "
    "‖W‖ < 4 for σ, ‖W‖ < 1 for tanh",
    latex=r"\frac{\|\Delta s_{t+k}\|}{\|\Delta s_t\|} \le \|\gamma W\|^k, \qquad \gamma = \sup|\varphi'|",
    source="r2rt, Written Memories (2016), a mathematically sufficient condition for vanishing sensitivity",
    cells=("vanilla",),
    assumptions=(
        "any φ of the table with a finite sup|φ′|",
        "‖·‖ the 2-norm or the ∞-norm",
        "the same inputs",
    ),
    prove=lambda: list(_claims()),
)
