"""The rank-one terms of a normalization: where e is large, q is small."""

import numpy as np
import pytest
import sympy
from sympy import Rational

import derive
from derive import Cell, Parameter, State, Vector, bound, mean, tanh, variance
from derive.bounds.normalized import tamed
from derive.bounds.rows import state_rows
from derive.symbols import MeanMap

a, s = Vector("a"), State("s")
M, e = MeanMap(), a - mean(a)
W = Parameter("W", "n", "n")


def root(power: int, constant: sympy.Expr = sympy.S.One) -> sympy.Expr:
    """qᵏ."""
    return (variance(a) + constant) ** Rational(-power, 2)


@pytest.mark.parametrize("power", [1, 2, 3, 5])
@pytest.mark.parametrize("constant", [1, Rational(1, 4), 3])
def test_the_factor_is_the_supremum(power: int, constant: sympy.Expr) -> None:
    found = tamed(a * root(power, sympy.sympify(constant)), M, [e, -2 * a * e])
    assert found is not None
    coefficient, inner = found
    kappa = float(coefficient / a)
    spread = np.geomspace(1e-4, 1e4, 400_001)  # the mean of e²
    values = (spread + float(constant)) ** (-power / 2) * np.sqrt(spread)
    assert values.max() <= kappa * (1 + 1e-12)
    assert values.max() >= kappa * (1 - 5e-3 if power == 1 else 1 - 1e-5)
    assert inner == [1, -2 * a]


@pytest.mark.parametrize(
    ("coefficient", "linear", "inner"),
    [
        (a * root(3), W, [e]),  # no mean
        (a * root(3), M, [e, a]),  # a term that is large where q is not small
        (a * root(3), M, [a - 2 * mean(a)]),  # another deviation
        (a, M, [e]),  # no root
        (a / (mean(a) + 1) ** Rational(3, 2), M, [e]),  # no mean of squares
        (a * (variance(a) - 1) ** Rational(-3, 2), M, [e]),  # may be infinite
    ],
)
def test_what_is_no_such_term(coefficient: sympy.Expr, linear: object, inner: list[sympy.Expr]) -> None:
    assert tamed(coefficient, linear, inner) is None  # type: ignore[arg-type]


def test_the_mean_becomes_a_root_mean_square() -> None:
    """(1/n) Σ |eₖ| Rₖ q³ can exceed κ times the mean of R, but not κ times its root mean square."""
    kappa = 2 / (3 * np.sqrt(3))
    rng, above = np.random.default_rng(0), 0
    for _ in range(2000):
        deviation = rng.normal(size=6) * rng.exponential(2)
        deviation -= deviation.mean()
        rest = rng.exponential(size=6) ** 3
        value = (np.abs(deviation) * rest).mean() * ((deviation**2).mean() + 1) ** -1.5
        assert value <= kappa * np.sqrt((rest**2).mean()) * (1 + 1e-12)
        above += value > kappa * rest.mean()
    assert above > 0
    (row,) = state_rows(derive.cell("normalized-prototype"))
    assert [t.root_mean_square for t in row.terms] == [isinstance(t.map, MeanMap) for t in row.terms]
    assert sum(t.root_mean_square for t in row.terms) == 1


@pytest.mark.parametrize("norm", ["inf", 2])
def test_the_bound_holds_and_is_not_far(norm: object) -> None:
    """A state that is only normalized: s = a/√(Var(a) + 1), a = s' + tanh(W s')."""
    cell = Cell("normed", {a: s.prev + tanh(W @ s.prev), s: a / (variance(a) + 1) ** Rational(1, 2)})
    rng = np.random.default_rng(1)
    params = {"W": 0.3 * np.linalg.qr(rng.normal(size=(4, 4)))[0]}
    found = bound(cell, norm, states=1)
    limit = found.evaluate(params)
    assert limit <= found.evaluate(params, rigorous=True) * (1 + 1e-9)
    order = np.inf if norm == "inf" else 2
    jacobian, best = derive.step_jacobian(cell), 0.0
    for _ in range(1500):
        state = rng.choice([-1.0, 1.0], 4) * rng.uniform(size=4) ** rng.choice([0.0, 0.3, 1.0])
        best = max(best, np.linalg.norm(jacobian.evaluate(params, np.zeros(0), (state,)), order))
    assert best <= limit < 2.2 * best


def test_in_a_norm_that_looks_at_one_unit() -> None:
    """With d at one unit, (1/n) Σ |eₖ| d_k is far above what the mean of d would allow."""
    b = Parameter("b", "n")
    cell = Cell("divided", {a: s.prev + b, s: a / (variance(a) + 1) ** Rational(1, 2)})
    n, size = 16, 8**0.5
    state = np.zeros(n)
    state[:2] = size
    params, weights = {"b": np.zeros(n)}, np.full(n, 1e-9)
    weights[0] = 1.0
    found = bound(cell, "inf", states=size).weighted(params)
    (rows,) = found.row_bounds({s.prev: weights})
    reached = np.abs(derive.step_jacobian(cell).evaluate(params, np.zeros(0), (state,))) @ weights
    assert (reached <= rows).all()
    assert reached[1] > 0.5 * rows[1]
