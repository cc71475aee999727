"""Cell equations as z3 terms: an independent voice on the laws of the rules.

One unit of each vector is a real variable.  What is not elementwise arithmetic stays uninterpreted: a linear
map is a function of what it is applied to, one function for each matrix; so is an activation, and so is a
fractional power, of which only p(1) = 1 is known.  Intermediate vectors are put in as z3 terms, by this file
alone: the engine's normal form, substitutions and graph are not used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy
import z3

from derive import Activated, Cell, Linear, Step
from derive.symbols import Input, Parameter, Previous, Vector

TIMEOUT = 5_000
"""Milliseconds for one query."""

Terms = dict[str, Any]
_REAL = z3.RealSort()


class Translation:
    """The step of one cell as z3 terms, after a substitution in its right sides.

    ``names`` says what the quantities of this cell are called in z3, where not by their own names.
    """

    def __init__(self, cell: Cell, values: Mapping[Any, Any], names: Mapping[str, str] | None = None) -> None:
        self.cell = cell
        self.values = dict(values)
        self.names = dict(names or {})
        self.axioms: list[Any] = []
        self._terms: dict[Any, Any] = {}

    def step(self) -> Terms:
        """The next value of each state, by name, and the output under the name ``output``."""
        written = {symbol.name: symbol for symbol in self.cell.equations}
        terms = {self._name(s): self._vector(written[s]) for s in self.cell.states}
        if self.cell.output is not None:
            terms["output"] = self._vector(written[self.cell.output])
        return terms

    def _name(self, name: str) -> str:
        return self.names.get(name, name)

    def _vector(self, symbol: Vector) -> Any:
        if symbol not in self._terms:
            self._terms[symbol] = self(self.cell.equations[symbol])
        return self._terms[symbol]

    def __call__(self, expr: Any, *, replaced: bool = False) -> Any:
        """The z3 term of an expression; what a substitution puts in is not itself substituted again."""
        if not replaced and expr in self.values:
            return self(sympy.sympify(self.values[expr]), replaced=True)
        if isinstance(expr, Previous):
            return z3.Real(f"{self._name(expr.label)} before")
        if isinstance(expr, Vector):
            return self._vector(expr)
        if isinstance(expr, Input | Parameter):
            return z3.Real(self._name(expr.name))
        if isinstance(expr, Linear):
            product = z3.Function(f"{self._name(expr.map.name)} @", _REAL, _REAL)
            return product(self(expr.vector, replaced=replaced))
        if isinstance(expr, Activated):
            function = z3.Function(f"{expr.activation.name} of", _REAL, _REAL)
            return function(self(expr.argument, replaced=replaced))
        if expr.is_Rational:
            return z3.RealVal(f"{expr.p}/{expr.q}")
        if expr.is_Pow:
            return self._power(self(expr.base, replaced=replaced), expr.exp)
        parts = [self(arg, replaced=replaced) for arg in expr.args]
        if expr.is_Add:
            return z3.Sum(parts)
        if expr.is_Mul:
            return z3.Product(parts)
        raise TypeError(f"no z3 term for {type(expr).__name__}: {expr}")

    def _power(self, base: Any, exponent: sympy.Rational) -> Any:
        if exponent.is_Integer and exponent > 0:
            return z3.Product([base] * int(exponent))
        power = z3.Function(f"to the {exponent}", _REAL, _REAL)
        self.axioms.append(power(z3.RealVal(1)) == 1)
        return power(base)


def can_differ(first: Translation, second: Translation) -> Any:
    """z3's answer to: can the next value of a common state, or the output, differ?  (unsat: never)"""
    before, after = first.step(), second.step()
    solver = z3.Solver()
    solver.set("timeout", TIMEOUT)
    solver.add(*first.axioms, *second.axioms)
    solver.add(z3.Or([before[name] != after[name] for name in sorted(before.keys() & after.keys())]))
    return solver.check()


def law(step: Step) -> Any:
    """z3's answer to: can the two cells of a step differ where it says that they agree?"""
    values, others = step.agreement
    if step.rule.name == "rename":  # a map from names to names, left sides too
        names = {q.name: r.name for q, r in values.items() if not isinstance(q, Previous)}
        return can_differ(Translation(step.before, {}, names), Translation(step.after, others))
    return can_differ(Translation(step.before, values), Translation(step.after, others))
