"""A step in scaled variables: whatever is unbounded is its bound times a number in [-1, 1].

The past of s is |s| u, W v is ‖W‖ |v| u, an unbounded φ(a) is (|φ(0)| + L |a|) u, each node with a u of its
own; what an activation bounds is a variable in its range.  So a vector becomes a polynomial in variables of a
finite box whose coefficients are polynomials in bounds that are not negative: |next| ≤ bound holds if it does
for the coefficient of every monomial of these bounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import sympy

from derive.activations import Activation, a
from derive.bounds.invariant import rational_ends
from derive.bounds.ranges import Range, Ranges
from derive.bounds.symbols import input_symbol, norm_symbol, state_symbol
from derive.cell import Cell
from derive.decide.bernstein import tensor
from derive.symbols import Activated, Input, Linear, MeanMap, Parameter, Previous, Vector

MOST_VARIABLES = 6
Ends = tuple[Fraction, Fraction]


class Scaled:
    """The scaled form of a cell's expressions; ``box`` collects the variables, ``scales`` the bounds."""

    def __init__(self, cell: Cell, past: Mapping[str, Ends] | None = None) -> None:
        """``past`` has the boxes of bounded states; any other is its bound times a number in [-1, 1]."""
        self.cell = cell
        self.past = dict(past or {})
        self.box: dict[sympy.Symbol, Ends] = {}
        self.scales: set[sympy.Symbol] = set()
        self._known: dict[sympy.Expr, sympy.Expr] = {}

    def __call__(self, expr: sympy.Expr) -> sympy.Expr:
        """The polynomial; ``sympy.nan`` in it where there is no such form."""
        if expr not in self._known:
            self._known[expr] = sympy.expand(self._visit(expr))
        return self._known[expr]

    def _visit(self, expr: sympy.Expr) -> sympy.Expr:
        if isinstance(expr, Previous) and expr.label in self.past:
            return self._unit(*self.past[expr.label])
        if isinstance(expr, Previous):
            return self._scale(state_symbol(expr.label)) * self._unit()
        if isinstance(expr, Input):
            return self._scale(input_symbol(expr.name)) * self._unit()
        if isinstance(expr, Parameter):
            return self._scale(norm_symbol(expr.name)) * self._unit()
        if isinstance(expr, Vector):
            return self(self.cell.equations[expr])
        if isinstance(expr, Linear):
            norm = 1 if isinstance(expr.map, MeanMap) else self._scale(norm_symbol(expr.map.name))
            return norm * self.magnitude(self(expr.vector)) * self._unit()
        if isinstance(expr, Activated):
            return self._activated(expr, expr.activation)
        if expr.is_Pow and not (expr.exp.is_Integer and expr.exp > 0):
            return self._root(expr)
        return expr.func(*(self(arg) for arg in expr.args)) if expr.args else expr

    def _activated(self, expr: Activated, phi: Activation) -> sympy.Expr:
        low, high = phi.range.inf, phi.range.sup
        argument = self.interval(self(expr.argument))
        if argument is not None and phi.monotone:
            ends = Range(*(phi.formula.subs(a, sympy.Rational(end)) for end in argument))
            return self._unit(*rational_ends(ends))
        if low.is_Rational and high.is_Rational:
            ends = Range(low, high)
            sign = self.sign(self(expr.argument)) if phi.monotone else 0
            if sign:  # tanh of what is not negative is not negative
                middle = phi.formula.subs(a, 0)
                ends = Range(middle, high) if sign > 0 else Range(low, middle)
            return self._unit(*rational_ends(ends))
        if not phi.lipschitz.is_Rational:
            return sympy.nan
        at_zero = abs(phi.formula.subs(a, 0))
        _, top = rational_ends(Range(at_zero, at_zero), denominator=1000)  # log 2 is at most 347/500
        reach = sympy.Rational(top) + phi.lipschitz * self.magnitude(self(expr.argument))
        return reach * self._unit(Fraction(-1 if low < 0 else 0), Fraction(1 if high > 0 else 0))

    def _root(self, expr: sympy.Expr) -> sympy.Expr:
        found = Ranges(self.cell, {}, norm=None)(expr)
        if not (found.low.is_Rational and found.high.is_Rational):
            return sympy.nan
        return self._unit(_fraction(found.low), _fraction(found.high))

    def interval(self, polynomial: sympy.Expr) -> Ends | None:
        """A polynomial's values, by its Bernstein form, or, of many variables, monomial by monomial; None
        where it has a bound in it."""
        if polynomial.free_symbols - self.box.keys() or polynomial.has(sympy.nan):
            return None
        used = sorted(polynomial.free_symbols, key=str)
        if 0 < len(used) <= MOST_VARIABLES:
            form = tensor(sympy.Poly(polynomial, *used), [self.box[v] for v in used])
            return min(form.flat), max(form.flat)
        low = high = Fraction(0)
        for term in sympy.Add.make_args(polynomial):
            number, rest = term.as_coeff_Mul()
            if not isinstance(number, sympy.Rational):
                return None
            ends = (_fraction(number), _fraction(number))
            for symbol, power in rest.as_powers_dict().items():
                if symbol == 1:
                    continue
                raised = _raised(self.box[symbol], int(power))
                products = [x * y for x in ends for y in raised]
                ends = (min(products), max(products))
            low, high = low + ends[0], high + ends[1]
        return low, high

    def sign(self, polynomial: sympy.Expr) -> int:
        """1 where it is never negative, -1 where it is never positive, else 0; bounds are not negative."""
        scales = sorted(polynomial.free_symbols & self.scales, key=str)
        if not scales or polynomial.has(sympy.nan):
            return 0
        parts = [self.interval(c) for c in sympy.Poly(polynomial, *scales).coeffs()]
        if all(p is not None and p[0] >= 0 for p in parts):
            return 1
        return -1 if all(p is not None and p[1] <= 0 for p in parts) else 0

    def magnitude(self, polynomial: sympy.Expr) -> sympy.Expr:
        """A bound of the absolute value: every monomial at its largest."""
        largest = {v: sympy.Rational(max(abs(low), abs(high))) for v, (low, high) in self.box.items()}
        total = sympy.S.Zero
        for term in sympy.Add.make_args(sympy.expand(polynomial)):
            number, rest = term.as_coeff_Mul()
            total += abs(number) * rest.xreplace(largest)
        return total

    def _scale(self, symbol: sympy.Symbol) -> sympy.Symbol:
        self.scales.add(symbol)
        return symbol

    def _unit(self, low: Fraction = Fraction(-1), high: Fraction = Fraction(1)) -> sympy.Symbol:
        symbol = sympy.Symbol(f"u{len(self.box) + 1}")
        self.box[symbol] = (low, high)
        return symbol

    def slacks(self, polynomial: sympy.Expr, bound: sympy.Expr) -> list[sympy.Expr] | None:
        """What has to be ≥ 0 on the box for |polynomial| ≤ bound; None where there is no such form."""
        scales = sorted(self.scales | bound.free_symbols, key=str)
        found: list[sympy.Expr] = []
        for sign in (1, -1):
            difference = sympy.expand(bound + sign * polynomial)
            if difference.has(sympy.nan, sympy.oo, sympy.zoo) or not difference.is_polynomial(*scales):
                return None
            poly = sympy.Poly(difference, *scales) if scales else None
            found += poly.coeffs() if poly else [difference]
        return [s for s in dict.fromkeys(found) if s != 0]


def _fraction(number: sympy.Rational) -> Fraction:
    return Fraction(int(number.p), int(number.q))


def _raised(ends: Ends, power: int) -> Ends:
    powers = [end**power for end in ends]
    if power % 2 == 0 and ends[0] <= 0 <= ends[1]:
        return Fraction(0), max(powers)
    return min(powers), max(powers)
