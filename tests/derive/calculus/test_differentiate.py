"""The chain rule: within the ring as SymPy has it, a word across every linear map."""

from typing import Any

import pytest
import sympy
from sympy import Rational

from derive import Activated, Input, Parameter, State, Vector, mean, relu, sigmoid, softsign, tanh
from derive.activations import Slope, slope_of
from derive.calculus.differentiate import Differentiator
from derive.calculus.words import Tail, collected

s, x = State("s"), Input("x")
W, U, b = Parameter("W", "n", "n"), Parameter("U", "n", "m"), Parameter("b", "n")
f, g, y = Vector("f"), Vector("g"), Vector("y")
M = mean(s).map


def derivative(expr: Any, wrt: Any = s.prev, **equations: Any) -> Any:
    """Tail → coefficient, simplified."""
    table = {Vector(name): value for name, value in equations.items()}
    words = collected(Differentiator(table, wrt)(sympy.sympify(expr)))
    return {word.tail: word.leading for word in words}


@pytest.mark.parametrize(
    "expr",
    [
        s.prev,
        3 * s.prev - 1,
        s.prev**3 * f,
        (s.prev**2 + 1) ** Rational(-1, 2),
        (1 - s.prev) * (f + s.prev) / (s.prev**2 + 2),
        f * g,
        sympy.S.One,
        b,
    ],
)
def test_within_the_ring_it_is_sympys(expr: sympy.Expr) -> None:
    """f and g are constants here."""
    found = derivative(expr, f=b, g=b).get(Tail(), sympy.S.Zero)
    assert sympy.simplify(found - sympy.diff(expr, s.prev)) == 0


def test_a_linear_map_makes_a_word() -> None:
    assert derivative(W @ s.prev) == {Tail((W,), (1,)): 1}
    assert derivative(f * (W @ (g * s.prev)), f=b, g=b) == {Tail((W,), (g,)): f}
    assert derivative(W @ (W @ s.prev)) == {Tail((W, W), (1, 1)): 1}
    assert derivative(W @ f, f=b) == {}


def test_by_a_matrix_a_word_ends_in_what_it_is_applied_to() -> None:
    assert derivative(f * (W @ s.prev), W, f=b) == {Tail(operand=s.prev): f}
    # W acts twice: once for each place
    assert derivative(W @ (W @ s.prev), W) == {Tail(operand=W @ s.prev): 1, Tail((W,), (1,), s.prev): 1}
    assert derivative(U @ x, W) == {}
    assert derivative(U @ x, U) == {Tail(operand=x): 1}


def test_by_a_diagonal_matrix_it_is_elementwise() -> None:
    assert derivative(b * s.prev + b, b) == {Tail(): s.prev + 1}


def test_an_activation_knows_its_slope_by_its_output() -> None:
    assert derivative(y, y=tanh(s.prev)) == {Tail(): 1 - y**2}
    assert derivative(y, y=sigmoid(W @ s.prev)) == {Tail((W,), (1,)): y * (1 - y)}
    # where no vector has the value, the activation itself stands for it
    inside = tanh(s.prev)
    assert derivative(2 * inside) == {Tail(): 2 * (1 - inside**2).expand()}
    assert derivative(y, y=f * tanh(s.prev), f=b) == {Tail(): f * (1 - inside**2)}


@pytest.mark.parametrize("activation", [softsign, relu])
def test_without_a_polynomial_slope_there_is_an_opaque_node(activation: Any) -> None:
    ((tail, found),) = derivative(y, y=activation(W @ s.prev)).items()
    assert tail == Tail((W,), (1,))
    assert found == slope_of(Activated(activation, W @ s.prev)) == Slope(activation.name)(W @ s.prev)


def test_a_constant_argument_asks_for_no_slope() -> None:
    assert derivative(y, y=softsign(b)) == {}


def test_a_vector_read_twice_adds_up() -> None:
    assert derivative(f + W @ f + f * f, f=2 * s.prev) == {Tail(): 4 * f + 2, Tail((W,), (1,)): 2}


def test_the_mean_is_a_linear_map() -> None:
    assert derivative(mean(s.prev)) == {Tail((M,), (1,)): 1}
    assert derivative(s.prev - mean(s.prev)) == {Tail(): 1, Tail((M,), (1,)): -1}
    assert derivative(mean(f * s.prev), f=b) == {Tail((M,), (f,)): 1}


def test_now_is_not_the_past() -> None:
    """s now is a vector of the step; what s one step earlier does to it goes through its equation."""
    equations = {s: W @ s.prev, y: s * s.prev}
    found = collected(Differentiator(equations, s.prev)(y))
    assert {word.tail: word.leading for word in found} == {Tail(): s, Tail((W,), (1,)): s.prev}
