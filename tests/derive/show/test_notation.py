"""The order on paper, which every printer shares."""

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from derive import Cell, Input, Parameter, State, Vector, tanh
from derive.show.latex import LatexNotation
from derive.show.notation import Notation
from derive.show.python import PythonNotation
from derive.show.text import TextNotation
from derive.symbols import affine_parameters
from tests.strategies import cells, gated_cells

s, h, c, x = State("s"), State("h"), State("c"), Input("x")
i, f, o = Vector("i"), Vector("f"), Vector("o")
c_tilde = Vector("c_tilde")
W, U, b = affine_parameters()
P, d = Parameter("P", "n", "n"), Parameter("d", "n")
NOTATIONS = [TextNotation, LatexNotation, PythonNotation]
each = pytest.mark.parametrize("notation", NOTATIONS)


@each
@pytest.mark.parametrize(
    ("expr", "order"),
    [
        pytest.param(b + P @ c.prev + U @ x + W @ h.prev, (W @ h.prev, U @ x, P @ c.prev, b), id="layer"),
        pytest.param(b + d * c.prev + U @ x + W @ h.prev, (W @ h.prev, U @ x, d * c.prev, b), id="diagonal"),
        pytest.param(i * c_tilde + f * c.prev, (f * c.prev, i * c_tilde), id="carry first"),
        pytest.param(tanh(W @ c.prev) + c.prev, (c.prev, tanh(W @ c.prev)), id="carry before a read"),
        pytest.param(c_tilde + f + i, (i, f, c_tilde), id="as their equations stand"),
        pytest.param(1 - f, (1, -f), id="complement"),
        pytest.param(1 + s.prev, (s.prev, 1), id="number last"),
        pytest.param(1 - c.prev + f, (f, -c.prev, 1), id="plus first"),
        pytest.param(-c.prev - f, (-c.prev, -f), id="all negative"),
    ],
)
def test_the_order_of_a_sum(notation: type[Notation], expr: sympy.Expr, order: tuple[object, ...]) -> None:
    assert tuple(notation([i, f, o, c_tilde]).terms(expr)) == order


@each
@pytest.mark.parametrize(
    ("expr", "order"),
    [
        pytest.param(2 * i * c_tilde, (2, i, c_tilde), id="number first"),
        pytest.param(c.prev * d, (d, c.prev), id="parameter first"),
        pytest.param(c.prev * f, (f, c.prev), id="gate before state"),
        pytest.param(c_tilde * (1 - f), (1 - f, c_tilde), id="complement before candidate"),
        pytest.param(o * tanh(c), (o, tanh(c)), id="gate before activation"),
        pytest.param(c * o, (o, c), id="gate before the state just written"),
        pytest.param(o * f * i, (i, f, o), id="as their equations stand"),
    ],
)
def test_the_order_of_a_product(
    notation: type[Notation], expr: sympy.Expr, order: tuple[object, ...]
) -> None:
    assert tuple(notation([i, f, o, c_tilde]).factors(expr)) == order


@each
def test_what_is_no_expression_is_refused(notation: type[Notation]) -> None:
    with pytest.raises(TypeError, match="is no expression of a cell"):
        notation()(sympy.sin(f) + 1)


@each
def test_brackets_only_where_they_are_needed(notation: type[Notation]) -> None:
    spell = notation([i, f, c_tilde])
    assert "(" not in spell(f * c.prev + i * c_tilde).replace("State('c')", "").replace("Vector('", "")
    assert spell(f * (c.prev + i)) != spell(f * c.prev + i)
    assert spell(W @ (f * c.prev)) != spell((W @ f) * c.prev)
    assert spell((f + i) ** 2) != spell(f + i**2)


@given(st.one_of(cells(), gated_cells()))
def test_nothing_is_lost_or_made_up(cell: Cell) -> None:
    """The ordered terms and factors are those of the expression, whatever order SymPy had them in."""
    for notation in NOTATIONS:
        spell = notation(cell.equations)
        for expr in cell.equations.values():
            for node in sympy.preorder_traversal(expr):
                if isinstance(node, sympy.Add):
                    assert sorted(spell.terms(node), key=str) == sorted(node.args, key=str)
                if isinstance(node, sympy.Mul):
                    assert sorted(spell.factors(node), key=str) == sorted(node.args, key=str)
