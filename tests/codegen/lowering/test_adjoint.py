"""``adjoint``: gradients of single statements against complex step, names that are shared, and refusals."""

import dataclasses

import numpy as np
import pytest
import sympy
from sympy import Interval, Rational, oo

import codegen
import derive.activations
from codegen.errors import Unsupported
from codegen.loop import Backward, Mean, Transposed
from codegen.lowering import lower
from codegen.lowering.adjoint import adjoint, gradient_reads, slope
from codegen.lowering.flatten import flatten
from codegen.lowering.loop import lower_loop
from codegen.lowering.names import Names
from codegen.plan import Assignment, Part, Product
from derive import (
    ACTIVATIONS,
    Activated,
    Activation,
    Cell,
    Parameter,
    State,
    Vector,
    mean,
    sigmoid,
    tanh,
    variance,
)
from derive.activations import Definition, a
from tests.loops import Counting

s, v, w, u, p = State("s"), Vector("v"), Vector("w"), Vector("u"), Parameter("p", "n")
W, V, b = Parameter("W", "n", "n"), Parameter("V", "n", "n"), Parameter("b", "n")
N, ROWS = 4, 3


def back(forward, *, taken=(v, w), constants=(p,), exports=(u,)) -> Backward:
    """The adjoint of flat statements that bind u and leave the state s alone."""
    forward = (*forward, Assignment(s, s.prev))
    names = Names({"u", "v", "w", "s", "p"})
    return adjoint(forward, states=(s,), exports=exports, taken=taken, constants=constants, names=names)


def numbers(seed: int = 0):
    rng = np.random.default_rng(seed)
    shapes = {v: (ROWS, N), w: (ROWS, N), s.prev: (ROWS, N), p: (N,), W: (N, N), V: (N, N), b: (N,)}
    return {q: rng.uniform(0.3, 1.5, size=shape) for q, shape in shapes.items()}, rng


def assert_gradients_of(expr: sympy.Expr) -> None:
    """∂⟨c, u⟩ for u = expr, by v, w and p, against complex step."""
    forward = flatten([Assignment(u, expr)], Names({"u", "v", "w", "s", "p"}))
    found = back(forward)
    env, rng = numbers()
    count = Counting((ROWS,))
    values = {q: np.broadcast_to(x, (ROWS, N)) if q == p else x for q, x in env.items()}
    count.statements(forward, values, {"n": N})
    weight = rng.normal(size=(ROWS, N))
    values |= {found.arriving[u]: weight, found.carried[s]: np.zeros((ROWS, N))}
    count.statements(found.statements, values, {"n": N})
    sums = np.broadcast_to(count.formula(found.sums[p], values), (ROWS, N)).sum(0)
    gradients = {v: values[found.of_blocks[v]], w: values[found.of_blocks[w]], p: sums}
    for quantity, mine in gradients.items():
        for index in np.ndindex(*env[quantity].shape):
            moved = {q: x.astype(complex) for q, x in env.items()}
            moved[quantity][index] += 1e-30j
            exact = np.sum(weight * count.formula(expr, moved)).imag / 1e-30
            assert mine[index] == pytest.approx(exact, rel=1e-12, abs=1e-13), (quantity, index)


@pytest.mark.parametrize("phi", ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_slope_is_the_derivative(phi: Activation) -> None:
    x = np.linspace(-5.03, 5.01, 301)
    found = Counting(()).formula(slope(Activated(phi, v), u), {v: x, u: phi.numpy(x)})
    exact = phi.numpy(x + 1e-30j).imag / 1e-30
    np.testing.assert_allclose(np.broadcast_to(found, x.shape), exact, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("phi", ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_an_activation(phi: Activation) -> None:
    assert_gradients_of(phi(v * w - p) * p)


@pytest.mark.parametrize(
    "expr",
    [
        v * w + v - p,
        v**2 * w**3 - 2 * p,
        v ** Rational(1, 2) * w,
        w / v,
        w / (v * p + 1) ** Rational(3, 2),
        (v + w) ** Rational(-1, 2) + (v + w) ** Rational(2, 3),
        mean(v * w),
        mean(v) * w + mean(v * p) * v,
        v / (variance(v) + 1) ** Rational(1, 2),
        p * (v - mean(v)) / (variance(v) + Rational(1, 10)) ** Rational(1, 2) + w,
        tanh(mean(sigmoid(v) * w)) * sigmoid(v),
        mean(mean(v) * v) * w,
    ],
    ids=str,
)
def test_formulas(expr: sympy.Expr) -> None:
    assert_gradients_of(expr)


def test_a_gradient_that_is_one_other_is_that_one() -> None:
    """v and w enter as a sum: what arrives at u is the gradient of both, without a copy."""
    found = back([Assignment(u, v + w)])
    assert found.of_blocks == {v: found.arriving[u], w: found.arriving[u]}


def test_past_states_each_have_a_result_of_their_own() -> None:
    c = State("c")
    forward = [Assignment(u, s.prev + c.prev), Assignment(s, u), Assignment(c, u)]
    found = adjoint(forward, states=(s, c), exports=(), taken=(), constants=(), names=Names({"u"}))
    assert len(set(found.of_previous.values())) == 2


def test_what_nothing_depends_on_has_gradient_zero() -> None:
    found = back([Assignment(u, v * v)])
    assert Assignment(found.of_blocks[w], sympy.S.Zero) in found.statements
    assert found.sums == {p: sympy.S.Zero}
    assert all(not s.symbol.name.startswith("d_w_") for s in found.statements)


def test_a_value_that_nothing_reads_costs_nothing() -> None:
    unread = Vector("unread")
    found = back([Assignment(unread, tanh(v)), Assignment(u, v * w)])
    assert unread not in gradient_reads(found)


def test_a_mean_is_its_own_adjoint() -> None:
    row = Vector("row")
    found = back([Mean(row, v), Assignment(u, row * w)])
    (back_mean,) = [statement for statement in found.statements if isinstance(statement, Mean)]
    assert back_mean.expr == found.arriving[u] * w


def means_back(expr: sympy.Expr) -> int:
    found = back(flatten([Assignment(u, expr)], Names({"u", "v", "w", "s", "p"})))
    return sum(isinstance(statement, Mean) for statement in found.statements)


def test_the_mean_inside_a_variance_needs_no_way_back() -> None:
    """∂/∂μ of mean((v - μ)²) is a mean of v - μ: zero; elsewhere, and of other powers, it is not."""
    assert means_back(v / (variance(v) + 1) ** Rational(1, 2)) == 1
    assert means_back((v - mean(v)) / (variance(v) + 1) ** Rational(1, 2)) == 2
    cubes = mean((v - mean(v)) ** 3)
    assert means_back(w * cubes) == 2
    weighted = mean(p * (v - mean(v)) ** 2)
    assert means_back(w * weighted) == 2
    for expr in (w * cubes, w * weighted, v * variance(v)):
        assert_gradients_of(expr)


def test_a_product_transposes_and_each_part_has_its_own_gradient() -> None:
    """Two matrices of one vector, whose rows are added: one gradient, but two places in the stack."""
    first, second = Vector("first"), Vector("second")
    product = Product(v, (Part(first, u, W), Part(second, u, V)))
    found = back([product, Assignment(u, first + second)])
    gradients = found.of_parts[product]
    assert len(set(gradients)) == 2
    (transposed,) = [statement for statement in found.statements if isinstance(statement, Transposed)]
    assert (transposed.product, transposed.gradients) == (product, gradients)
    assert found.of_blocks[v] == transposed.symbol


def test_an_addend_has_the_gradient_of_its_part() -> None:
    row = Vector("row")
    product = Product(v, (Part(row, u, W, addend=w),))
    found = back([product, Assignment(u, tanh(row))])
    assert found.of_blocks[w] == found.of_parts[product][0]


def test_reads_are_forward_values_and_old_states_in_a_fixed_order() -> None:
    found = back([Assignment(u, v * s.prev)])
    assert list(gradient_reads(found)) == [v, s.prev]


@pytest.fixture
def swish(monkeypatch: pytest.MonkeyPatch) -> Activation:
    """x σ(x), declared without a derivative and without a slope."""
    definition = Definition(
        latex=r"\operatorname{swish}",
        formula=a / (1 + sympy.exp(-a)),
        numpy=lambda x: x * (0.5 + 0.5 * np.tanh(0.5 * x)),
        torch="F.silu",
        range=Interval(Rational(-279, 1000), oo),
        derivative=None,
        lipschitz=Rational(11, 10),
        monotone=False,
    )
    monkeypatch.setitem(derive.activations._DEFINITIONS, "swish", definition)
    return Activation("swish")


def test_an_activation_without_a_slope_is_refused(swish: Activation) -> None:
    cell = Cell("swishing", {s: swish(W @ s.prev + b)}, output=s)
    for sink in (False, True):
        with pytest.raises(Unsupported, match=r"activation swish declares neither a derivative nor a slope"):
            lower_loop(lower(cell), sink=sink)
    with pytest.raises(Unsupported, match="the eager backend leaves it to autograd"):
        codegen.emit(cell, "fused")
    assert "F.silu" in codegen.emit(cell, "eager")


def test_one_that_declares_a_slope_in_output_and_argument_is_taken(
    swish: Activation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """swish' = σ(a) + y (1 - σ(a))."""
    fraction = 1 / (1 + sympy.exp(-a))
    known = dataclasses.replace(
        derive.activations._DEFINITIONS["swish"], slope=fraction + derive.activations.y * (1 - fraction)
    )
    monkeypatch.setitem(derive.activations._DEFINITIONS, "swish", known)
    assert_gradients_of(swish(v * w) * p)
