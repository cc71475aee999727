"""The point at which a cell starts: every vector of one step at s = x = 0 and the initial biases, exactly.

At rest all units of a vector have the same value, a number (or an expression in symbols that the biases were
given as), so a coefficient diag(a) of a Jacobian is a number times I.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy

from derive.activations import ACTIVATIONS, Activation, Slope, a
from derive.cell import Cell
from derive.errors import DeriveError, nearest
from derive.symbols import Activated, Input, Linear, LinearMap, MeanMap, Parameter, Previous, Quantity, atoms

Values = dict[Quantity, sympy.Expr]


def at_rest(cell: Cell, biases: Mapping[str, Any] | None = None) -> Values:
    """The value of every quantity at s = x = 0, with the biases 0 but for those given.

    ``biases`` maps names of vector parameters to numbers or SymPy symbols.  Vector parameters that are no
    biases (diagonal peepholes, gains) stay symbols unless given.  A vector that depends on a matrix at rest
    (``W @ tanh(b)``) keeps the opaque ``Linear`` in its value.  Raises :class:`~derive.errors.DeriveError`
    for names that are no vector parameters of the cell.
    """
    vectors = [name for name, axes in cell.parameters.items() if len(axes) == 1]
    known: Values = {cell.symbols[name]: sympy.S.Zero for name in cell.biases}
    for name, number in (biases or {}).items():
        if name not in vectors:
            listed = ", ".join(vectors) or "none"
            raise DeriveError(f"{cell.name} has no bias {name!r}{nearest(name, vectors)} It has: {listed}")
        known[cell.symbols[name]] = sympy.sympify(number)
    known |= {q: sympy.S.Zero for q in cell.symbols.values() if isinstance(q, Previous | Input)}
    for symbol, expr in cell.equations.items():
        known[symbol] = value(expr, known)
    return known


def value(expr: sympy.Expr, known: Mapping[Quantity, sympy.Expr]) -> sympy.Expr:
    """The value of an expression, given those of the quantities; a linear map of zero is zero."""
    if isinstance(expr, Quantity):
        return known.get(expr, expr)
    if isinstance(expr, Linear):
        operand = value(expr.vector, known)
        through = operand == 0 or (isinstance(expr.map, MeanMap) and is_uniform(operand))
        return operand if through else Linear(expr.map, operand)
    if isinstance(expr, Activated):
        operand = value(expr.argument, known)
        return applied(expr.activation, operand) if is_uniform(operand) else expr.activation(operand)
    return expr.func(*(value(arg, known) for arg in expr.args)) if expr.args else expr


def is_uniform(expr: sympy.Expr) -> bool:
    """Whether a value at rest is the same at every unit: nothing of the cell is left in it."""
    return not any(isinstance(q, Parameter | LinearMap) for q in atoms(expr))


def applied(activation: Activation, argument: sympy.Expr) -> sympy.Expr:
    """φ at a number, or φ' for a :class:`~derive.activations.Slope`.

    At a kink, where there is no φ', it is the Lipschitz constant γ = sup|φ'|: the slope on the steeper side,
    which is where a unit that learns sits (relu: 1, on the active side).
    """
    if isinstance(activation, Slope):
        base = ACTIVATIONS[activation.name]
        if argument in base.kinks:
            return base.lipschitz
    return activation.formula.subs(a, argument)
