"""γ = sup|φ′| from an activation's formula, and what becomes of a difference within a step."""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy

from derive.activations import ACTIVATIONS, Activation, a, y
from derive.bounds.symbols import norm_symbol
from derive.cell import Cell
from derive.claim import Claim
from derive.claims.tools.drives import FAR
from derive.claims.tools.pieces import Piece, pieces
from derive.decide import Problem, decide
from derive.symbols import Activated, Linear, MeanMap, Previous, Vector
from derive.theorems.tools.facts import Evidence, fact, open_question, plain_decision, says, stands

POINTS = (0, 1, -1, int(FAR), -int(FAR))
"""Where the slope is looked at; the last two stand for the limits."""


def steepest_slope(theorem: str, phi: Activation) -> Claim:
    """γ = sup|φ′| is what the activation declares: never more, by its formula; no less, at one argument."""
    point = steepest_point(phi)
    gamma = phi.lipschitz
    spoken = _spoken_slope(phi)
    problems = _slope_problems(phi)
    if problems is None:
        return open_question(theorem, spoken, "φ′ is rational neither in the argument nor in an exponential")
    if point is None:
        return open_question(theorem, spoken, "no argument is known at which |φ′| is γ")
    decisions = [decide(problem) for problem in problems]
    certificates = [plain_decision(d) for d in decisions]
    if not all(certificates):
        tried = tuple(attempt for d in decisions for attempt in d.attempts)
        return open_question(theorem, spoken, "a slope is not shown to be at most γ", tried)
    evidence = {"activation": phi.name, "gamma": str(gamma), "at": str(point), "decided": certificates}
    return fact(theorem, spoken, evidence, "the derivative of the formula, piece by piece", _check_slope)


def _slope_problems(phi: Activation) -> list[Problem] | None:
    """|φ′| ≤ γ on every piece, as polynomials: in e^(ka) > 0 where there are exponentials, else in a."""
    problems: list[Problem] = []
    for piece in pieces(phi):
        slope = sympy.together(sympy.diff(piece.formula, a).rewrite(sympy.exp))
        variable, box, body = _rational(slope, piece)
        above, below = sympy.fraction(sympy.cancel(body))
        if not (above.is_polynomial(variable) and below.is_polynomial(variable)):
            return None
        limit = phi.lipschitz * below**2  # above/below ≤ γ, times the square of the denominator
        problems += [Problem.of({variable: box}, (sign * above * below, "<=", limit)) for sign in (1, -1)]
    return problems


def _rational(slope: sympy.Expr, piece: Piece) -> tuple[sympy.Symbol, tuple[Any, Any], sympy.Expr]:
    """The slope in one variable: e^(ka), with k the greatest common divisor of the exponents, or a."""
    exponents = {node.exp.coeff(a) for node in slope.atoms(sympy.exp) if node.exp.coeff(a) * a == node.exp}
    if not exponents or any(not k.is_Rational for k in exponents):
        return a, (piece.low, piece.high), slope
    k = abs(sympy.gcd_list(sorted(exponents)))
    power = sympy.Symbol("e", positive=True)
    put_in = {sympy.exp(c * a): power ** (c / k) for c in exponents}
    return power, (0, sympy.oo), slope.xreplace(put_in)


def steepest_point(phi: Activation) -> sympy.Expr | None:
    """An argument at which |φ′| is γ, or ±40 where it comes as near as rounding can tell."""
    for piece in pieces(phi):
        for point in (x for x in map(sympy.Integer, POINTS) if piece.low <= x <= piece.high):
            end = point if abs(point) < FAR else sympy.oo * point
            if abs(sympy.limit(sympy.diff(piece.formula, a), a, end)) == phi.lipschitz:
                return point
    return None


def _spoken_slope(phi: Activation) -> dict[str, Any]:
    name = phi.text or phi.name
    return {
        "name": f"slope-{phi.name}",
        "statement": f"γ = sup|{name}′| = {phi.lipschitz}",
        "latex": rf"\sup |{phi.latex}'| = {sympy.latex(phi.lipschitz)}",
    }


def _check_slope(document: Evidence) -> bool:
    """The problems anew and by their second methods; by numbers, the slope at the point; where the activation
    declares φ′ as a polynomial in its output, that polynomial over the range."""
    evidence = document["certificate"]
    phi = ACTIVATIONS[evidence["activation"]]
    problems = _slope_problems(phi)
    if not says(document, _spoken_slope(phi)) or problems is None:
        return False
    if len(problems) != len(evidence["decided"]) or not all(map(stands, problems, evidence["decided"])):
        return False
    at, step = float(sympy.Rational(evidence["at"])), 1e-6
    sides = [abs(float(phi.numpy(np.array(at + s)) - phi.numpy(np.array(at)))) / step for s in (step, -step)]
    return bool(np.isclose(max(sides), float(phi.lipschitz), rtol=1e-5)) and _declared(phi)


def _declared(phi: Activation) -> bool:
    if phi.derivative is None or phi.derivative.is_number:
        return phi.derivative is None or abs(phi.derivative) <= phi.lipschitz
    ends = (phi.range.inf, phi.range.sup)
    both = [(sign * phi.derivative, "<=", phi.lipschitz) for sign in (1, -1)]
    return all(decide(Problem.of({y: ends}, question)).status == "proved" for question in both)


def difference(cell: Cell, expr: sympy.Expr) -> sympy.Expr:
    """A factor by which ‖Δs‖ bounds the change of an expression within a step; infinite where none is known.

    Unit by unit Δφ(a) is q Δa with |q| ≤ γ, and ‖diag(q) v‖ ≤ max|q| ‖v‖ in every absolute norm.
    """
    if isinstance(expr, Previous):
        return sympy.S.One
    if isinstance(expr, Vector):
        return difference(cell, cell.equations[expr])
    if isinstance(expr, Activated):
        return expr.activation.lipschitz * difference(cell, expr.argument)
    if isinstance(expr, Linear):
        inner = difference(cell, expr.vector)
        return inner if isinstance(expr.map, MeanMap) or inner == 0 else norm_symbol(expr.map.name) * inner
    if expr.is_Add:
        return sympy.Add(*(difference(cell, arg) for arg in expr.args))
    if expr.is_Mul:
        number, rest = expr.as_coeff_Mul()
        inner = difference(cell, rest) if rest != expr else sympy.oo
        return abs(number) * inner
    return sympy.S.Zero if not expr.has(Previous, Vector) else sympy.oo
