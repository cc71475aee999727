"""A step at a setting: some vectors held at values, some parameters at multiples of I or at constants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import sympy

from derive.activations import Activation, Slope, a
from derive.calculus import Jacobian, jacobian
from derive.cell import Cell
from derive.claims.tools.pieces import Piece, pieces, saturates
from derive.claims.tools.plain import number_from_plain
from derive.symbols import Activated, Linear, MeanMap, Parameter, Previous, State, Vector, atoms


@dataclass(frozen=True)
class Setting:
    """Vectors held at values (of the closure of their range), and parameters.

    ``parameters`` has for a matrix the κ of κ I (0 for no map at all), for a vector the value of all entries.
    ``region`` is the open interval in which the entries of the state lie.
    """

    held: Mapping[Vector, sympy.Expr] = field(default_factory=dict)
    parameters: Mapping[Parameter, sympy.Expr] = field(default_factory=dict)
    region: tuple[sympy.Expr, sympy.Expr] = (-sympy.oo, sympy.oo)

    def to_plain(self) -> dict[str, Any]:
        return {
            "setting": {v.name: str(value) for v, value in self.held.items()},
            "parameters": {p.name: str(value) for p, value in self.parameters.items()},
            "region": [str(end) for end in self.region],
        }

    @classmethod
    def from_plain(cls, cell: Cell, data: Mapping[str, Any]) -> Setting:
        low, high = map(number_from_plain, data["region"])
        held = {cell.symbols[name]: number_from_plain(value) for name, value in data["setting"].items()}
        fixed = {cell.symbols[name]: number_from_plain(value) for name, value in data["parameters"].items()}
        if not all(isinstance(v, Vector) for v in held) or not all(isinstance(p, Parameter) for p in fixed):
            raise ValueError("a setting holds vectors and fixes parameters")
        return cls(held, fixed, (low, high))


class StepAt:
    """Expressions of a cell's step at a setting, in the past of one state."""

    def __init__(self, cell: Cell, state: State, setting: Setting) -> None:
        self.cell, self.past, self.setting = cell, state.prev, setting
        self._known: dict[sympy.Expr, sympy.Expr] = {}

    def __call__(self, expr: sympy.Expr) -> sympy.Expr:
        if expr not in self._known:
            self._known[expr] = sympy.expand(self._visit(expr))
        return self._known[expr]

    def _visit(self, expr: sympy.Expr) -> sympy.Expr:
        if expr in self.setting.held:
            return self.setting.held[expr]
        if isinstance(expr, Parameter) and len(expr.axes) == 1:
            return self.setting.parameters.get(expr, expr)
        if isinstance(expr, Vector):
            return self(self.cell.equations[expr])
        if isinstance(expr, Linear):
            return self._linear(expr)
        if isinstance(expr, Activated):
            return self._slope(expr) if isinstance(expr.activation, Slope) else self._activated(expr)
        return expr.func(*(self(arg) for arg in expr.args)) if expr.args else expr

    def _linear(self, expr: Linear) -> sympy.Expr:
        vector = self(expr.vector)
        scale = self.setting.parameters.get(expr.map)
        if vector == 0 or scale == 0 or (vector.is_number and isinstance(expr.map, MeanMap)):
            return sympy.S.Zero if scale == 0 else vector
        square = len(expr.map.axes) == 2 and expr.map.axes[0] == expr.map.axes[1]
        return Linear(expr.map, vector) if scale is None or not square else scale * vector

    def _activated(self, expr: Activated) -> sympy.Expr:
        argument = self(expr.argument)
        if argument.is_number:
            return expr.activation.formula.subs(a, argument)
        piece = self._piece(expr, argument)
        if piece is None or not piece.is_affine:
            return expr.activation(argument)
        return piece.slope * argument + piece.intercept

    def _slope(self, expr: Activated) -> sympy.Expr:
        """φ′ where it is known: 0 for a gate held at an end of its range, a number on an affine piece."""
        phi = sympy.sympify(expr.activation)
        for vector, value in self.setting.held.items():
            equation = self.cell.equations[vector]
            if (
                isinstance(equation, Activated)
                and (equation.activation.name, equation.argument) == (phi.name, expr.argument)
                and saturates(equation.activation, value)
            ):
                return sympy.S.Zero
        argument = self(expr.argument)
        piece = self._piece(expr, argument)
        return expr.activation(argument) if piece is None or not piece.is_affine else piece.slope

    def _piece(self, expr: Activated, argument: sympy.Expr) -> Piece | None:
        """The piece of the activation in which an affine argument of the state lies in the whole region."""
        branches = pieces(Activation(expr.activation.name))
        if argument.is_number:  # a kink has no slope
            return next((p for p in branches if p.low < argument and argument < p.high), None)
        slope = argument.coeff(self.past)
        if argument.free_symbols != {self.past} or not slope.is_number or argument.atoms(Linear, Activated):
            return None
        if sympy.expand(argument - slope * self.past).has(self.past):
            return None
        low, high = (argument.subs(self.past, end) for end in self.setting.region)
        low, high = (low, high) if slope > 0 else (high, low)
        return next((p for p in branches if p.contains(low, high)), None)


def returned(cell: Cell, state: State, setting: Setting) -> sympy.Expr:
    """What the step returns for the state, everything put in."""
    return StepAt(cell, state, setting)(state)


def block_is_identity(cell: Cell, state: State, setting: Setting) -> bool:
    """Whether ∂state/∂(its past) is I at the setting: the words add up to I, and none mixes units."""
    at = StepAt(cell, state, setting)
    diagonal = sympy.S.Zero
    for maps, coefficients in _words(jacobian(cell, state, state)):
        scales = [setting.parameters.get(m, m) for m in maps]
        product = [at(c) for c in coefficients]
        if any(factor == 0 for factor in (*scales, *product)):
            continue
        if not all(isinstance(scale, sympy.Number) for scale in scales):
            return False
        diagonal += sympy.Mul(*scales, *product)
    return bool(sympy.expand(diagonal) == 1)


def _words(block: Jacobian) -> Iterator[tuple[tuple[Any, ...], tuple[sympy.Expr, ...]]]:
    for word in block.words:
        yield word.maps, word.coefficients


def behind(cell: Cell, vectors: Mapping[Vector, Any]) -> set[Parameter]:
    """The parameters that vectors are computed from, within the step."""
    found: set[Parameter] = set()
    frontier: list[Any] = list(vectors)
    seen: set[Any] = set()
    while frontier:
        q = frontier.pop()
        if q in seen:
            continue
        seen.add(q)
        found |= {q} if isinstance(q, Parameter) else set()
        if isinstance(q, Vector) and not isinstance(q, Previous):
            frontier += atoms(cell.equations[q])
    return found
