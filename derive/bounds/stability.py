"""``stability(cell, norm)``: input-to-state stability, from a bound of the state, not of its Jacobian.

A step is a *secant map*: an activation with φ(0) = 0 is φ(a) = d ⊙ a with |d| ≤ L, so a state that is a sum
of products, each with one factor that vanishes with states, input and biases, is

    s⁺ = A(gates) s + B(gates) u + C(gates) b,

linear, with the values of gates as coefficients: words like a Jacobian's, and bounded by the same rules.
With the norms of its blocks N (states), G (inputs, biases): |s⁺| ≤ N |s| + G_u |u| + G_b |b|, and a spectral
radius of N below 1 is stability with respect to inputs and biases (Sontag's ISS, with linear gains).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import sympy

from derive.activations import a
from derive.anatomy import states
from derive.bounds.arithmetic import Array, Balls, Floats
from derive.bounds.boxes import Limits, step_intervals
from derive.bounds.condition import one_row, positive_minors
from derive.bounds.ranges import Ranges
from derive.bounds.rows import Row, row
from derive.bounds.setting import Setting, setting
from derive.bounds.symbolic import SymbolicBounds
from derive.bounds.symbols import read_norm
from derive.bounds.weighted import WeightedBounds
from derive.calculus import Jacobian, Word
from derive.catalogue import cell as catalogued
from derive.cell import Cell
from derive.errors import DeriveError
from derive.symbols import Activated, Input, Linear, Parameter, Previous, Quantity, State, Vector

Words = list[tuple[Word, Quantity]]
"""Each word with the quantity that it applies to."""


@dataclass(frozen=True)
class Stability:
    """|s⁺| ≤ N |s| + Σ G |u| over all states, with ``norm`` 2 or ∞ and on the box that ``setting`` states.

    All entries are in the symbols of parameters' norms and of gates' upper ends, like those of
    :class:`derive.bounds.Bound`.
    """

    cell: Cell
    norm: Any
    setting: Setting

    @property
    def gates(self) -> Mapping[sympy.Symbol, sympy.Expr]:
        """The symbols for the upper ends of gates, and what they stand for."""
        return dict(self.setting.ranges.gate_bounds)

    @property
    def assumptions(self) -> tuple[str, ...]:
        return self.setting.assumptions

    @property
    def vanishes(self) -> bool:
        """Whether the step maps zero states, inputs and biases to zero states: nothing is stable without."""
        return all(found is not None for found in secant_rows(self.cell))

    @cached_property
    def blocks(self) -> sympy.Matrix:
        """N, states by states; infinite entries where the step does not vanish with what it reads."""
        return self._columns([s.prev for s in states(self.cell)])

    @cached_property
    def gains(self) -> Mapping[str, sympy.Matrix]:
        """Input or bias → its column of G, one entry a state."""
        names = (*self.cell.inputs, *self.cell.biases)
        return {name: self._columns([self.cell.symbols[name]]) for name in names}

    @cached_property
    def condition_in_gates(self) -> Any:
        """ρ(N) < 1 in closed form; a SymPy Boolean.

        For one state in the ∞-norm a factor such as 1 - z, positive on the box, is divided out first.
        """
        found = secant_rows(self.cell)
        kept = [r for r in found if r is not None]
        if len(kept) < len(found):
            return sympy.false
        if len(kept) == 1 and self.norm != 2:
            own = kept[0].restricted(states(self.cell)[0].prev)
            return one_row(self.cell, own, self._symbolic)
        return positive_minors(self.blocks)

    @cached_property
    def condition(self) -> Any:
        """The same with the upper ends of gates put in."""
        return self.setting.put_in(self.condition_in_gates)

    def weighted(
        self,
        params: Mapping[str, Any],
        states: Limits = None,
        inputs: Limits = None,
        *,
        rigorous: bool = False,
    ) -> Gains:
        """For given weights, unit by unit: ``.rate()`` is the factor of N in the best norm max |vᵢ|/dᵢ."""
        numbers = Balls() if rigorous else Floats()
        states = self.setting.states if states is None else states
        inputs = self.setting.inputs if inputs is None else inputs
        return Gains(self.cell, step_intervals(self.cell, params, numbers, states, inputs))

    def holds(
        self,
        params: Mapping[str, Any],
        states: Limits = None,
        inputs: Limits = None,
        *,
        rigorous: bool = False,
    ) -> bool:
        """Whether the cell with these weights is stable with respect to inputs and biases (∞-norm)."""
        found = self.weighted(params, states, inputs, rigorous=rigorous)
        return self.vanishes and found.contracts() is not None

    @cached_property
    def _symbolic(self) -> SymbolicBounds:
        return SymbolicBounds(self.cell, self.setting.ranges, closed=True)

    def _columns(self, columns: list[Quantity]) -> sympy.Matrix:
        return sympy.Matrix([[self._norm(r, q) for q in columns] for r in secant_rows(self.cell)])

    def _norm(self, secant: Row | None, column: Quantity) -> sympy.Expr:
        if secant is None:
            return sympy.oo
        block = secant.restricted(column)
        take = self._symbolic.two if self.norm == 2 else self._symbolic.infinity
        return take(block) if block.terms else sympy.S.Zero


class Gains(WeightedBounds):
    """The bounds of the secant map for given weights, by the machinery of the Jacobian's."""

    def row_bounds(self, weights: Mapping[Quantity, Array]) -> list[Array]:
        """For each state, unit by unit: the supremum of |s⁺| where |q| ≤ weights[q], and all else is 0.

        With weights for the past states alone: Σₖ |A_ik| d_k, of which :meth:`rate` finds the best d.
        """
        found = []
        for state, secant in zip(states(self.cell), secant_rows(self.cell), strict=True):
            if secant is None:
                raise DeriveError(f"{self.cell.name}: {state.name} does not vanish with what it reads")
            own = Row(tuple(term for q in weights for term in secant.restricted(q).terms))
            found.append(self._row(own, weights, self._size(state)))
        return found


def stability(
    cell: Cell | str, norm: Any = "inf", *, states: Limits = None, inputs: Limits = None
) -> Stability:
    """Input-to-state stability with linear gains; arguments as for :func:`derive.bound`.

    >>> stability("gru", inputs=1).condition_in_gates
    norm_W*r_bar < 1
    """
    subject = catalogued(cell)
    kind = read_norm(norm)
    return Stability(subject, kind, setting(subject, kind, states, inputs))


@lru_cache(maxsize=256)
def secant_rows(cell: Cell) -> tuple[Row | None, ...]:
    """The rows of the secant map in ``cell.states`` order; None for a state that does not vanish at zero."""
    free = Ranges(cell, {}, norm=None)
    return tuple(_row(cell, state, _words(cell, cell.equations[state], free)) for state in states(cell))


def _row(cell: Cell, state: State, words: Words | None) -> Row | None:
    if words is None:
        return None
    columns = dict.fromkeys(q for _, q in words)
    return row(Jacobian(cell, state, q, tuple(w for w, at in words if at == q)) for q in columns)


def _words(cell: Cell, expr: sympy.Expr, free: Ranges) -> Words | None:
    """``expr`` as a linear function of past states, input and biases; None where it has a constant part."""
    if isinstance(expr, Previous | Input):
        return [(Word((sympy.S.One,)), expr)]
    if isinstance(expr, Parameter):  # a peephole scales what it multiplies, only a bias is added
        return [(Word((sympy.S.One,)), expr)] if expr.name in cell.biases else None
    if isinstance(expr, Vector):
        return _words(cell, cell.equations[expr], free)
    if isinstance(expr, Activated):
        phi = expr.activation
        if phi.formula.subs(a, 0) != 0 or not phi.lipschitz.is_finite:
            return None
        return _scaled(phi.lipschitz, _words(cell, expr.argument, free))
    if isinstance(expr, Linear):
        inner = _words(cell, expr.vector, free)
        return inner and [(Word((sympy.S.One, *w.coefficients), (expr.map, *w.maps)), q) for w, q in inner]
    if expr.is_Add:
        parts = [_words(cell, arg, free) for arg in expr.args]
        return None if None in parts else [word for part in parts for word in part or ()]
    if expr.is_Mul:
        return _product(cell, expr, free)
    return None


def _product(cell: Cell, expr: sympy.Expr, free: Ranges) -> Words | None:
    """One factor that vanishes at zero is expanded; the others are coefficients, bounded if possible."""
    vanishing = [(f, words) for f in expr.args if (words := _words(cell, f, free)) is not None]
    if not vanishing:
        return None
    others = {f: expr / f for f, _ in vanishing}
    factor, words = next(((f, w) for f, w in vanishing if free(others[f]).is_finite), vanishing[0])
    return _scaled(others[factor], words)


def _scaled(coefficient: sympy.Expr, words: Words | None) -> Words | None:
    if words is None:
        return None
    return [(Word((coefficient * w.leading, *w.coefficients[1:]), w.maps), q) for w, q in words]
