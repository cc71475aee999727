"""Cell equations as z3 terms: an independent voice on the laws of the rules.

One unit of each vector is a real variable.  What is not elementwise arithmetic stays uninterpreted: a linear map is
a function of what it is applied to, one function for each matrix; so is an activation, and so is a fractional power,
of which only p(1) = 1 is known.  Intermediate vectors are put in as z3 terms, by this file alone: the engine's own
normal form, substitutions and graph are not used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy
import z3

from derive import Activated, Cell, Linear, Step
from derive.symbols import Input, Parameter, Previous, State, Vector

TIMEOUT = 5_000
"""Milliseconds for one query."""

Terms = dict[str, Any]
_REAL = z3.RealSort()


class Translation:
    """The step of one cell as z3 terms, after a substitution in its right sides.

    ``names`` renames quantities of the other cell to this one's: where ``old`` is a name of a quantity, the z3
    variable is called ``names[old]``.
    """

    def __init__(self, cell: Cell, substitution: Mapping[Any, Any], names: Mapping[str, str] | None = None) -> None:
        self.cell = cell
        self.substitution = dict(substitution)
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
        if not replaced and expr in self.substitution:
            return self(sympy.sympify(self.substitution[expr]), replaced=True)
        if isinstance(expr, Previous):
            return z3.Real(f"{self._name(expr.label)} before")
        if isinstance(expr, Vector | State):
            return self._vector(expr)
        if isinstance(expr, Input | Parameter):
            return z3.Real(self._name(expr.name))
        if isinstance(expr, Linear):
            return z3.Function(f"{self._name(expr.map.name)} @", _REAL, _REAL)(self(expr.vector, replaced=replaced))
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


def differ(before: Terms, after: Terms, axioms: list[Any]) -> Any:
    """The answer of z3 to: can a common state's next value, or the output, differ?  (unsat: no)"""
    common = sorted(before.keys() & after.keys())
    solver = z3.Solver()
    solver.set("timeout", TIMEOUT)
    solver.add(*axioms)
    solver.add(z3.Or([before[name] != after[name] for name in common]))
    return solver.check()


def law(step: Step, before: Mapping[Any, Any] | None = None, after: Mapping[Any, Any] | None = None) -> Any:
    """z3's answer to: can the two cells differ where the step says that they agree?

    Other substitutions than the step's own may be given, and ``after`` cells other than its own are in the step.
    """
    ours, theirs = step.agreement
    names, values = {}, {}
    for old, new in (ours if before is None else before).items():
        if isinstance(new, type(old)) and not isinstance(old, sympy.Expr | Vector):
            names[old.name] = new.name
        values[old] = new
    if step.rule.name == "rename":  # its first mapping is from quantities to quantities, left sides too
        names = {q.name: r.name for q, r in values.items() if not isinstance(q, Previous)}
        values = {}
    first = Translation(step.before, values, names)
    second = Translation(step.after, theirs if after is None else after)
    a, b = first.step(), second.step()
    return differ(a, b, first.axioms + second.axioms)
