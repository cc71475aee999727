"""The step Jacobian at rest by matrix, against its numbers, in closed form, and as text."""

import numpy as np
import pytest
import sympy
from hypothesis import assume, given
from sympy import Rational

import derive
from derive import Cell, DeriveError, Parameter, State, Vector, sigmoid, step_jacobian, tanh
from derive.initialization import jacobian_shares
from derive.initialization.rest import is_uniform
from derive.symbols import MeanMap
from tests.codegen.unusual_cells import UNUSUAL
from tests.strategies import numbers, smooth_cells

CATALOGUE = [derive.cell(name) for name in derive.catalogue()]


def dense(shares, params, sizes) -> np.ndarray:
    """The sum of the terms, as numbers."""
    blocks = []
    for of in shares.cell.states:
        row = []
        for wrt in shares.cell.states:
            total = np.zeros((sizes[shares.cell.axes(of)[0]], sizes[shares.cell.axes(wrt)[0]]))
            for term in shares.terms:
                if (term.of, term.wrt) == (of, wrt):
                    word = np.eye(len(total.T))
                    for linear in reversed(term.maps):
                        mean = isinstance(linear, MeanMap)
                        matrix = np.full((len(word),) * 2, 1 / len(word)) if mean else params[linear.name]
                        word = matrix @ word
                    total = total + float(term.coefficient) * word
            row.append(total)
        blocks.append(row)
    return np.block(blocks)


def check_against_numbers(cell: Cell, bias: sympy.Expr) -> bool:
    """Random matrices, every vector the same; whether all terms were numbers."""
    params, inputs, state = numbers(cell, B=None)
    vectors = {name: bias for name, axes in cell.parameters.items() if len(axes) == 1}
    params = {name: p if np.ndim(p) == 2 else 0 * p + float(bias) for name, p in params.items()}
    shares = jacobian_shares(cell, vectors)
    if not all(is_uniform(term.coefficient) for term in shares.terms):
        return False
    actual = step_jacobian(cell).evaluate(params, 0 * inputs[0], tuple(0 * v for v in state))
    np.testing.assert_allclose(dense(shares, params, {"n": 3, "m": 2}), actual, atol=1e-12)
    return True


@pytest.mark.parametrize("cell", CATALOGUE, ids=lambda c: c.name)
def test_terms_add_up_to_the_jacobian(cell: Cell) -> None:
    assert check_against_numbers(cell, sympy.S.Zero)
    reads_what_it_wrote = "P_o" in cell.parameters  # then a matrix is applied to something that is not 0
    assert check_against_numbers(cell, Rational(3, 10)) is not reads_what_it_wrote


@given(cell=smooth_cells())
def test_terms_of_random_cells_add_up_to_the_jacobian(cell: Cell) -> None:
    assume(check_against_numbers(cell, Rational(3, 10)))


def test_the_gru_in_closed_form() -> None:
    b = sympy.Symbol("b", real=True)
    shares = jacobian_shares("gru", {"b_z": b})
    z = 1 / (1 + sympy.exp(-b))
    assert sympy.simplify(shares.carry("s") - z) == 0
    (term,) = shares["W"]
    assert sympy.simplify(term.coefficient - (1 - z) / 2) == 0
    assert shares["W_z"] == shares["W_r"] == ()
    assert shares.why("W_r") == "sₜ₋₁ = 0 at rest"
    assert shares.why("W") == ""


def test_the_lstm_by_blocks() -> None:
    shares = jacobian_shares("lstm")
    assert {(t.of, t.wrt): t.coefficient for t in shares["W"]} == {
        ("h", "h"): Rational(1, 4),
        ("c", "h"): Rational(1, 2),
    }
    assert shares.carry("c") == Rational(1, 2)
    assert shares.carry("h", "c") == Rational(1, 4)
    assert shares.carry("h") == 0
    g = sympy.Symbol("g")
    assert shares.matrix({"W": g}) == sympy.Matrix([[g / 4, Rational(1, 4)], [g / 2, Rational(1, 2)]])


def test_a_bias_of_the_candidate_gives_the_gates_a_share() -> None:
    b = sympy.Symbol("b", real=True)
    (term,) = jacobian_shares("gru", {"b": b})["W_z"]
    assert sympy.simplify(term.coefficient + sympy.tanh(b) / 4) == 0


def test_text() -> None:
    assert str(jacobian_shares("gru")).splitlines() == [
        "∂sₜ/∂sₜ₋₁ = 1/2 I + 1/4 W",
        "W_r: sₜ₋₁ = 0 at rest",
        "W_z: sₜ₋₁ - s̃ₜ = 0 at rest",
    ]
    b = sympy.Symbol("b", real=True)
    assert "exp(b)" in str(jacobian_shares("gru", {"b_z": b}))
    normalized = next(cell for cell in UNUSUAL if cell.name == "layer-normalized")
    assert str(jacobian_shares(normalized)) == "∂sₜ/∂sₜ₋₁ = √(10) p W - √(10) p mean W"


def test_unknown_matrix() -> None:
    with pytest.raises(DeriveError, match=r"gru has no recurrent matrix 'W_q'.*It has: W_r, W_z, W"):
        jacobian_shares("gru")["W_q"]
    with pytest.raises(DeriveError, match="no recurrent matrix 'U'"):
        jacobian_shares("gru").why("U")


def test_terms_that_cancel_are_no_share() -> None:
    s, g, W = State("s"), Vector("g"), Parameter("W", "n", "n")
    gated = {g: sigmoid(s.prev), s: tanh(W @ (g * s.prev)) - tanh(W @ (s.prev / 2)) + s.prev / 2}
    cell = Cell("cancelling", gated, output=s)
    shares = jacobian_shares(cell)
    assert shares["W"] == ()
    assert shares.why("W") == "its terms cancel at rest"


@pytest.mark.parametrize("distribution", ["gaussian", "uniform", "orthogonal"])
@pytest.mark.parametrize("name", ["two-matrices", "nested", "other-axes", "gru", "no-input-no-bias"])
def test_mean_square_against_an_average_over_draws(name: str, distribution: str) -> None:
    cell = next((c for c in UNUSUAL if c.name == name), None) or derive.cell(name)
    rng = np.random.default_rng(0)
    n, w = 60, 30
    shares = jacobian_shares(cell)
    sizes = dict.fromkeys(shares.recurrent, 1.3)
    measured = []
    for _ in range(20):
        params = {}
        for matrix in shares.recurrent:
            rows, columns = ({"n": n, "w": w}[axis] for axis in cell.parameters[matrix])
            params[matrix] = 1.3 / np.sqrt(rows) * draw(distribution, rng, rows, columns)
        singular = np.linalg.svd(dense(shares, params, {"n": n, "w": w}), compute_uv=False)
        measured.append(np.mean(singular**2))
    expected = float(shares.mean_square("s", "s", sizes))
    assert np.mean(measured) == pytest.approx(expected, rel=0.03)


def draw(distribution: str, rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Entries of mean square 1."""
    if distribution == "gaussian":
        return rng.normal(size=(rows, columns))
    if distribution == "uniform":
        return rng.uniform(-np.sqrt(3), np.sqrt(3), size=(rows, columns))
    q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r)) * np.sqrt(max(rows, columns))
    return q if rows >= columns else q.T
