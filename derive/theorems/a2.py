"""A2: which cells carry a state, at which setting; which morph it whatever the setting and the weights.

A gated incremental write carries at one setting of its gates.  A vanilla cell carries only where its
activation is affine on an interval, and normalization loses the carry.  The claims are those that
:mod:`derive.claims.carry` and :mod:`derive.claims.morph` make about any cell.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import sympy

from derive.activations import ACTIVATIONS
from derive.anatomy import gate_factors, states, write
from derive.catalogue import catalogue
from derive.catalogue import cell as catalogued
from derive.cell import Cell
from derive.claim import Claim
from derive.claims import recheck_certificate
from derive.claims.carry import carries_at, carry
from derive.claims.morph import morphs
from derive.claims.tools.drives import zeros
from derive.decide import Problem, decide
from derive.evaluate import step
from derive.initialization import jacobian_shares
from derive.symbols import Activated, Input, Linear, MeanMap, Parameter, State, Vector, substitute
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
    with_activation,
)


def carries_or_morphs(cell: Cell | str) -> list[Claim]:
    """For every state of the cell: the setting that carries it, or that none and no weights do."""
    subject = catalogued(cell)
    found = []
    for state in states(subject):
        carried = carry(subject, state)
        found.append(carried if carried.status == "proved" else morphs(subject, state))
    return found


def table() -> list[tuple[str, str, Claim]]:
    """(cell, state, claim) for the whole catalogue: what carries, at which setting, and what morphs."""
    return [
        (name, claim.name.split("-", 1)[1], claim)
        for name in catalogue()
        for claim in carries_or_morphs(name)
    ]


def cannot_copy_input(cell: Cell | str) -> Claim:
    """No weights give s_t = x_t for every input: the state never leaves the range of its activation."""
    subject = catalogued(cell)
    (state,) = states(subject)
    spoken = {**_spoken_copy(subject, state), "cell": subject}
    expr = subject.equations[state]
    if not (isinstance(expr, Activated) and expr.activation.is_bounded):
        return open_question("A2", spoken, "the state is not bounded by its activation")
    decided = decide(_outside(expr))
    certificate = plain_decision(decided)
    if certificate is None:
        return open_question("A2", spoken, decided.method, decided.attempts)
    evidence = {"state": state.name, "input": str(_beyond(expr)), "decided": certificate}
    return fact("A2", spoken, evidence, "an input outside the range of the activation", _check_copy)


def _beyond(expr: Activated) -> sympy.Expr:
    return expr.activation.range.sup + 1


def _outside(expr: Activated) -> Problem:
    """On the closure of the range, the state is below the input."""
    value = sympy.Symbol("s")
    limits = expr.activation.range
    return Problem.of({value: (limits.inf, limits.sup)}, (value, "<", _beyond(expr)))


def _spoken_copy(cell: Cell, state: State) -> dict[str, Any]:
    phi = cell.equations[state].activation
    return {
        "name": f"no-copy-{phi.name}",
        "statement": f"no weights give {state.name}ₜ = xₜ for every xₜ, φ = {phi.text or phi.name}",
        "latex": rf"\nexists W, U, b\ \forall x_t: {state.name}_t = x_t",
    }


def _check_copy(document: Evidence) -> bool:
    """The decision by its second method; by the formula: its limits at both ends lie below the input."""
    cell, evidence = cell_of(document), document["certificate"]
    state = next(s for s in states(cell) if s.name == evidence["state"])
    expr = cell.equations[state]
    if not says(document, _spoken_copy(cell, state)) or not stands(_outside(expr), evidence["decided"]):
        return False
    grid = expr.activation.numpy(np.linspace(-1e3, 1e3, 2001))
    return bool(grid.max() < float(sympy.Rational(evidence["input"])))


def copies_input_nowhere(cell: Cell | str) -> Claim:
    """No weights give s_t = x_t on any open set of inputs: that would carry in the exchanged cell."""
    subject = catalogued(cell)
    (state,) = states(subject)
    spoken = {**_spoken_nowhere(subject, state), "cell": subject}
    other = exchanged(subject)
    found = morphs(other, states(other)[0])
    if found.status != "proved":
        return open_question("A2", spoken, found.method, found.attempts)
    evidence = {"exchanged": found.to_json()}
    return fact("A2", spoken, evidence, f"past and input exchanged: {found.method}", _check_nowhere)


def exchanged(cell: Cell) -> Cell:
    """The cell (m = n) that carries its state exactly where the given one outputs its input.

    Past and input change places, and so do the matrices that are applied to them.
    """
    (state,), (name,) = states(cell), cell.inputs
    x = Input(name, *cell.axes(name))
    swapped: dict[Any, Any] = {}
    for node in cell.equations[state].atoms(Linear):
        other = x if node.vector == state.prev else state.prev
        swapped[node] = Linear(Parameter(node.map.name, *state.axes, *other.axes), other)
    equations = {v: substitute(e, swapped) for v, e in cell.equations.items()}
    return cell.replace(name=f"{cell.name}-exchanged", equations=equations)


def _spoken_nowhere(cell: Cell, state: State) -> dict[str, Any]:
    phi = cell.equations[state].activation
    return {
        "name": f"no-copy-anywhere-{phi.name}",
        "statement": f"no weights give {state.name}ₜ = xₜ on an open set of xₜ, φ = {phi.text or phi.name}",
        "assumptions": ("m = n",),
    }


def _check_nowhere(document: Evidence) -> bool:
    """The claim about the exchanged cell by its own second method."""
    cell, inner = cell_of(document), document["certificate"]["exchanged"]
    same = inner["kind"] == "morphs" and cell_of(inner) == exchanged(cell)
    return says(document, _spoken_nowhere(cell, states(cell)[0])) and same and recheck_certificate(inner)


def identity_jacobian_at_rest(cell: Cell | str) -> Claim:
    """Although it morphs: with W = I/φ′(0) the Jacobian at s = x = b = 0 is I."""
    subject = catalogued(cell)
    shares = jacobian_shares(subject)
    (state,), (matrix,) = states(subject), shares.recurrent
    (term,) = shares[matrix]
    evidence = {"matrix": matrix, "scale": str(1 / term.coefficient), "state": state.name}
    spoken = {**_spoken_rest(subject, evidence), "cell": subject}
    if shares.matrix({matrix: 1 / term.coefficient}) != sympy.eye(1):
        return open_question("A2", spoken, f"the Jacobian at rest is {shares}")
    return fact("A2", spoken, evidence, "the words of the Jacobian at rest", _check_rest)


def _spoken_rest(cell: Cell, evidence: Evidence) -> dict[str, Any]:
    phi = cell.equations[cell.symbols[evidence["state"]]].activation
    name, matrix, scale = evidence["state"], evidence["matrix"], evidence["scale"]
    weights = f"{matrix} = {'' if scale == '1' else scale + ' '}I"
    return {
        "name": f"identity-at-rest-{phi.name}",
        "statement": f"with {weights}, ∂{name}ₜ/∂{name}ₜ₋₁ = I at s = x = b = 0, φ = {phi.text or phi.name}",
    }


def _check_rest(document: Evidence) -> bool:
    """By complex step through the reference evaluator, n = 3."""
    cell, evidence = cell_of(document), document["certificate"]
    if not says(document, _spoken_rest(cell, evidence)):
        return False
    numbers = zeros(cell, n=3, fill=0.0)
    numbers.parameters[evidence["matrix"]][...] = float(sympy.Rational(evidence["scale"])) * np.eye(3)
    columns = [
        step(cell, numbers.parameters, 0 * numbers.inputs[0], [1e-30j * unit])[evidence["state"]].imag / 1e-30
        for unit in np.eye(3)
    ]
    return bool(np.allclose(np.array(columns), np.eye(3), rtol=0.0, atol=1e-12))


def one_unit(cell: Cell) -> Cell:
    """The cell for n = 1, where a mean over units is the unit itself."""
    means = {
        node: node.vector
        for expr in cell.equations.values()
        for node in expr.atoms(Linear)
        if isinstance(node.map, MeanMap)
    }

    def put_in(expr: sympy.Expr) -> sympy.Expr:
        while found := {node: means[node] for node in expr.atoms(Linear) & means.keys()}:
            expr = substitute(expr, found)
        return expr

    return cell.replace(
        name=f"{cell.name}-of-one-unit", equations={v: put_in(e) for v, e in cell.equations.items()}
    )


def normalization_loses_the_carry(cell: Cell | str) -> Claim:
    """The setting at which the write before normalization carries does not return the state afterwards."""
    subject = catalogued(cell)
    (state,) = states(subject)
    keep = write(subject, state)
    setting = _opening(subject, keep.carry, 1) | _opening(subject, keep.increment, 0)
    refuted = carries_at(subject, state, setting)
    shown = refuted.counterexample or {}
    came = ", ".join(f"{v:.3f}" for v in shown.get("returns", ()))
    start = ", ".join(f"{v:g}" for v in (shown["run"]["state"][0] if shown else ()))
    at = ", ".join(f"{v.name} = {value}" for v, value in setting.items())
    return disproved(refuted, f"at {at} the step sends {state.name} = ({start}) to ({came})")


def _opening(cell: Cell, product: sympy.Expr, value: int) -> dict[Vector, int]:
    """The setting of the gates in a product at which it is the product without them, or 0."""
    factors = sympy.Mul.make_args(product)
    return {g: value if g in factors else 1 - value for g in gate_factors(cell, product)[:1]}


@cache
def _claims() -> tuple[Claim, ...]:
    found = [claim for _, _, claim in table()]
    for phi in ACTIVATIONS.values():
        subject = with_activation("vanilla", phi)
        found += carries_or_morphs(subject) if subject.name not in catalogue() else []
        if phi.is_bounded:
            found.append(cannot_copy_input(subject))
        if carries_or_morphs(subject)[0].kind == "morphs":
            found += [copies_input_nowhere(subject), identity_jacobian_at_rest(subject)]
    normalized = catalogued("normalized-prototype")
    found.append(normalization_loses_the_carry(normalized))
    found += carries_or_morphs(one_unit(normalized))
    return tuple(found)


THEOREM = Theorem(
    name="A2",
    title="What carries and what morphs",
    statement="a gated incremental write carries at f = 1, i = 0; a vanilla cell carries for no weights "
    "where φ is affine on no interval (tanh, σ), though its Jacobian at s = 0 can be I, and relu carries on "
    "s ≥ 0; nor can it output sₜ = xₜ; the normalized prototype sends (1, -1) to (0.707, -0.707) at "
    "f = 1, i = 0",
    latex=r"f = 1,\ i = 0 \implies s_t = s_{t-1},\ \frac{\partial s_t}{\partial s_{t-1}} = I; \qquad "
    r"\{s : \varphi(W s + b) = s\} \text{ has no interior}",
    source="r2rt, Written Memories (2016), information morphing, and the prototype LSTM",
    cells=catalogue(),
    assumptions=("a carry returns one state unchanged on an open set, and its diagonal Jacobian block is I",),
    prove=lambda: list(_claims()),
)
