"""``bound(cell, norm)``: a bound of the step's Jacobian in the norms of the parameters, and in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy

from derive.activations import Slope
from derive.bounds.arithmetic import Arithmetic, Balls, Floats
from derive.bounds.boxes import Limits, step_intervals
from derive.bounds.condition import condition
from derive.bounds.extremes import greatest
from derive.bounds.norms import radius_below_one, spectral_norm
from derive.bounds.rows import state_rows
from derive.bounds.setting import Setting, setting
from derive.bounds.symbolic import SymbolicBounds
from derive.bounds.symbols import norm_symbol, read_norm, typeset_bound
from derive.bounds.weighted import WeightedBounds
from derive.calculus import step_jacobian
from derive.catalogue import cell as catalogued
from derive.cell import Cell
from derive.symbols import Activated, Previous

Params = Mapping[str, Any]


@dataclass(frozen=True)
class Bound:
    """A bound of the norm of ∂(all states now, stacked)/∂(all states one step earlier).

    ``norm`` is 2 or ∞ (``sympy.oo``).  It holds for all weights with the norms in ``norms``, on the box of
    states and inputs that ``assumptions`` states.
    """

    cell: Cell
    norm: Any
    setting: Setting

    @property
    def norms(self) -> Mapping[str, sympy.Symbol]:
        """Parameter name → the symbol of its norm: the induced norm of a matrix, max |bᵢ| of a vector."""
        return {name: norm_symbol(name) for name in self.cell.parameters}

    @property
    def states(self) -> Mapping[str, sympy.Symbol]:
        """State name → the symbol of its bound, for the states that nothing bounds yet."""
        return self.setting.symbols

    @property
    def gates(self) -> Mapping[sympy.Symbol, sympy.Expr]:
        """The symbols for the upper ends of gates and candidates, and what they stand for."""
        _ = self.in_gates, self.condition_in_gates  # which name them
        return dict(self.setting.ranges.gate_bounds)

    @property
    def assumptions(self) -> tuple[str, ...]:
        return self.setting.assumptions

    @property
    def losses(self) -> tuple[str, ...]:
        """What makes the bound larger than it need be: slopes that are no polynomials in their outputs."""
        coefficients = (c for block in step_jacobian(self.cell) for w in block.words for c in w.coefficients)
        slopes = {n for c in coefficients for n in c.atoms(Activated) if isinstance(n.activation, Slope)}
        found = {n.activation.name: n.activation.range for n in slopes}
        return tuple(
            f"the slope of {name} is known by its range [{r.inf}, {r.sup}] alone, not by its output"
            for name, r in sorted(found.items())
        )

    @cached_property
    def in_gates(self) -> sympy.Expr:
        """The bound with the upper ends of gates as symbols (:attr:`gates`)."""
        symbolic = SymbolicBounds(self.cell, self.setting.ranges)
        rows = state_rows(self.cell)
        if self.norm != 2:
            return greatest([symbolic.infinity(row) for row in rows], self.setting.ranges.tops)
        past = [Previous(s, *self.cell.axes(s)) for s in self.cell.states]
        blocks = [[symbolic.two(row.restricted(s)) for s in past] for row in rows]
        return _stacked(blocks)

    @cached_property
    def expr(self) -> sympy.Expr:
        """The bound in the symbols of ``norms`` (and of ``states``, where nothing bounds a state)."""
        return self.setting.put_in(self.in_gates)

    @cached_property
    def condition(self) -> Any:
        """A sufficient condition for contraction, hence for vanishing gradients; a SymPy Boolean.

        In closed form, in the symbols of ``norms`` and ``states``: for one state the supremum of a row stays
        below 1; for several the block matrix N of norms has a spectral radius below 1, which for N ≥ 0 says
        that all leading principal minors of I - N are positive.  :attr:`condition_in_gates` is the same with
        the upper ends of gates as symbols, as papers write it.
        """
        return self.setting.put_in(self.condition_in_gates)

    @cached_property
    def condition_in_gates(self) -> Any:
        """The condition in the symbols of ``norms``, ``states`` and ``gates``."""
        return condition(self.cell, self.norm, self.setting)

    def evaluate(
        self, params: Params, states: Limits = None, inputs: Limits = None, *, rigorous: bool = False
    ) -> float:
        """The bound for given weights, unit by unit: a float, infinite where nothing bounds it.

        ``states`` and ``inputs`` bound absolute values (numbers, arrays, or mappings by name) and replace
        what was given to :func:`bound`.  With ``rigorous`` in ball arithmetic, rounding included.
        """
        found = self.weighted(params, states, inputs, rigorous=rigorous)
        if self.norm != 2:
            return found.infinity_norm()
        blocks = found.block_norms()
        return spectral_norm(blocks)

    def holds(
        self, params: Params, states: Limits = None, inputs: Limits = None, *, rigorous: bool = False
    ) -> bool:
        """Whether the step contracts for these weights, by the sharpest method there is for the norm.

        For the ∞-norm that is contraction in some norm max |vᵢ|/dᵢ, for the 2-norm a spectral radius below 1
        of the matrix of block norms.  Wherever :attr:`condition` holds, this holds.
        """
        found = self.weighted(params, states, inputs, rigorous=rigorous)
        if self.norm != 2:
            return found.contracts() is not None
        blocks = found.block_norms()
        return bool(np.isfinite(blocks).all()) and radius_below_one(blocks)

    def weighted(
        self, params: Params, states: Limits = None, inputs: Limits = None, *, rigorous: bool = False
    ) -> WeightedBounds:
        """The bounds for given weights, for those who want more than a number."""
        numbers: Arithmetic = Balls() if rigorous else Floats()
        states = self.setting.states if states is None else states
        inputs = self.setting.inputs if inputs is None else inputs
        return WeightedBounds(self.cell, step_intervals(self.cell, params, numbers, states, inputs))

    def __str__(self) -> str:
        symbol = "₂" if self.norm == 2 else "∞"
        lines = [f"‖J‖{symbol} ≤ {typeset_bound(self.in_gates)}"]
        lines += [f"  with {typeset_bound(g)} = {typeset_bound(e)}" for g, e in self.gates.items()]
        lines += [f"  assuming {a}" for a in self.assumptions]
        lines += [f"  {loss}" for loss in self.losses]
        return "\n".join(lines)

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {sympy.latex(self.in_gates)}$"


def bound(cell: Cell | str, norm: Any = 2, *, states: Limits = None, inputs: Limits = None) -> Bound:
    """A bound of the norm of the one-step Jacobian of all states stacked, in the 2-norm or the ∞-norm.

    ``states`` and ``inputs`` bound absolute values, elementwise: a number, or a mapping by name (``states``
    may hold SymPy expressions).  By default a state is in its proved invariant interval (GRU: [-1, 1]) and
    the input may be anything; a state without such an interval stays a symbol, unless bounded inputs and the
    weights give it one: |s| ≤ r̄/(1 - c̄), with c̄ < 1 the supremum of the carry, r̄ that of what is written.

    >>> bound("vanilla", "inf").expr
    norm_W
    """
    subject = catalogued(cell)
    kind = read_norm(norm)
    return Bound(subject, kind, setting(subject, kind, states, inputs))


def _stacked(blocks: list[list[sympy.Expr]]) -> sympy.Expr:
    """A bound of the 2-norm of a block matrix by those of its blocks."""
    if len(blocks) == 1:
        return blocks[0][0]
    if any(b == sympy.oo for row in blocks for b in row):
        return sympy.oo
    return sympy.sqrt(sympy.Add(*(b**2 for row in blocks for b in row)))
