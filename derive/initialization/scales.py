"""How large a recurrent matrix starts: such that the step Jacobian at rest has spectral radius 1.

For a cell without a carry this is the article's minimum initialization, ‖γW‖ = 1 (r2rt, Written Memories,
2016; Saxe, McClelland and Ganguli, 2014, for orthogonal matrices): n E(w²) = 1/γ².  With a carry,
J = c I + Σ a W, independent matrices add in quadrature (the circular law: a sum of independent matrices is
one of the summed variance) and the carry shifts the disk of eigenvalues, so the radius is
|c| + √(Σ a² n E(w²)): the matrices have 1 - |c|, what the carry leaves.

The mean square of the singular values, c² + (1 - |c|)², is then below 1, on purpose.  To ask for a mean
square of 1 would need scales that grow as √T with the memory length T = 1/(1 - c), and eigenvalues of modulus
up to about 1 + √(2/T): some gradients would explode within the memory that is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import sympy

from derive.cell import Cell
from derive.errors import DeriveError
from derive.initialization.rest import is_uniform
from derive.initialization.shares import JacobianShares, jacobian_shares
from derive.symbols import Parameter

ROWS, COLUMNS = sympy.symbols("rows columns", positive=True)


@dataclass(frozen=True)
class Distribution:
    """A family of random matrices with one parameter p, in which all entries scale.

    ``parameter`` is the name of p; ``second_moment`` is E(w²) of an entry at p = 1, in :data:`ROWS` and
    :data:`COLUMNS`.
    """

    parameter: str
    second_moment: sympy.Expr

    def fitted(self, size: Any, rows: Any, columns: Any) -> sympy.Expr:
        """The p at which rows · E(w²) = size²."""
        moment = self.second_moment.subs({ROWS: rows, COLUMNS: columns}, simultaneous=True)
        return sympy.sympify(size) / sympy.sqrt(rows * moment)


DISTRIBUTIONS: Mapping[str, Distribution] = MappingProxyType(
    {
        "uniform": Distribution("half-width", sympy.Rational(1, 3)),
        "gaussian": Distribution("standard deviation", sympy.S.One),
        # the shorter sides are orthonormal: all entries' squares sum to the number of the shorter sides
        "orthogonal": Distribution("gain", 1 / sympy.Max(ROWS, COLUMNS)),
    }
)


@dataclass(frozen=True)
class Scale:
    """How large one matrix starts.

    ``size`` is √(rows · E(w²)), which is the spectral radius of a square matrix of independent entries and
    every singular value of an orthogonal one; None where the Jacobian at rest does not decide it, and then
    ``why`` says so.
    """

    size: sympy.Expr | None
    why: str = ""


def initial_scales(
    cell: Cell | str,
    biases: Mapping[str, Any] | None = None,
    weights: Mapping[str, Any] | None = None,
) -> dict[str, Scale]:
    """The size of every recurrent matrix at which the step Jacobian at rest has spectral radius 1.

    ``biases`` as in :func:`~derive.initialization.shares.jacobian_shares`.  The matrices that have a share
    there get equal sizes, or sizes in the ratio of ``weights`` (1 where not given).  With one such matrix the
    radius is that of the limit spectrum for independent entries; for an orthogonal matrix it is at most 1,
    and close to it, since the eigenvalues lie closely on the circle.  With several it is that of the absolute
    coefficients: in a block, products of equally many matrices add in quadrature, others linearly.  Raises
    :class:`~derive.errors.DeriveError` for a name that is no recurrent matrix with a share and for a weight
    that is not positive.

    >>> from derive.initialization import initial_scales
    >>> initial_scales("gru")["W"].size
    2
    """
    found = jacobian_shares(cell, biases)
    ratios = _ratios(found, weights or {})
    common = _critical(found, ratios)
    scales = {name: Scale(None, found.why(name)) for name in found.recurrent}
    for name in found.recurrent:
        if found[name]:
            scales[name] = common if common.size is None else Scale(ratios[name] * common.size)
    return scales


def _ratios(found: JacobianShares, given: Mapping[str, Any]) -> dict[str, sympy.Expr]:
    ratios = dict.fromkeys(found.recurrent, sympy.S.One)
    for name, weight in given.items():
        if not found[name]:  # raises for unknown names
            able = [other for other in found.recurrent if found[other]]
            raise DeriveError(
                f"{found.cell.name}: {name} has no share of the Jacobian to weigh: {found.why(name)}; "
                f"those that have: {', '.join(able) or 'none'}"
            )
        ratios[name] = sympy.sympify(weight)
        if not ratios[name].is_positive:
            raise DeriveError(
                f"{found.cell.name}: the weight of {name} is {weight}; expected a positive number"
            )
    return ratios


def _critical(found: JacobianShares, ratios: Mapping[str, sympy.Expr]) -> Scale:
    """The common size t at which the matrix of absolute coefficients has spectral radius 1.

    That matrix N(t) is non-negative: its radius grows with t, and is 1 at the smallest positive root of
    det(I - N(t)).
    """
    t = sympy.Symbol("t", positive=True)
    order = found.cell.states
    sums: dict[tuple[int, int, tuple[str, ...]], sympy.Expr] = {}
    for term in found.terms:
        if not is_uniform(term.coefficient):
            unknown = ", ".join(sorted(q.name for q in term.coefficient.atoms(Parameter)))
            return Scale(None, f"the Jacobian at rest depends on {unknown}")
        names = tuple(m.name for m in term.maps if isinstance(m, Parameter))
        place = order.index(term.of), order.index(term.wrt), names
        sums[place] = sums.get(place, sympy.S.Zero) + sympy.Abs(term.coefficient)
    squares: dict[tuple[int, int, int], sympy.Expr] = {}
    for (row, column, names), total in sums.items():
        sized = total * sympy.Mul(*(ratios[name] for name in names))
        at = row, column, len(names)
        squares[at] = squares.get(at, sympy.S.Zero) + sized**2
    n = sympy.zeros(len(order), len(order))
    for (row, column, power), square in squares.items():
        n[row, column] += sympy.sqrt(square) * t**power
    left = sympy.eye(len(order)) - n
    minors = (left[:k, :k].det().subs(t, 0) for k in range(1, len(order) + 1))
    if any(sympy.simplify(minor).is_nonpositive for minor in minors):
        return Scale(None, "the carries alone have spectral radius 1 or more: nothing is left")
    return _smallest_root(sympy.Poly(left.det(), t))


def _smallest_root(polynomial: sympy.Poly) -> Scale:
    coefficients = {k: c for (k,), c in polynomial.terms()}
    if set(coefficients) == {0}:
        return Scale(None, "no size of a matrix changes the spectral radius of the Jacobian at rest")
    if len(coefficients) == 2 and 0 in coefficients:
        ((power, highest),) = ((k, c) for k, c in coefficients.items() if k)
        size = (-coefficients[0] / highest) ** sympy.Rational(1, power)
        return Scale(sympy.simplify(size) if size.free_symbols else size)
    if not all(c.is_number for c in coefficients.values()):
        return Scale(None, "no closed form in the symbols of the biases; give numbers")
    rational = all(c.is_Rational for c in coefficients.values())
    roots = sympy.real_roots(polynomial) if rational else sympy.Poly(polynomial).nroots()
    return Scale(min(r for r in roots if r.is_real and r > 0))
