"""``flatten``: the same values, with no activation, mean, root or operand inside another formula."""

import numpy as np
import pytest
import sympy
from hypothesis import given
from sympy import Rational

import derive
from codegen.checking.sample import draw
from codegen.errors import CodegenError
from codegen.loop import Mean
from codegen.lowering import lower
from codegen.lowering.flatten import flatten, is_root
from codegen.lowering.names import Names
from codegen.plan import Assignment, Part, Phase, Plan, Product
from derive import Activated, Cell, Linear, Parameter, State, Vector, mean, sigmoid, tanh, variance
from derive.symbols import Quantity
from derive.wellformed import axes_of
from tests.codegen.unusual_cells import UNUSUAL
from tests.loops import Counting
from tests.strategies import cells

u, v, w = Vector("u"), Vector("v"), Vector("w")
s = State("s")


def flat(*statements):
    return flatten(statements, Names({"u", "v", "w"}))


def assert_flat(statements) -> None:
    for statement in statements:
        if isinstance(statement, Product):
            assert isinstance(statement.operand, Quantity)
            assert not any(part.biases for part in statement.parts)
            continue
        expr = statement.expr
        if isinstance(statement, Assignment) and isinstance(expr, Activated):
            assert expr.activation.torch, "what has no function of its own needs no statement"
            expr = expr.argument
        elif isinstance(statement, Assignment) and is_root(expr):
            expr = expr.base
        assert not [node for node in expr.atoms(Activated, Linear) if axes_of(node)], statement
        assert not any(is_root(node) for node in sympy.preorder_traversal(expr)), statement


def as_run(statements, env):
    """The values of flat statements, whatever they are, for vectors (3, 4)."""
    count, found = Counting((3,)), dict(env)
    count.statements(statements, found, {"n": 4, "w": 5})
    return found


def test_an_activation_inside_a_formula_gets_a_name() -> None:
    found = flat(Assignment(w, u * tanh(v) + tanh(v)))
    squashed = Vector("tanh_v")
    assert found == (Assignment(squashed, tanh(v), shared=True), Assignment(w, u * squashed + squashed))


def test_an_activation_alone_is_the_statement_itself_and_is_known_by_its_name() -> None:
    """The value of tanh(v) is at hand as u when w asks for it."""
    assert flat(Assignment(u, tanh(v)), Assignment(w, v * tanh(v))) == (
        Assignment(u, tanh(v)),
        Assignment(w, v * u),
    )


def test_activations_in_activations_come_first() -> None:
    found = flat(Assignment(w, sigmoid(v + tanh(u))))
    assert found == (
        Assignment(Vector("tanh_u"), tanh(u), shared=True),
        Assignment(w, sigmoid(v + Vector("tanh_u"))),
    )


def test_the_identity_is_left_out() -> None:
    assert flat(Assignment(w, derive.identity(u) + v)) == (Assignment(w, u + v),)


def test_a_variance_is_two_means_and_a_root_its_own_statement() -> None:
    found = flat(Assignment(w, v / (variance(v) + 1) ** Rational(1, 2)))
    assert [type(statement) for statement in found] == [Mean, Mean, Assignment, Assignment]
    first, second, root, last = found
    assert first.expr == v
    assert second.expr == (v - first.symbol) ** 2
    assert root.expr == (second.symbol + 1) ** Rational(-1, 2)
    assert last.expr == v * root.symbol


def test_a_mean_of_a_vector_is_not_the_vector() -> None:
    found = flat(Assignment(u, v * v), Assignment(w, mean(v * v) + v * v))
    assert [type(statement) for statement in found] == [Assignment, Mean, Assignment]
    values = as_run(found, {v: np.arange(12.0).reshape(3, 4)})
    square = np.arange(12.0).reshape(3, 4) ** 2
    np.testing.assert_array_equal(values[w], square.mean(-1, keepdims=True) + square)


def test_the_operand_of_a_product_is_a_symbol() -> None:
    W = Parameter("W", "n", "n")
    plan = lower(Cell("read", {s: tanh(W @ (s.prev * sigmoid(s.prev)))}, output=s))
    found = flatten(plan.step, Names({"s_prev"}))
    (product,) = [statement for statement in found if isinstance(statement, Product)]
    defining = next(statement for statement in found if product.operand in statement.symbols)
    assert isinstance(defining, Assignment)
    assert defining.expr.has(s.prev)


def test_a_product_takes_no_biases_along() -> None:
    """They are terms of a sum after it, so that a loop knows them as constants like any other."""
    W, b, p = Parameter("W", "n", "n"), Parameter("b", "n"), Parameter("p", "n")
    bare, following = flat(Product(v, (Part(w, w, W, biases=(b, p)),)))
    assert isinstance(bare, Product)
    ((raw,), (part,)) = bare.symbols, bare.parts
    assert part == Part(raw, w, W)
    assert following == Assignment(w, raw + b + p)


@pytest.mark.parametrize(
    ("expr", "root"),
    [
        (v ** Rational(1, 2), True),
        (1 / v, True),
        ((v + 1) ** Rational(-3, 2), True),
        (v**2, False),
        (v**3, False),
        (sympy.sqrt(2), False),
        (u * v, False),
    ],
)
def test_what_a_root_is(expr: sympy.Expr, root: bool) -> None:
    assert is_root(expr) is root


def whole(plan: Plan) -> Phase:
    return Phase((*plan.once, *plan.before, *plan.step, *plan.after))


def assert_same_values(cell: Cell) -> None:
    plan = lower(cell)
    statements = whole(plan)
    found = flatten(statements, Names({q.label for q in {*cell.symbols.values(), *statements.symbols}}))
    assert_flat(found)
    bound = [symbol for statement in found for symbol in statement.symbols]
    assert len(set(bound)) == len(bound)
    step = flatten(plan.step, Names(set()))
    activated = [s.expr for s in step if isinstance(s, Assignment) and isinstance(s.expr, Activated)]
    assert len(set(activated)) == len(activated), "an activation is computed twice"
    try:
        sample = draw(cell, 0, steps=1)
    except CodegenError:
        return
    env = {cell.symbols[name]: value for name, value in sample.parameters.items()}
    env |= {cell.symbols[name]: sample.inputs[0] for name in cell.inputs}
    env |= {state.prev: value for state, value in zip(plan.states, sample.state, strict=True)}
    count = Counting((2,))
    count.statements(found, env, sample.sizes)
    for name, value in sample.vectors().items():
        np.testing.assert_allclose(env[cell.symbols[name]], value[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "cell", [*map(derive.cell, derive.catalogue()), *UNUSUAL], ids=lambda cell: cell.name
)
def test_the_same_values(cell: Cell) -> None:
    assert_same_values(cell)


@given(cells())
def test_any_cell_has_the_same_values(cell: Cell) -> None:
    assert_same_values(cell)
