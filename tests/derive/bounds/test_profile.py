"""|a| of a row's coefficients: which bars fall, which variables count with their size alone."""

import pytest
import sympy
from sympy import Abs, S

import derive
from derive import Cell, Parameter, State, Vector, relu, sigmoid, softsign, tanh
from derive.bounds.profile import Profile, profile
from derive.bounds.ranges import Range, Ranges, symmetric
from derive.bounds.rows import state_rows
from tests.derive.bounds.brute import POOL, k, r, s, y, z


def symbol(name: str) -> sympy.Symbol:
    return sympy.Symbol(name, real=True)


Z, R, Y, K, S_ = (symbol(n) for n in ("zₜ", "rₜ", "yₜ", "kₜ", "sₜ₋₁"))


def body(*coefficients: sympy.Expr, squares: tuple[sympy.Expr, ...] = ()) -> sympy.Expr:
    """The body with every weight 1, multiplied out."""
    found = profile(POOL, coefficients, squares)
    return sympy.expand(found.body.xreplace(dict.fromkeys(found.weights, S.One)))


@pytest.mark.parametrize(
    ("coefficient", "expected"),
    [
        (z, Z),
        (z - 1, 1 - Z),  # the range decides the sign
        (-z * (1 - z), Z - Z**2),
        (y**2 - 1, 1 - Y**2),
        (-3 * y, 3 * Y),  # Y is |y|
        (s.prev - y, S_ + Y),
        (y - s.prev, S_ + Y),
        (2 * s.prev - y / 3, 2 * S_ + Y / 3),
        ((s.prev - y) * z * (1 - z), (S_ + Y) * (Z - Z**2)),
        ((s.prev - y) * (1 - y**2), (S_ + Y) * (1 - Y**2)),
        (s.prev - z, S_ + Z),  # s has both signs
        (2 * z - 1, Abs(2 * Z - 1)),
        (z - r, Abs(Z - R)),  # neither has: |z - r| ≤ 1
        (1 - y, 1 - Y),  # y with its sign
    ],
)
def test_one_coefficient(coefficient: sympy.Expr, expected: sympy.Expr) -> None:
    assert sympy.expand(body(coefficient) - expected) == 0


def test_which_variables_count_with_their_size() -> None:
    found = profile(POOL, [(s.prev - y) * (1 - z), 1 - k])
    assert found.absolute == {S_, Y}
    assert found.signed == {K}
    assert dict(found.variables) == {S_: s.prev, Y: y, Z: z, K: k}
    ranges = Ranges(POOL, {s.prev: Range(S(-3), S(2))}, norm=None)
    assert found.range_of(S_, ranges) == Range(S.Zero, S(3), positive=True)
    assert found.range_of(K, ranges) == symmetric(1)
    assert found.range_of(Z, ranges) == Range(S.Zero, S.One)


def test_a_sign_that_two_sums_need_stays() -> None:
    """|s - y| + |s + y| is 2 at most, and |s| + |y| twice would say 4."""
    found = profile(POOL, [s.prev - y, s.prev + y])
    assert found.absolute == frozenset()
    assert found.signed == {S_, Y}


def test_a_sign_that_stands_outside_of_bars_stays() -> None:
    assert profile(POOL, [y + z, 1 - y]).signed == {Y}
    assert profile(POOL, [s.prev - y, 1 - y]).absolute == {S_}


def test_a_sign_of_y_squared_is_no_sign() -> None:
    found = profile(POOL, [s.prev - y, 1 - y**2, y**4])
    assert found.absolute == {S_, Y}
    assert sympy.expand(found.body.coeff(found.weights[2]) - Y**4) == 0


def test_squares_come_after_and_are_squared() -> None:
    found = profile(POOL, [z], [s.prev - y, 1 - z])
    m0, m1, m2 = found.weights
    assert sympy.expand(found.body - (m0 * Z + m1 * (S_ + Y) ** 2 + m2 * (1 - Z) ** 2)) == 0


def test_opaque_slopes_are_not_negative() -> None:
    a, b = State("a"), Parameter("b", "n")
    W = Parameter("W", "n", "n")
    for phi in (softsign, relu):
        cell = Cell("opaque", {a: phi(W @ a.prev + b)})
        ((term,),) = (row.terms for row in state_rows(cell))
        found = profile(cell, [-2 * term.coefficient])
        ((variable, node),) = found.variables
        assert found.body == 2 * found.weights[0] * variable
        assert found.signed == found.absolute == frozenset()
        assert Ranges(cell, {}, norm=None)(node) == Range(S.Zero, S.One)


def test_two_nodes_of_one_look_have_two_names() -> None:
    """A vector that is named like a weight, or like a root's q, is still told apart."""
    q, m0, a = Vector("q"), Vector("m0"), State("a")
    W, V = Parameter("W", "n", "n"), Parameter("V", "n", "n")
    cell = Cell(
        "names",
        {
            q: sigmoid(W @ a.prev),
            m0: tanh(V @ a.prev),
            a: q * m0 / sympy.sqrt(derive.variance(a.prev) + 1) + a.prev / 2,
        },
    )
    found = profile(cell, [q * m0 / sympy.sqrt(derive.variance(a.prev) + 1)])
    assert len(found.variables) == 3
    assert len(set(dict(found.variables).values())) == 3
    assert len(found.weights) == 1
    assert found.weights[0] not in dict(found.variables)


def row_profile(name: str) -> Profile:
    (row,) = state_rows(derive.cell(name))
    return profile(derive.cell(name), [t.coefficient for t in row.terms])


def test_of_the_gru() -> None:
    """z m₀ + (1 - z)(1 - s̃²) m₁ + (|s| + |s̃|) z (1 - z) m₂, in whatever order."""
    found = row_profile("gru")
    s_tilde = symbol("s̃ₜ")
    shapes = {sympy.expand(found.body.coeff(m)) for m in found.weights}
    expected = (Z, (1 - Z) * (1 - s_tilde**2), (S_ + s_tilde) * Z * (1 - Z))
    assert shapes == {sympy.expand(e) for e in expected}
    assert found.absolute == {S_, s_tilde}


def test_of_no_coefficients() -> None:
    assert profile(POOL, []).body == 0
