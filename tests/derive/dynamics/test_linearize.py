"""The linearization at zero, in symbols, against numbers at random weights."""

import numpy as np
import pytest
import sympy
from sympy import Rational

import derive
from derive import Cell, DeriveError, Parameter, State, mean, sigmoid, tanh
from derive.dynamics import NotAnEquilibrium, linearize
from tests.codegen.unusual_cells import UNUSUAL
from tests.derive.calculus.perturbed import by_complex_step, error, place

λ = sympy.Symbol("λ(W)")
s, h = State("s"), State("h")
W, V = Parameter("W", "n", "n"), Parameter("V", "n", "n")


def at_zero(cell: Cell, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray, tuple[np.ndarray, ...]]:
    params, x, state = place(cell, seed)
    params = {name: 0 * v if name in cell.biases else v for name, v in params.items()}
    return params, 0 * x, tuple(0 * v for v in state)


CLOSED = {
    "vanilla": (λ,),
    "prototype": (λ / 4 + Rational(1, 2),),
    "normalized-prototype": (λ / 4 + Rational(1, 2),),
    "gru": (λ / 4 + Rational(1, 2),),
    "pseudo-lstm": (λ / 4 + Rational(1, 2),),
    "lstm": (0, λ / 4 + Rational(1, 2)),
    "peephole-lstm": (0, λ / 4 + Rational(1, 2)),
}


@pytest.mark.parametrize("name", derive.catalogue())
def test_catalogue(name: str) -> None:
    found = linearize(name)
    at = at_zero(found.cell)
    for block in found.jacobian:
        expected = by_complex_step(found.cell, block.of.name, block.wrt.label, at)
        assert error(block.evaluate(*at), expected) < 1e-15
        # exact numbers are left, and nothing of the step
        assert all(c.is_Rational for word in block.words for c in word.coefficients)
    assert found.spectrum is not None
    weights = np.linalg.eigvals(at[0]["W"])
    expected = np.concatenate(
        [[complex(e.subs(λ, w)) for w in weights] for e in map(sympy.sympify, found.spectrum)]
    )
    actual = np.linalg.eigvals(found.jacobian.evaluate(*at))
    np.testing.assert_allclose(np.sort_complex(actual), np.sort_complex(expected), atol=1e-12)
    if name in CLOSED:
        assert set(found.spectrum) == set(CLOSED[name])


def test_text() -> None:
    assert str(linearize("gru")) == "gru at zero:\n∂sₜ/∂sₜ₋₁ = 1/2 I + 1/4 W\neigenvalues: λ(W)/4 + 1/2"
    lines = str(linearize("lstm")).splitlines()
    assert lines[1:] == [
        "∂hₜ/∂hₜ₋₁ = 1/4 W",
        "∂hₜ/∂cₜ₋₁ = 1/4 I",
        "∂cₜ/∂hₜ₋₁ = 1/2 W",
        "∂cₜ/∂cₜ₋₁ = 1/2 I",
        "eigenvalues: 0 and λ(W)/4 + 1/2",
    ]


REFUSED = {
    "rectified": "rectified: not differentiable at zero: relu jumps there",
    "powers": "one step leads to s = 1$",
    "awkward-names": "one step leads to s = 1/2$",
}


@pytest.mark.parametrize("cell", [c for c in UNUSUAL if c.name not in REFUSED], ids=lambda cell: cell.name)
def test_unusual_cells(cell: Cell) -> None:
    at = at_zero(cell)
    expected = derive.step_jacobian(cell).evaluate(*at)
    assert error(linearize(cell).jacobian.evaluate(*at), expected) < 1e-14


@pytest.mark.parametrize("cell", [c for c in UNUSUAL if c.name in REFUSED], ids=lambda cell: cell.name)
def test_cells_without_a_linearization_at_zero(cell: Cell) -> None:
    with pytest.raises(DeriveError, match=REFUSED[cell.name]):
        linearize(cell)


def test_block_triangular() -> None:
    cell = Cell("chain", {s: tanh(W @ s.prev), h: tanh(V @ h.prev + W @ s)})
    assert set(linearize(cell).spectrum or ()) == {λ, sympy.Symbol("λ(V)")}


def test_two_matrices_have_no_closed_form() -> None:
    assert linearize(Cell("two", {s: tanh(W @ s.prev + V @ s.prev)})).spectrum is None
    assert "no closed form" in str(linearize(Cell("two", {s: tanh(W @ s.prev + V @ s.prev)})))


def test_a_mean_has_the_eigenvalues_zero_and_one() -> None:
    cell = Cell("averaged", {s: tanh(s.prev / 2 + mean(s.prev))})
    assert linearize(cell).spectrum == (Rational(1, 2), Rational(3, 2))


def test_a_gate_that_reads_nothing_stays_a_symbol() -> None:
    cell = next(c for c in UNUSUAL if c.name == "constant-gate")
    assert "diag(σ(b_f)) + diag(1 - σ(b_f)) W" in str(linearize(cell))


def test_where_zero_moves() -> None:
    with pytest.raises(
        NotAnEquilibrium, match=r"vanilla: zero is no equilibrium: .* one step leads to s = 1/2"
    ):
        linearize(derive.cell("vanilla").with_activations({"s": sigmoid}))


def test_other_places_are_refused() -> None:
    with pytest.raises(DeriveError, match="use equilibrium"):
        linearize("gru", at="somewhere")
