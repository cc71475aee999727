"""The linearization at zero, in symbols: zero biases, zero input, zero state, every weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import networkx as nx
import sympy

from derive.activations import Slope
from derive.calculus.blocks import StepJacobian, step_jacobian
from derive.calculus.polynomials import factored, folded
from derive.calculus.words import Word
from derive.catalogue import cell as catalogued
from derive.cell import Cell
from derive.errors import DeriveError
from derive.show.text import TextNotation, typeset
from derive.symbols import Activated, Input, MeanMap, Previous, substitute


class NotAnEquilibrium(DeriveError):
    """The state at which a linearization was asked for moves."""


@dataclass(frozen=True)
class Linearization:
    """δs_t = J δs_{t-1} near the zero state of a cell without input and biases.

    ``jacobian`` is J in blocks of words; ``spectrum`` gives its eigenvalues in closed form, with λ(W) for
    those of W, or is None where they are no function of single matrices' eigenvalues.
    """

    cell: Cell
    jacobian: StepJacobian
    spectrum: tuple[sympy.Expr, ...] | None

    def __str__(self) -> str:
        eigenvalues = "no closed form: those of the block matrix"
        if self.spectrum is not None:
            eigenvalues = " and ".join(map(str, self.spectrum))
        return f"{self.cell.name} at zero:\n{self.jacobian}\neigenvalues: {eigenvalues}"


def linearize(cell: Cell | str, at: str = "zero") -> Linearization:
    """The linearization at the zero state, with zero input and zero biases, for every value of the weights.

    Every vector's value there is computed exactly, from the formulas of the activations (σ(0) = ½), and put
    into the step's Jacobian (Pascanu, Mikolov and Bengio, 2013, for the vanilla cell).  Raises
    :class:`NotAnEquilibrium` where the step moves the zero state, with the values it moves to.  Equilibria
    elsewhere are found in numbers: :func:`derive.dynamics.equilibrium`.

    >>> from derive.dynamics import linearize
    >>> linearize("gru").spectrum
    (λ(W)/4 + 1/2,)
    """
    if at != "zero":
        raise DeriveError(
            f"at={at!r}: the only equilibrium known in symbols is at='zero'; "
            "for one in numbers use equilibrium(cell, params, inputs)"
        )
    subject = catalogued(cell)
    values = _values_at_zero(subject)
    jacobian = step_jacobian(subject).substituted(values)
    for kink in (node for block in jacobian for word in block.words for node in _kinks(word)):
        raise DeriveError(f"{subject.name}: not differentiable at zero: {kink.activation} jumps there")
    return Linearization(subject, jacobian, _closed_form(jacobian))


def _values_at_zero(cell: Cell) -> dict[sympy.Expr, sympy.Expr]:
    """Every vector, exactly, where states, inputs and biases are zero."""
    values: dict[sympy.Expr, sympy.Expr] = {
        q: sympy.S.Zero
        for name, q in cell.symbols.items()
        if isinstance(q, Previous | Input) or name in cell.biases
    }
    for symbol, expr in cell.equations.items():
        found = folded(substitute(expr, values))
        values[symbol] = found if found.is_Number else factored(found)
    moved = {s: values[cell.symbols[s]] for s in cell.states if values[cell.symbols[s]] != 0}
    if moved:
        notation = TextNotation(cell.equations)
        where = ", ".join(f"{typeset(s)} = {notation(value)}" for s, value in moved.items())
        raise NotAnEquilibrium(
            f"{cell.name}: zero is no equilibrium: from the zero state, with zero input and zero biases, "
            f"one step leads to {where}"
        )
    return values


def _kinks(word: Word) -> list[Activated]:
    """Slopes that are asked for at a kink, which :func:`folded` leaves standing."""
    nodes = (node for c in word.coefficients for node in c.atoms(Activated))
    return [n for n in nodes if isinstance(n.activation, Slope) and n.argument.is_Rational]


def _closed_form(jacobian: StepJacobian) -> tuple[sympy.Expr, ...] | None:
    """The eigenvalues, where the blocks can be ordered to a triangle of groups in one matrix each.

    The eigenvalues of a block-triangular matrix are those of its diagonal blocks.
    """
    states = jacobian.cell.states
    reads = nx.DiGraph([(of, wrt) for of in states for wrt in states if jacobian.block(of, wrt).words])
    reads.add_nodes_from(states)
    found: list[sympy.Expr] = []
    for group in nx.strongly_connected_components(reads):
        values = _in_one_matrix(jacobian, sorted(group, key=states.index))
        if values is None:
            return None
        found += values
    return tuple(sorted(set(found), key=sympy.default_sort_key))


def _in_one_matrix(jacobian: StepJacobian, group: Sequence[str]) -> list[sympy.Expr] | None:
    """The eigenvalues of blocks that are polynomials in one matrix W: those of P(λ) for every λ of W's.

    For W has a triangular form, in which each λ stands for W.
    """
    cell = jacobian.cell
    blocks = [[jacobian.block(of, wrt).words for wrt in group] for of in group]
    words = [word for row in blocks for block in row for word in block]
    maps = {m for word in words for m in word.maps}
    numbers = all(c.is_Number for word in words for c in word.coefficients)
    if not numbers or len(maps) > 1 or len(group) > 2 or any(len(cell.axes(s)) > 1 for s in group):
        return None
    λ, x = sympy.Symbol(f"λ({', '.join(m.name for m in maps)})"), sympy.Symbol("x")
    P = sympy.Matrix(
        [[sympy.Add(*(w.leading * λ ** len(w.maps) for w in block)) for block in row] for row in blocks]
    )
    found = [root.expand() for root in sympy.roots(P.charpoly(x).as_expr(), x)]  # at most of degree two
    if any(isinstance(m, MeanMap) for m in maps):  # its eigenvalues are 1, for the vector of ones, and 0
        return [value.subs(λ, number) for value in found for number in (0, 1)]
    return found
