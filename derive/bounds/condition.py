"""When a step contracts, in closed form."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sympy

from derive.bounds.profile import Profile, profile
from derive.bounds.rows import Row, state_rows
from derive.bounds.setting import Setting
from derive.bounds.symbolic import Box, SymbolicBounds, closed_supremum
from derive.cell import Cell
from derive.symbols import Previous


def condition(cell: Cell, norm: Any, setting: Setting) -> Any:
    """A SymPy Boolean in the symbols of norms, of states' bounds and of gates' upper ends.

    For one state in the ∞-norm, factors that are positive on the box are divided out of 1 - Σ |aⱼ| mⱼ first:
    z + (1 - z) Q < 1 says Q < 1 wherever z < 1.
    """
    symbolic = SymbolicBounds(cell, setting.ranges, closed=True)
    rows = state_rows(cell)
    if len(rows) == 1 and norm != 2:
        return one_row(cell, rows[0], symbolic)
    return positive_minors(block_matrix(cell, norm, symbolic))


def block_matrix(cell: Cell, norm: Any, symbolic: SymbolicBounds) -> sympy.Matrix:
    """N: a bound of the norm of every block, states by states."""
    past = [Previous(s, *cell.axes(s)) for s in cell.states]
    take = symbolic.two if norm == 2 else symbolic.infinity
    return sympy.Matrix([[take(row.restricted(s)) for s in past] for row in state_rows(cell)])


def positive_minors(blocks: sympy.Matrix) -> Any:
    """ρ(N) < 1 for N ≥ 0: all leading principal minors of I - N are positive (I - N is an M-matrix)."""
    if blocks.has(sympy.oo) or blocks.has(sympy.nan):
        return sympy.false
    difference = sympy.eye(blocks.rows) - blocks
    if blocks.rows == 1:
        return blocks[0, 0] < 1
    return sympy.And(*(_determinant(difference[:k, :k]) > 0 for k in range(1, blocks.rows + 1)))


def _determinant(matrix: sympy.Matrix) -> sympy.Expr:
    """By cofactors of the first row, not multiplied out: (1 - f̄)(1 - α) - …, as it is read."""
    if matrix.rows == 1:
        return matrix[0, 0]
    terms = (
        (-1) ** column * matrix[0, column] * _determinant(matrix.minor_submatrix(0, column))
        for column in range(matrix.rows)
    )
    return sympy.Add(*terms)


def one_row(cell: Cell, row: Row, symbolic: SymbolicBounds) -> Any:
    weights = [symbolic.factor(t) * (symbolic.infinity(t.rest) if t.rest else sympy.S.One) for t in row.terms]
    found = profile(cell, [t.coefficient for t in row.terms])
    box = {v: found.range_of(v, symbolic.ranges) for v, _ in found.variables}
    if any(not r.is_finite for r in box.values()):
        return sympy.false
    reduced, below_one = _divided(found, weights, box, symbolic.ranges.tops)
    total = sympy.S.Zero
    symbols = [sympy.Symbol(f"m{j}", nonnegative=True) for j in range(len(weights))]
    expanded = sympy.collect(sympy.expand(reduced), symbols, evaluate=False)
    for monomial, coefficient in expanded.items():
        weight = monomial.xreplace(dict(zip(symbols, weights, strict=True)))
        total += weight * closed_supremum(sympy.factor(coefficient), box, symbolic.ranges.tops)
    attained = sorted(below_one & symbolic.ranges.attained, key=str)
    return sympy.And(total < 1, *(top < 1 for top in attained))


def _divided(
    found: Profile, weights: list[sympy.Expr], box: Box, tops: Collection[sympy.Symbol]
) -> tuple[sympy.Expr, set[sympy.Expr]]:
    """Q with 1 - Σ mⱼ |aⱼ| = F (1 - Q) and F > 0 on the box, and which upper ends must be below 1 for that.

    Q is the sum itself where there is no such F.
    """
    ones = {m: w for m, w in zip(found.weights, weights, strict=True) if w == 1}
    body = found.body.xreplace(ones)
    below_one: set[sympy.Expr] = set()
    if body.atoms(sympy.Abs):
        return body, below_one
    constant, factors = sympy.factor_list(1 - body)
    rest = constant
    for factor, power in factors:
        sign = 1 if _is_positive(factor, box, tops) else -1 if _is_positive(-factor, box, tops) else 0
        rest *= sign**power if sign else factor**power
        if sign:
            below_one |= {box[v].high for v in factor.free_symbols}
    return sympy.expand(1 - rest), below_one


def _is_positive(factor: sympy.Expr, box: Box, tops: Collection[sympy.Symbol]) -> bool:
    """z or 1 - z for a gate whose upper end z̄ is below 1: affine, and positive at both ends of [1 - z̄, z̄]."""
    variables = factor.free_symbols
    if len(variables) != 1 or not variables <= set(box):
        return False
    (v,) = variables
    interval = box[v]
    gate = interval.high in tops and interval.low == 1 - interval.high
    if not gate or sympy.degree(factor, v) != 1:
        return False
    below = 1 / (2 + sympy.Dummy("d", nonnegative=True))  # 1 - z̄, in (0, 1/2]
    return all(sympy.together(factor.xreplace({v: end})).is_positive for end in (below, 1 - below))
