"""Maxima, minima and suprema that wait for numbers."""

import copy

import pytest
import sympy
from sympy import Abs, Rational, S, oo

from derive.bounds.expressions import Supremum, supremum_node
from derive.bounds.extremes import Greatest, Least, greatest
from derive.bounds.ranges import Range, symmetric

x, y, w = (sympy.Symbol(n, nonnegative=True) for n in "xyw")
v, u = sympy.Symbol("v", real=True), sympy.Symbol("u", real=True)
top = sympy.Symbol("z_bar", positive=True)


def test_numbers_are_compared_at_once() -> None:
    assert Greatest(1, 3, 2) == 3
    assert Least(1, 3, 2) == 1
    assert Greatest(x, 1, 3).args == Greatest(3, x).args
    assert Greatest(x, x) == x
    assert Least(x, 1, 3).args == (1, x)


def test_symbols_wait() -> None:
    both = Greatest(x, Least(y, 2))
    assert both.subs({x: 1, y: 5}) == 2
    assert both.xreplace({x: S(3), y: S.One}) == 3
    assert both.doit() == sympy.Max(x, sympy.Min(y, 2))
    assert str(both) == "max(min(2, y), x)"
    assert sympy.latex(Least(x, 1)) == r"\min\left(1, x\right)"
    assert both.is_nonnegative
    assert copy.deepcopy(both) == both


def test_greatest_leaves_out_what_is_never_above() -> None:
    assert greatest([x, x + y, 2 * y], {}) == Greatest(x + y, 2 * y)
    assert greatest([1 - top, top], {top: Rational(1, 2)}) == top  # z̄ ≥ 1/2
    assert greatest([1 - top, top], {top: S.Zero}) == Greatest(1 - top, top)


@pytest.mark.parametrize(
    ("body", "limits", "value"),
    [
        (v * (1 - v), [(v, 0, 1)], 1 / 4),
        (v * (1 - v), [(v, Rational(3, 4), 1)], 3 / 16),
        (v**2 * (1 - v), [(v, 0, 1)], 4 / 27),
        (v + (1 - v) * (1 - u**2) * 3, [(v, 0, 1), (u, 0, 1)], 3),
        (Abs(v - u), [(v, 0, 1), (u, 0, Rational(1, 2))], 1),
        (Abs(v - u) + Abs(v + u), [(v, -1, 1), (u, -1, 1)], 2),
        (Abs(2 * v - 1) * v, [(v, 0, Rational(3, 4))], 3 / 8),
    ],
)
def test_a_supremum_of_numbers_is_a_number(body: sympy.Expr, limits: list[object], value: float) -> None:
    found = Supremum(body, *limits)
    assert found.is_number
    assert value <= float(found) <= value + 2e-6


def test_a_supremum_waits_for_its_symbols_and_keeps_its_variables() -> None:
    node = Supremum(v + x * (1 - v), (v, 1 - top, top))
    assert node.free_symbols == {x, top}
    assert node.bound_symbols == {v}
    assert node.subs(x, 3).free_symbols == {top}
    assert float(node.subs({x: 3, top: Rational(3, 4)})) == pytest.approx(2.5, abs=1e-5)
    assert float(node.xreplace({x: S.Zero, top: S.One})) == pytest.approx(1, abs=1e-5)
    assert str(node) == "sup[1 - z_bar ≤ v ≤ z_bar](v + x*(1 - v))"


def test_what_is_infinite_is_infinite() -> None:
    node = Supremum(v + x * (1 - v), (v, 0, y))
    assert node.subs({y: oo, x: 1}) == oo
    assert node.subs({y: 1, x: oo}) == oo
    assert Supremum(oo * v, (v, 0, 1)) == oo
    assert Supremum(x * v * (1 - v) + v, (v, 0, 1)).xreplace({x: oo}) == oo


def test_a_node_has_the_variables_that_its_body_has() -> None:
    box = {v: Range(S.Zero, top), u: symmetric(1), w: Range(S.Zero, S.One)}
    assert supremum_node(x + y, box) == x + y
    assert supremum_node(v * x, box) == Supremum(v * x, (v, 0, top))


def test_one_within_another() -> None:
    inner = Supremum(u * (1 - u) * y, (u, 0, 1))
    outer = Supremum(v * inner + (1 - v), (v, 0, 1))
    assert outer.free_symbols == {y}
    assert float(outer.subs(y, 8)) == pytest.approx(2, abs=1e-5)
    assert float(outer.subs(y, 1)) == pytest.approx(1, abs=1e-5)
