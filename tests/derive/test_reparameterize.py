"""Merged biases, flipped signs, mirrored gates: changes of parameters that the function survives."""

import numpy as np
import pytest
import sympy
from hypothesis import assume, given, settings
from sympy import Rational

import derive
from derive import Cell, Input, Parameter, State, Vector, hard_sigmoid, mean, relu, sigmoid, softsign, tanh
from derive.evaluate import evaluate, value
from derive.normal import normal_form
from derive.reparameterize import Reduced, mirror, orientations, reduce, shape
from derive.symbols import Activated, affine_parameters
from tests.strategies import cells, numbers

s, h, c, x = State("s"), State("h"), State("c"), Input("x")
f, i, z = Vector("f"), Vector("i"), Vector("z")
W, U, b = affine_parameters()
V = Parameter("V", "n", "n")
b1, b2, b3, p = (Parameter(name, "n") for name in ("b1", "b2", "b3", "p"))


def parameters(cell: Cell) -> tuple[Parameter, ...]:
    return tuple(q for name in cell.parameters if isinstance(q := cell.symbols[name], Parameter))


def form_of(*equations: sympy.Expr) -> Reduced:
    """The reduced form of a cell whose states are written with these expressions."""
    names = (s, h)[: len(equations)]
    cell = Cell("any", dict(zip(names, equations, strict=True)), output=names[-1])
    return reduce(normal_form(cell).roots, parameters(cell))


def root(expr: sympy.Expr) -> sympy.Expr:
    return form_of(expr).roots[0]


def test_biases_merge() -> None:
    form = form_of(tanh(W @ s.prev + b1 + b2 + b3))
    assert form.roots[0] == tanh(W @ s.prev + b1)
    assert form.new == {W: W, b1: b1 + b2 + b3}
    assert form.own == {W: W, b1: b1, b2: 0, b3: 0}


def test_a_bias_that_is_taken_away_merges() -> None:
    form = form_of(tanh(W @ s.prev + b1 - b2))
    assert form.roots[0] == tanh(W @ s.prev + b1)
    assert form.new[b1] == b1 - b2


@pytest.mark.parametrize(
    "expr",
    [
        tanh(W @ s.prev + b1) + b1 + b2,  # b1 also stands alone
        tanh(W @ s.prev + b1) + sigmoid(V @ s.prev + b2),
        tanh(W @ s.prev + b1 * b2),
        tanh(W @ s.prev + b1 + 2 * b2),
        tanh(W @ (b1 + s.prev) + b2),
    ],
)
def test_biases_that_are_not_one(expr: sympy.Expr) -> None:
    assert {b1, b2} <= root(expr).atoms(Parameter)


@pytest.mark.parametrize(
    ("expr", "simpler"),
    [
        (tanh(-(W @ s.prev) - b), tanh(W @ s.prev + b)),
        (s.prev - W @ s.prev, s.prev + W @ s.prev),
        (-p * s.prev - b, p * s.prev + b),
        (W @ (-(V @ s.prev)), W @ (V @ s.prev)),
        (b * s.prev - 1, b * s.prev - 1),
        (W @ s.prev - W @ tanh(s.prev), W @ s.prev - W @ tanh(s.prev)),  # one minus in any case
        (-(W @ s.prev) - W @ tanh(s.prev), W @ s.prev + W @ tanh(s.prev)),
        (b * p * s.prev - p, b * p * s.prev + p),
        (-(p**2) * s.prev, -(p**2) * s.prev),  # a square has its sign
        (-(p**3) * s.prev, p**3 * s.prev),
    ],
)
def test_signs(expr: sympy.Expr, simpler: sympy.Expr) -> None:
    assert root(expr) == simpler


def test_the_sign_of_a_tie_does_not_depend_on_where_it_started() -> None:
    """W stands once with and once without a minus: either sign is as good, one of them is taken."""
    one, other = W @ s.prev - W @ tanh(s.prev), W @ tanh(s.prev) - W @ s.prev
    assert root(one) == root(other)


@pytest.mark.parametrize(
    ("expr", "simpler"),
    [
        (1 - sigmoid(W @ s.prev + b), sigmoid(W @ s.prev + b)),
        (-tanh(W @ s.prev + b), tanh(W @ s.prev + b)),
        (s.prev - hard_sigmoid(U @ x) * s.prev, hard_sigmoid(U @ x) * s.prev),
        (-softsign(W @ (V @ s.prev)), softsign(W @ (V @ s.prev))),
        (-relu(W @ s.prev), -relu(W @ s.prev)),  # is not symmetric
        (1 - sigmoid(s.prev + b), 1 - sigmoid(s.prev + b)),  # nothing turns s
        (1 - sigmoid(W @ s.prev) + W @ s.prev, 1 - sigmoid(W @ s.prev) + W @ s.prev),  # W is read elsewhere
        (tanh(-s.prev) + b, b - tanh(s.prev)),  # this needs no parameter
        (sigmoid(-s.prev) + b, b + 1 - sigmoid(s.prev)),
    ],
)
def test_mirrors(expr: sympy.Expr, simpler: sympy.Expr) -> None:
    assert root(expr) == simpler


def test_a_gate_inside_a_gate() -> None:
    inner = 1 - sigmoid(V @ s.prev)
    assert root(1 - sigmoid(W @ (inner * s.prev) + b)) == sigmoid(W @ (sigmoid(V @ s.prev) * s.prev) + b)


def test_a_mirror_negates_one_parameter_a_term() -> None:
    """In W (V s) either would do, and both would not."""
    cell = Cell("deep", {s: 1 - sigmoid(W @ (V @ s.prev) + p * (U @ x) + b)}, output=s)
    form = reduce(normal_form(cell).roots, parameters(cell))
    signs = {name: 1 if expr == name else -1 for name, expr in form.new.items()}
    assert signs[W] * signs[V] == signs[p] * signs[U] == signs[b] == -1


def test_ties_are_all_offered() -> None:
    """z and 1 - z are equally simple in z ⊙ s + (1 - z) ⊙ s̃: both orientations are tried."""
    gru = derive.cell("gru")
    form = reduce(normal_form(gru).roots, parameters(gru))
    turned = [o.roots for o in orientations(form)]
    assert turned[0] == form.roots
    assert len(turned) == len(set(turned)) >= 2
    kept = sigmoid(gru.equations[z].argument)
    assert kept in form.roots[0].atoms(Activated)
    other = mirror(form, kept)
    assert other.roots in turned
    assert {str(q) for q, e in other.new.items() if e != q} == {"W_z", "U_z", "b_z"}


def test_an_lstm_has_one_orientation() -> None:
    lstm = derive.cell("lstm")
    assert len(list(orientations(reduce(normal_form(lstm).roots, parameters(lstm))))) == 1


def test_orientations_end() -> None:
    """However many signs are free."""
    weights = [Parameter(f"W{k}", "n", "n") for k in range(12)]
    total = sum((w @ s.prev - w @ tanh(s.prev) for w in weights), start=b)
    assert 1 <= len(list(orientations(form_of(total)))) <= 256


def test_shapes_have_no_names() -> None:
    assert shape(W @ s.prev) == shape(V @ c.prev)
    assert shape(-Rational(1, 2) * p) == shape(Rational(1, 2) * b)
    assert shape(W @ s.prev) != shape(U @ x)
    assert shape(tanh(p)) != shape(sigmoid(p))
    assert shape(p + tanh(b)) == shape(tanh(p) + b)


@settings(max_examples=15)
@given(cells())
def test_new_and_own_parameters_are_inverse(cell: Cell) -> None:
    """A form in its new parameters, with what they are put in, has the values of the cell; and back."""
    assume(len(str(normal_form(cell).roots)) < 4000)
    form = reduce(normal_form(cell).roots, parameters(cell))
    for turned in list(orientations(form))[:4]:
        check_inverse(cell, turned)


def check_inverse(cell: Cell, form: Reduced) -> None:
    params, x, state = numbers(cell, B=None)
    env = {q: params[q.name] for q in parameters(cell)}
    new = {q: value(e, env) for q, e in form.new.items()}
    own = {q.name: value(e, new) if e != 0 else np.zeros_like(params[q.name]) for q, e in form.own.items()}
    assert own.keys() == params.keys()
    with np.errstate(all="ignore"):
        ours, end = evaluate(cell, params, x, state)
        theirs, end2 = evaluate(cell, own, x, state)
    np.testing.assert_allclose(theirs, ours, rtol=1e-7, atol=1e-9)
    for left, right in zip(end, end2, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-7, atol=1e-9)


def test_a_mean_keeps_its_sign() -> None:
    assert root(b - mean(s.prev)) == b - mean(s.prev)
