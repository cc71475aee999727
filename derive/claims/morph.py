"""``morphs-s``: no setting of the gates and no weights return a state unchanged on an open set (A2).

Three methods.  *Affine nowhere*: where s = φ(something affine in the past), a return on an open set makes φ
affine on an interval.  *Far out*: with the gates and all other states at constants the step is real-analytic
in the state, so a return on an open set is a return everywhere; but the next state is k s plus something
bounded, with k < 1, so that no state far out is returned.  *Variance*: likewise, a normalized state has a
variance below 1, so that (10, -10) is never returned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import sympy

from derive.activations import a
from derive.anatomy import gates, states
from derive.bounds.invariant import inlined_to_activations, rational_ends
from derive.bounds.ranges import Ranges
from derive.bounds.symbols import state_symbol
from derive.calculus.differentiate import Differentiator
from derive.cell import Cell
from derive.claim import Claim
from derive.claims.tools.kind import Evidence, Kind, Tries, made, state_of
from derive.claims.tools.path import Path, is_mean_square, is_positive
from derive.claims.tools.pieces import Piece, affine_pieces, pieces
from derive.claims.tools.plain import from_plain, to_plain
from derive.claims.tools.scaled import Scaled
from derive.decide import Problem, decide, recheck
from derive.show.text import typeset
from derive.symbols import Activated, Linear, MeanMap, State, Vector, atoms, mean


@lru_cache(maxsize=1024)
def morphs(cell: Cell, state: State) -> Claim:
    """Whether the state morphs whatever the weights; ``unknown`` where no method shows it."""
    tries = Tries()
    for method, found in (
        ("affine nowhere", _affine_nowhere(cell, state)),
        ("variance", _variance(cell, state)),
        ("far out", _far_out(cell, state)),
    ):
        if found is not None:
            certificate = {"state": state.name, "method": method, **found}
            return made(
                cell,
                "morphs",
                status="proved",
                method=_METHODS[method],
                certificate=certificate,
                **_spoken(cell, state, certificate),
            )
        tries.note(method, "does not apply")
    spoken = _spoken(cell, state, {"method": ""})
    return made(cell, "morphs", status="unknown", method=tries.told, attempts=tuple(tries.attempts), **spoken)


_METHODS = {
    "affine nowhere": "a return on an open set would make the activation affine on an interval",
    "variance": "the step is analytic in the state, and its variance is below 1",
    "far out": "the step is analytic in the state, and returns no state that is far out",
}


def _spoken(cell: Cell, state: State, certificate: Evidence) -> dict[str, Any]:
    name = typeset(state.name)
    symbol = sympy.latex(sympy.Symbol(state.name))
    settings = "no setting of the gates and no weights return" if gates(cell) else "no weights return"
    return {
        "name": f"morphs-{state.name}",
        "statement": f"{settings} {name} unchanged on an open set",
        "latex": rf"\{{{symbol}_{{t-1}} : {symbol}_t = {symbol}_{{t-1}}\}}"
        r" \text{ has no interior, whatever the weights}",
        "assumptions": ("n ≥ 2 (for n = 1 the variance is 0)",)
        if certificate["method"] == "variance"
        else (),
    }


# affine nowhere


def _affine_nowhere(cell: Cell, state: State) -> dict[str, Any] | None:
    expr = cell.equations[state]
    if not isinstance(expr, Activated) or affine_pieces(expr.activation):
        return None
    path = Path(cell, state.prev)
    return {"activation": expr.activation.name} if path.degree(expr.argument) in (0, 1) else None


# variance


def _variance(cell: Cell, state: State) -> dict[str, Any] | None:
    parts = _normalization(inlined_to_activations(cell, state))
    if parts is None or not Path(cell, state.prev).is_analytic(cell.equations[state]):
        return None
    return {"added": str(parts[2]), "point": ["10", "-10"]}


def _normalization(expr: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr, sympy.Expr] | None:
    """``(A, D, c)`` of A / √(mean(D²) + c), with D the deviations of A from its mean."""
    roots = [f for f in sympy.Mul.make_args(expr) if f.is_Pow and f.exp == sympy.Rational(-1, 2)]
    if len(roots) != 1:
        return None
    shown = expr / roots[0]
    added, square = roots[0].base.as_coeff_Add()
    if not (added > 0 and is_mean_square(square) and isinstance(square, Linear)):
        return None
    deviation = square.vector.base
    centred = (shown, shown - mean(shown, square.map.axes[0]))
    return (shown, deviation, added) if deviation in centred else None


def _two_units(expr: sympy.Expr, values: Mapping[Any, tuple[Any, Any]]) -> tuple[sympy.Expr, sympy.Expr]:
    """An expression for n = 2, unit by unit: a mean is half the sum."""
    if expr in values:
        return values[expr]
    if isinstance(expr, Linear) and isinstance(expr.map, MeanMap):
        first, second = _two_units(expr.vector, values)
        return (first + second) / 2, (first + second) / 2
    if not expr.args:
        return expr, expr
    parts = [_two_units(arg, values) for arg in expr.args]
    return expr.func(*(p[0] for p in parts)), expr.func(*(p[1] for p in parts))


def _never_normalized_to(cell: Cell, state: State, point: tuple[Any, Any]) -> bool:
    """Second method: if A / r were the point, A = r times the point, and r² - mean(D²) - c has a sign."""
    parts = _normalization(inlined_to_activations(cell, state))
    if parts is None:
        return False
    shown, deviation, added = parts
    r = sympy.Symbol("r", real=True)
    units = (point[0] * r, point[1] * r)
    centre = _two_units(deviation - shown, {shown: units})
    square = sum((unit + shift) ** 2 for unit, shift in zip(units, centre, strict=True)) / 2
    residual = sympy.Poly(sympy.expand(r**2 - square - added), r)
    return bool(all(c <= 0 for c in residual.coeffs()) and residual.eval(0) < 0)


# far out


def _far_out(cell: Cell, state: State) -> dict[str, Any] | None:
    path = Path(cell, state.prev)
    if not path.is_analytic(cell.equations[state]):
        return None
    share = path.share(cell.equations[state])
    problem = None if share is None else _below_one(cell, share)
    decided = None if problem is None else decide(problem, seconds=2.0)
    if share is None or decided is None or decided.certificate is None:
        return None
    return {"share": to_plain(share), "decided": dict(decided.certificate)}


def _below_one(cell: Cell, share: sympy.Expr) -> Problem | None:
    """Over all values of the vectors in it, the share stays below 1."""
    ranges = Ranges(cell, {}, norm=None)
    found = {v: ranges(v) for v in sorted(share.free_symbols, key=str)}
    if any(not (r.is_number and r.is_finite) for r in found.values()) or not share.is_polynomial(*found):
        return None
    plain = {v: sympy.Symbol(str(v)) for v in found}
    box = {plain[v]: rational_ends(r) for v, r in found.items()}
    return Problem.of(box, (share.xreplace(plain), "<", 1))


def check(cell: Cell, claim: Evidence) -> bool:
    """Each method's conclusion another way: pieces of the formula, two units written out, intervals."""
    if claim["status"] != "proved":
        return False
    evidence = claim["certificate"]
    state = state_of(cell, evidence["state"])
    spoken = _spoken(cell, state, evidence)
    if claim["name"] != spoken["name"] or claim["statement"] != spoken["statement"]:
        return False
    if list(claim["assumptions"]) != list(spoken["assumptions"]):
        return False
    if evidence["method"] == "affine nowhere":
        return _curved(cell, state, evidence["activation"])
    if not _smooth(cell, state):
        return False
    if evidence["method"] == "variance":
        low, high = (sympy.Rational(part) for part in evidence["point"])
        return _never_normalized_to(cell, state, (low, high))
    if evidence["method"] == "far out":
        return _swallowed(cell, state, evidence)
    return False


def _curved(cell: Cell, state: State, name: str) -> bool:
    """The state is that activation, each of whose pieces leaves a line, and its argument's Jacobian by the
    past does not depend on the past."""
    expr = cell.equations[state]
    if not isinstance(expr, Activated) or expr.activation.name != name:
        return False
    if any(_is_straight(piece) for piece in pieces(expr.activation)):
        return False
    constant = {g: sympy.Symbol(f"{g.name}_held", real=True) for g in gates(cell)}
    equations = {v: e.xreplace(constant) for v, e in cell.equations.items()}
    terms = Differentiator(equations, state.prev)(expr.argument.xreplace(constant))
    inner = [c for tail, leading in terms.items() for c in (leading, *tail.coefficients)]
    path = Path(cell, state.prev)
    return not any(path.depends(c) for c in inner)


def _is_straight(piece: Piece) -> bool:
    """Whether three points of a piece, compared with 50 digits, may lie on a line."""
    low = piece.low if piece.low.is_finite else (piece.high if piece.high.is_finite else sympy.S.Zero) - 3
    high = piece.high if piece.high.is_finite else low + 3
    points = [low + (high - low) * sympy.Rational(k, 11) for k in (2, 5, 9)]
    first, second, third = (piece.formula.subs(a, p).evalf(50) for p in points)
    bend = (second - first) / 3 - (third - second) / 4
    return bool(abs(bend) < sympy.Float("1e-30", 50))


def _smooth(cell: Cell, state: State) -> bool:
    """Second method: the formula of every activation that the state depends on, gates at constants, has one
    piece; every root is of a positive number plus squares."""
    seen: set[Vector] = set()
    frontier: list[Any] = [state]
    while frontier:
        vector = frontier.pop()
        if vector in seen or vector in gates(cell) or vector not in cell.equations:
            continue
        seen.add(vector)
        expr = cell.equations[vector]
        frontier += atoms(expr)
        past = Path(cell, state.prev)
        for node in sympy.preorder_traversal(expr):
            if isinstance(node, Activated) and past.depends(node) and len(pieces(node.activation)) > 1:
                return False
            root = isinstance(node, sympy.Pow) and past.depends(node) and not node.exp.is_integer
            if root and not is_positive(node.base):
                return False
    return True


def _swallowed(cell: Cell, state: State, evidence: Evidence) -> bool:
    """The share is below 1 by its certificate's second method; by majorants |next| ≤ A |s| + β with A < 1."""
    share = from_plain(evidence["share"], cell.symbols)
    decided, problem = evidence["decided"], _below_one(cell, share)
    if problem is None or Problem.from_json(decided["problem"]) != problem or not recheck(decided):
        return False
    scaled, own = Scaled(cell), state_symbol(state.name)
    bound = sympy.expand(scaled.magnitude(scaled(state)))
    ratio = bound.coeff(own, 1)
    return bool(ratio.is_number and ratio < 1 and not sympy.expand(bound - ratio * own).has(own, sympy.nan))


def _prove(cell: Cell) -> Iterator[Claim]:
    from derive.claims.carry import carry

    for state in states(cell):
        if carry(cell, state).status != "proved":
            found = morphs(cell, state)
            if found.status == "proved":
                yield found


KINDS = (Kind("morphs", "no setting and no weights return the state unchanged", _prove, check, rank=2),)
