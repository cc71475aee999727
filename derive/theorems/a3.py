"""A3: how large a vanilla cell's matrix starts, from the Jacobian at rest (:mod:`derive.initialization`).

At s = x = b = 0 the Jacobian is γW.  Only γW orthogonal makes all its singular values 1.  Independent entries
meet the mean square, n E(w²) = 1/γ², and no more: the mean fourth power is 2 - O(1/n), where equal values
would have 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any

import sympy

from derive.activations import ACTIVATIONS, Activation, a
from derive.catalogue import cell as catalogued
from derive.cell import Cell
from derive.claim import Claim
from derive.claims.tools.pieces import pieces
from derive.claims.tools.plain import from_plain, to_plain
from derive.decide import Problem, decide
from derive.errors import DeriveError
from derive.initialization import DISTRIBUTIONS, initial_scales, jacobian_shares
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

N = sympy.Symbol("n", positive=True)
GAMMA, SIZE, ENTRY = sympy.symbols("gamma p w", positive=True)
PUBLISHED: Mapping[str, sympy.Expr] = MappingProxyType(
    {
        "uniform": sympy.sqrt(3) / (GAMMA * sympy.sqrt(N)),
        "gaussian": 1 / (GAMMA * sympy.sqrt(N)),
        "orthogonal": 1 / GAMMA,
    }
)
"""What the article says (the Gaussian one it leaves to the reader): the comparison's other side."""
DENSITIES: Mapping[str, tuple[sympy.Expr, tuple[Any, Any]]] = MappingProxyType(
    {
        "uniform": (1 / (2 * SIZE), (-SIZE, SIZE)),
        "gaussian": (
            sympy.exp(-(ENTRY**2) / (2 * SIZE**2)) / (SIZE * sympy.sqrt(2 * sympy.pi)),
            (-sympy.oo, sympy.oo),
        ),
    }
)
"""The density of an entry and where it is not 0, with the parameter p of :data:`DISTRIBUTIONS`."""


def initial_size(cell: Cell | str) -> Claim:
    """n E(w²) = 1/γ² with γ the slope at rest, and every distribution's parameter, exactly as published."""
    subject, matrix, size = _size(cell)
    fitted = {name: d.fitted(size, N, N) for name, d in DISTRIBUTIONS.items()}
    evidence = {
        "matrix": matrix,
        "size": to_plain(size),
        "parameters": {name: to_plain(value) for name, value in fitted.items()},
    }
    spoken = {**_spoken_size(subject, size, fitted), "cell": subject}
    differing = [k for k, v in fitted.items() if sympy.simplify(v - PUBLISHED[k].subs(GAMMA, 1 / size)) != 0]
    if differing:
        return open_question("A3", spoken, f"not as published: {', '.join(differing)}")
    return fact("A3", spoken, evidence, "the spectral radius of the Jacobian at rest is 1", _check_size)


def _size(cell: Cell | str) -> tuple[Cell, str, sympy.Expr]:
    """The cell, its one recurrent matrix, and √(n E(w²)) for it."""
    subject = catalogued(cell)
    (matrix,) = jacobian_shares(subject).recurrent
    scale = initial_scales(subject)[matrix]
    if scale.size is None:
        raise DeriveError(f"{subject.name}: the Jacobian at rest decides no size of {matrix}: {scale.why}")
    return subject, matrix, scale.size


def _spoken_size(cell: Cell, size: sympy.Expr, fitted: Mapping[str, sympy.Expr]) -> dict[str, Any]:
    phi = _activation(cell)
    told = ", ".join(f"{name} {DISTRIBUTIONS[name].parameter} {_text(v)}" for name, v in fitted.items())
    steepest = "γ²" if 1 / size == phi.lipschitz else f"φ′(0)² (γ = {phi.lipschitz} is not reached at 0)"
    return {
        "name": f"initial-size-{phi.name}",
        "statement": f"n E(w²) = {size**2} = 1/{steepest}, φ = {phi.text or phi.name}: {told}",
        "assumptions": ("s = x = b = 0",),
        "latex": rf"n\,\mathbb{{E}}(w^2) = \frac{{1}}{{\gamma^2}} = {sympy.latex(size**2)}",
    }


def _check_size(document: Evidence) -> bool:
    """The slope at 0 from the formula; E(w²) by integrating the density, n times it is 1/γ²."""
    cell, evidence = cell_of(document), document["certificate"]
    size = from_plain(evidence["size"], {})
    fitted = {k: from_plain(v, {"n": N}) for k, v in evidence["parameters"].items()}
    if set(fitted) != set(DISTRIBUTIONS) or not says(document, _spoken_size(cell, size, fitted)):
        return False
    slope = _slope_at_rest(_activation(cell))
    if sympy.simplify(size * slope - 1) != 0 or sympy.simplify(fitted["orthogonal"] * slope - 1) != 0:
        return False
    second = {name: _moment(name, 2).subs(SIZE, fitted[name]) for name in DENSITIES}
    return all(sympy.simplify(N * moment * slope**2 - 1) == 0 for moment in second.values())


def _text(value: sympy.Expr) -> str:
    return str(value).replace("sqrt(3)", "√3").replace("sqrt(n)", "√n").replace("*", "")


def _activation(cell: Cell) -> Activation:
    (state,) = cell.states
    return cell.equations[cell.symbols[state]].activation


def _slope_at_rest(phi: Activation) -> sympy.Expr:
    """|φ′(0)|, the larger one at a kink."""
    around = [p for p in pieces(phi) if p.low <= 0 <= p.high]
    return max((abs(sympy.diff(p.formula, a).subs(a, 0)) for p in around), key=float)


@lru_cache(maxsize=16)
def _moment(distribution: str, order: int) -> sympy.Expr:
    """E(wᵏ) in p, by integration."""
    density, (low, high) = DENSITIES[distribution]
    return sympy.simplify(sympy.integrate(ENTRY**order * density, (ENTRY, low, high)))


def is_glorot(cell: Cell | str) -> Claim:
    """The uniform one is Glorot's for a square matrix, ±√6/√(m+n) with m = n; refuted where it differs."""
    subject, matrix, size = _size(cell)
    width = DISTRIBUTIONS["uniform"].fitted(size, N, N)
    evidence = {"matrix": matrix, "half-width": to_plain(width)}
    spoken = {**_spoken_glorot(subject), "cell": subject}
    if sympy.simplify(width - _glorot(N, N)) == 0:
        return fact("A3", spoken, evidence, "exact equality", _check_glorot)
    shown = {**evidence, "n": 4, "is": float(width.subs(N, 4)), "Glorot's is": float(_glorot(4, 4))}
    return refutation("A3", spoken, shown, "numbers", _check_glorot)


def _glorot(rows: Any, columns: Any) -> sympy.Expr:
    return sympy.sqrt(6) / sympy.sqrt(rows + columns)


def _spoken_glorot(cell: Cell) -> dict[str, Any]:
    phi = _activation(cell)
    return {
        "name": f"glorot-{phi.name}",
        "statement": f"φ = {phi.text or phi.name}: the uniform one is ±√6/√(m+n) with m = n",
        "latex": r"\frac{\sqrt{3}}{\gamma\sqrt{n}} = \frac{\sqrt{6}}{\sqrt{m + n}}\Big|_{m = n}",
    }


def _check_glorot(document: Evidence) -> bool:
    """Squares, which are rational, at four sizes: two functions c/n that agree at one n agree."""
    cell = cell_of(document)
    if not says(document, _spoken_glorot(cell)):
        return False
    slope = _slope_at_rest(_activation(cell))
    same = all(3 / (slope**2 * k) == _glorot(k, k) ** 2 for k in map(sympy.Integer, (1, 2, 7, 250)))
    return same == (document["status"] == "proved")


def orthogonal_is_exact(cell: Cell | str) -> Claim:
    """With W orthogonal times 1/γ the Jacobian at rest has JᵀJ = I: every singular value is 1."""
    subject, matrix, size = _size(cell)
    shares, gain = jacobian_shares(subject), DISTRIBUTIONS["orthogonal"].fitted(size, N, N)
    spoken = {**_spoken_orthogonal(subject, gain), "cell": subject}
    at_gain = shares.matrix({matrix: gain})  # the singular values of J, as W is normal
    evidence = {"matrix": matrix, "gain": to_plain(gain)}
    if sympy.simplify(at_gain.T * at_gain) != sympy.eye(1):
        return open_question("A3", spoken, f"the Jacobian at rest is {shares}")
    return fact("A3", spoken, evidence, "J = γW, one word", _check_orthogonal)


def _spoken_orthogonal(cell: Cell, gain: sympy.Expr) -> dict[str, Any]:
    phi = _activation(cell)
    return {
        "name": f"orthogonal-{phi.name}",
        "statement": f"W = {'' if gain == 1 else f'{gain} '}Q with QᵀQ = I, φ = {phi.text or phi.name}: "
        "every singular value of the Jacobian at rest is 1, and of no other W",
        "assumptions": ("s = x = b = 0",),
        "latex": r"J^\top J = I \iff \gamma W \text{ is orthogonal}",
    }


def _check_orthogonal(document: Evidence) -> bool:
    """JᵀJ for a rotation with rational entries, multiplied out; it is γ²WᵀW for any W."""
    cell = cell_of(document)
    gain = from_plain(document["certificate"]["gain"], {"n": N})
    rotation = sympy.Matrix([[3, -4], [4, 3]]) / 5
    jacobian = _slope_at_rest(_activation(cell)) * gain * rotation
    return says(document, _spoken_orthogonal(cell, gain)) and jacobian.T * jacobian == sympy.eye(2)


def independent_entries_spread(distribution: str) -> Claim:
    """γW of independent entries: the singular values' mean square is 1, their mean fourth power is not.

    E tr((γW)ᵀγW)²/n = n m₄ + 2 n (n - 1) m₂² with the moments of an entry of γW.  Equal values would have 1.
    """
    spoken = _spoken_spread(distribution)
    decided = decide(_spread_problem(distribution))
    certificate = plain_decision(decided)
    if certificate is None:
        return open_question("A3", spoken, decided.method, decided.attempts)
    evidence = {"distribution": distribution, "decided": certificate}
    return fact("A3", spoken, evidence, "the fourth moment of the singular values", _check_spread)


def _fourth_power(distribution: str) -> sympy.Expr:
    """The expected mean fourth power of the singular values of γW, in n."""
    scale = DISTRIBUTIONS[distribution].fitted(1, N, N)
    second, fourth = (_moment(distribution, k).subs(SIZE, scale) for k in (2, 4))
    return sympy.simplify(N * fourth + 2 * N * (N - 1) * second**2)


def _spread_problem(distribution: str) -> Problem:
    """It is above 1 for every n ≥ 1, multiplied by n."""
    n = sympy.Symbol("n")
    polynomial = sympy.expand(_fourth_power(distribution) * N).subs(N, n)
    return Problem.of({n: (1, sympy.oo)}, (polynomial, ">", n))


def _spoken_spread(distribution: str) -> dict[str, Any]:
    power = _fourth_power(distribution)
    return {
        "name": f"spread-{distribution}",
        "statement": f"{distribution} entries, n E(w²) = 1/γ²: the singular values of γW have mean square 1 "
        f"and mean fourth power {_text(sympy.expand(power))}, so they are not equal",
        "assumptions": ("independent entries", "means over W"),
        "latex": rf"\mathbb{{E}}\,\tfrac1n \operatorname{{tr}} \left((\gamma W)^\top \gamma W\right)^2 = "
        rf"{sympy.latex(sympy.expand(power))} > 1",
    }


def _check_spread(document: Evidence) -> bool:
    """The decision by its second method; the fourth power for n = 1 and 2 entry by entry."""
    evidence = document["certificate"]
    name = evidence["distribution"]
    if not says(document, _spoken_spread(name)) or not stands(_spread_problem(name), evidence["decided"]):
        return False
    return all(_entry_by_entry(name, k) == _fourth_power(name).subs(N, k) for k in (1, 2))


def _entry_by_entry(distribution: str, size: int) -> sympy.Expr:
    """E tr(WᵀW)²/n, every product of entries replaced by its expectation."""
    entries = sympy.Matrix(size, size, sympy.symbols(f"w:{size * size}"))
    scale = DISTRIBUTIONS[distribution].fitted(1, size, size)
    moments = {k: _moment(distribution, k).subs(SIZE, scale) for k in range(5)}
    square = entries.T * entries
    poly = sympy.Poly((square * square).trace(), *entries)
    total = sum(c * sympy.prod(moments[k] for k in powers) for powers, c in poly.terms())
    return sympy.simplify(total / size)


@cache
def _claims() -> tuple[Claim, ...]:
    found: list[Claim] = []
    for phi in ACTIVATIONS.values():
        subject = with_activation("vanilla", phi)
        found += [initial_size(subject), orthogonal_is_exact(subject)]
    found += [independent_entries_spread(name) for name in DENSITIES]
    return (*found, is_glorot("vanilla"))


THEOREM = Theorem(
    name="A3",
    title="Minimum initialization",
    statement="from ‖γW‖ = 1 with all singular values equal, n E(w²) = 1/γ²: uniform on ±√3/(γ√n), Gaussian "
    "with deviation 1/(γ√n), orthogonal with gain 1/γ; for tanh the uniform one is Glorot's, m = n",
    latex=r"n\,\mathbb{E}(w^2) = \frac{1}{\gamma^2}, \qquad r = \frac{\sqrt{3}}{\gamma\sqrt{n}}",
    source="r2rt, Written Memories (2016), a minimum weight initialization",
    cells=("vanilla",),
    assumptions=("s = x = b = 0", "W square"),
    prove=lambda: list(_claims()),
)
