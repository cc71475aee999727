"""Which equation belongs to which phase, and what of an equation can move to an earlier one."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

import sympy

from codegen.lowering.names import Names, describe
from codegen.plan import SpreadMean
from derive.symbols import (
    Input,
    Linear,
    MeanMap,
    Parameter,
    Previous,
    Quantity,
    State,
    Vector,
    atoms,
    substitute,
)
from derive.wellformed import axes_of

Equations = Mapping[Vector, sympy.Expr]


class Level(IntEnum):
    """What a value depends on: parameters, the input, a state; LATE: a state, but no state reads it."""

    ONCE = 0
    BEFORE = 1
    STEP = 2
    LATE = 3


def named_again(equations: Equations) -> dict[Vector, sympy.Expr]:
    """The equations with each right side that occurs inside another replaced by its name.

    ``h = o * tanh(c); y = tanh(c)`` becomes ``h = o * y; y = tanh(c)``.
    """
    name_of: dict[sympy.Expr, Vector] = {}
    for symbol, expr in equations.items():
        if expr.args:
            name_of.setdefault(expr, symbol)

    def rename(expr: sympy.Expr, own: Vector | None) -> sympy.Expr:
        if name_of.get(expr, own) != own:
            return name_of[expr]
        return expr.func(*(rename(arg, None) for arg in expr.args)) if expr.args else expr

    return {symbol: rename(expr, symbol) for symbol, expr in equations.items()}


def spread_means(expr: sympy.Expr) -> sympy.Expr:
    """Mark the means to be written at full width: where an equation or operand is made of means alone."""
    if _is_uniform(expr):
        return _spread(expr)
    if isinstance(expr, Linear):
        return Linear(expr.map, spread_means(expr.vector))
    return expr.func(*(_spread_operands(arg) for arg in expr.args)) if expr.args else expr


def _spread_operands(expr: sympy.Expr) -> sympy.Expr:
    if isinstance(expr, Linear) and not isinstance(expr.map, MeanMap):
        return Linear(expr.map, spread_means(expr.vector))
    return expr.func(*(_spread_operands(arg) for arg in expr.args)) if expr.args else expr


def _is_uniform(expr: sympy.Expr) -> bool:
    """Whether every unit has the same value, since all that is not a number comes from means."""
    if isinstance(expr, Linear):
        return isinstance(expr.map, MeanMap)
    vectors = [arg for arg in expr.args if isinstance(arg, sympy.Expr) and axes_of(arg)]
    return bool(vectors) and all(_is_uniform(arg) for arg in vectors)


def _spread(expr: sympy.Expr) -> sympy.Expr:
    if isinstance(expr, Linear):
        return Linear(SpreadMean(expr.map.name, *expr.map.axes), expr.vector)
    return expr.func(*(_spread(arg) for arg in expr.args)) if expr.args else expr


class Levels:
    """The level of every equation, and of any expression in the equations' symbols."""

    def __init__(self, equations: Equations) -> None:
        self._of: dict[Quantity, Level] = {}
        for symbol in equations:
            self._settle(symbol, equations)
        needed = _needed(equations, [s for s in equations if isinstance(s, State)])
        self.equations: dict[Vector, Level] = {
            symbol: Level.LATE
            if self._of[symbol] == Level.STEP and symbol not in needed
            else self._of[symbol]
            for symbol in equations
        }

    def _settle(self, symbol: Vector, equations: Equations) -> None:
        # by demand, since an equation may read one that is written further down (see named_again)
        for q in atoms(equations[symbol]):
            if isinstance(q, Vector) and q not in self._of:
                self._settle(q, equations)
        self._of[symbol] = self(equations[symbol])

    def __call__(self, expr: sympy.Basic) -> Level:
        return max((self._atom(q) for q in expr.atoms(Quantity)), default=Level.ONCE)

    def _atom(self, quantity: Quantity) -> Level:
        if isinstance(quantity, Previous):
            return Level.STEP
        return Level.BEFORE if isinstance(quantity, Input) else self._of.get(quantity, Level.ONCE)


def _needed(equations: Equations, goals: list[Vector]) -> set[Vector]:
    """Everything that the goals read in the same step, themselves included."""
    found: set[Vector] = set()
    while goals:
        symbol = goals.pop()
        if symbol not in found:
            found.add(symbol)
            goals += [q for q in atoms(equations[symbol]) if isinstance(q, Vector)]
    return found


class Hoisting:
    """Moves out of the step what does not depend on a state; ``moved`` maps the pieces' names to them."""

    def __init__(self, equations: Equations, levels: Levels, names: Names) -> None:
        self.levels = levels
        self.names = names
        self.moved: dict[Vector, sympy.Expr] = {}
        self._known: dict[sympy.Expr, Vector] = {}
        self._once = {s: e for s, e in equations.items() if levels.equations[s] == Level.ONCE}

    def step(self, symbol: Vector, expr: sympy.Expr) -> sympy.Expr:
        """A step's right side without what can be computed earlier."""
        if self.levels(expr) < Level.STEP:
            return self._move(expr, symbol)
        if expr.is_Add or expr.is_Mul:
            early = [arg for arg in expr.args if not arg.is_Number and self.levels(arg) < Level.STEP]
            late = [
                self.step(symbol, arg) if arg not in early else arg for arg in expr.args if arg not in early
            ]
            return expr.func(*late, *self._move_group(expr.func, early, symbol))
        return expr.func(*(self.step(symbol, arg) for arg in expr.args)) if expr.args else expr

    def before(self, expr: sympy.Expr) -> sympy.Expr:
        """A right side of the phase before, with equations that read parameters alone written out."""
        while expr.atoms(Vector) & self._once.keys():
            expr = substitute(expr, self._once)
        return expr

    def _move_group(self, func: type[sympy.Expr], early: list[sympy.Expr], owner: Vector) -> list[sympy.Expr]:
        if all(isinstance(arg, Parameter) for arg in early):
            return early  # a bias or a diagonal matrix; the step's products take biases along
        return [self._move(func(*early), owner)]

    def _move(self, expr: sympy.Expr, owner: Vector) -> sympy.Expr:
        if not expr.args or not axes_of(expr):
            return expr
        if expr not in self._known:
            affine = expr.has(Linear) and (expr.is_Add or isinstance(expr, Linear))
            name = self.names.fresh(f"x_{owner.name}" if affine else describe(expr))
            self._known[expr] = Vector(name, *axes_of(expr))
            self.moved[self._known[expr]] = expr
        return self._known[expr]
