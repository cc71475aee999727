"""A3 out of the Jacobian, for every activation; gated cells; spectral radius 1; the refusals."""

import numpy as np
import pytest
import sympy
from hypothesis import given
from sympy import Rational, sqrt

import derive
from derive import ACTIVATIONS, Activation, Cell, DeriveError, Parameter, State, Vector, mean, sigmoid, tanh
from derive.activations import a
from derive.initialization import DISTRIBUTIONS, initial_scales, jacobian_shares, memory_biases
from derive.initialization.scales import COLUMNS, ROWS
from tests.codegen.unusual_cells import UNUSUAL
from tests.strategies import gated_cells

n = sympy.Symbol("n", positive=True)
p = sympy.Symbol("p", positive=True)
w = sympy.Symbol("w", real=True)
s, W, V = State("s"), Parameter("W", "n", "n"), Parameter("V", "n", "n")


def unusual(name: str) -> Cell:
    return next(cell for cell in UNUSUAL if cell.name == name)


# A3: the vanilla cell


def starting_slope(activation: Activation) -> sympy.Expr:
    """φ'(0), at a kink the steeper side's, independently of the engine: by difference quotients."""
    step, at = Rational(1, 10**30), activation.formula.subs
    slopes = [(at(a, side * step) - at(a, 0)).evalf(80) / (side * step) for side in (1, -1)]
    return max(sympy.nsimplify(slope, rational=True, tolerance=1e-20) for slope in slopes)


@pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=str)
def test_minimum_initialization(activation: Activation) -> None:
    gamma = starting_slope(activation)
    cell = derive.cell("vanilla").with_activations({"s": activation})
    size = initial_scales(cell)["W"].size
    fitted = {name: d.fitted(size, n, n) for name, d in DISTRIBUTIONS.items()}
    assert sympy.simplify(fitted["uniform"] - sqrt(3) / (gamma * sqrt(n))) == 0
    assert sympy.simplify(fitted["gaussian"] - 1 / (gamma * sqrt(n))) == 0
    assert sympy.simplify(fitted["orthogonal"] - 1 / gamma) == 0


def test_in_the_table_the_slope_at_rest_is_the_largest() -> None:
    """So that the formulas above are A3's, with γ = sup|φ'|.  Another activation may break this: then the
    scales are by φ'(0), and this list names it."""
    smaller = [name for name, act in ACTIVATIONS.items() if starting_slope(act) != act.lipschitz]
    assert smaller == ["softplus"]


def test_tanh_gives_glorot() -> None:
    m = n  # a square matrix
    size = initial_scales("vanilla")["W"].size
    assert sympy.simplify(DISTRIBUTIONS["uniform"].fitted(size, n, n) - sqrt(6) / sqrt(m + n)) == 0


def test_sigmoid_gives_four() -> None:
    cell = derive.cell("vanilla").with_activations({"s": "sigmoid"})
    assert initial_scales(cell)["W"].size == 4


def test_a_bias_changes_the_slope() -> None:
    b = sympy.Symbol("b", real=True)
    size = initial_scales("vanilla", {"b": b})["W"].size
    assert sympy.simplify(size * (1 - sympy.tanh(b) ** 2)) == 1


def test_second_moments() -> None:
    """What each distribution declares, by integration, and for orthonormal rows by their squares' sum."""
    uniform = sympy.integrate(w**2 / (2 * p), (w, -p, p))
    density = sympy.exp(-(w**2) / (2 * p**2)) / sqrt(2 * sympy.pi * p**2)
    gaussian = sympy.integrate(w**2 * density, (w, -sympy.oo, sympy.oo))
    assert sympy.simplify(uniform / p**2 - DISTRIBUTIONS["uniform"].second_moment) == 0
    assert sympy.simplify(gaussian / p**2 - DISTRIBUTIONS["gaussian"].second_moment) == 0
    for rows, columns in ((5, 3), (3, 5), (4, 4)):
        q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(max(rows, columns), min(rows, columns))))
        declared = DISTRIBUTIONS["orthogonal"].second_moment.subs({ROWS: rows, COLUMNS: columns})
        assert np.mean(q**2) == pytest.approx(float(declared))


# Gated cells


@pytest.mark.parametrize("name", [name for name in derive.catalogue() if name != "vanilla"])
def test_gates_halve_what_the_candidate_reads(name: str) -> None:
    """2 = 1/(φ'(0) ⋅ read gate at ½), whatever the memory: write and leftover are both 1/T."""
    beyond = sympy.Symbol("beyond", positive=True)
    for biases in ({}, memory_biases(name, 10), memory_biases(name, 1 + beyond)):
        scales = initial_scales(name, biases)
        assert sympy.simplify(scales["W"].size) == 2
        assert all(scale.size is None and "at rest" in scale.why for k, scale in scales.items() if k != "W")


def test_a_write_without_a_gate_leaves_less_the_longer_the_memory() -> None:
    f = Vector("f")
    cell = Cell("leaky", {f: sigmoid(V @ s.prev + Parameter("b_f", "n")), s: f * s.prev + tanh(W @ s.prev)})
    assert initial_scales(cell, memory_biases(cell, 10))["W"].size == Rational(1, 10)


def radius(cell: Cell, biases=None, weights=None) -> float:
    """The spectral radius of the absolute coefficients, numerically; independent matrices in quadrature."""
    shares, scales = jacobian_shares(cell, biases), initial_scales(cell, biases, weights)
    order = cell.states
    total = np.zeros((2, len(order), len(order)))
    for term in shares.terms:
        size = float(abs(term.coefficient) * sympy.Mul(*(scales[m.name].size for m in term.maps)))
        total[int(bool(term.maps)), order.index(term.of), order.index(term.wrt)] += size ** (
            2 if term.maps else 1
        )
    return max(abs(np.linalg.eigvals(total[0] + np.sqrt(total[1]))))


@pytest.mark.parametrize(
    "cell", [*map(derive.cell, derive.catalogue()), unusual("two-matrices")], ids=lambda c: c.name
)
def test_the_spectral_radius_is_one(cell: Cell) -> None:
    assert radius(cell) == pytest.approx(1, abs=1e-12)


def test_radius_with_biases_and_weights() -> None:
    assert radius(derive.cell("gru"), {"b": Rational(1, 2)}) == pytest.approx(1, abs=1e-12)
    assert radius(derive.cell("lstm"), {"b": 0.1, "b_f": 1.0}) == pytest.approx(1, abs=1e-12)
    assert radius(unusual("two-matrices"), weights={"V": 3}) == pytest.approx(1, abs=1e-12)


@given(cell=gated_cells())
def test_random_gated_cells(cell: Cell) -> None:
    """Where the sizes are decided, the radius is 1; where not, it is said why."""
    scales = initial_scales(cell)
    assert set(scales) == set(jacobian_shares(cell).recurrent)
    assert all((scale.size is None) == bool(scale.why) for scale in scales.values())
    if any(scale.size is not None for scale in scales.values()):
        assert radius(cell) == pytest.approx(1, abs=1e-9)


def test_products_and_sums() -> None:
    assert initial_scales(unusual("nested"))["V"].size == 1
    assert initial_scales(unusual("two-matrices"))["V"].size == sqrt(2) / 2
    weighed = initial_scales(unusual("two-matrices"), weights={"V": 3})
    assert weighed["V"].size == 3 * weighed["W"].size == 3 / sqrt(10)
    assert initial_scales(unusual("other-axes"))["A"].size == (sqrt(5) - 1) / 2  # t + t² = 1
    assert initial_scales(unusual("shared-matrix"))["W"].size == Rational(1, 2)


def test_coefficients_that_are_not_rational() -> None:
    cell = Cell("two-ways", {s: tanh(1) * tanh(W @ s.prev) + tanh(2) * tanh(W @ tanh(V @ s.prev))})
    size = float(initial_scales(cell)["W"].size)
    assert np.tanh(1) * size + np.tanh(2) * size**2 == pytest.approx(1, abs=1e-12)


# What is not decided, and the refusals


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        (Cell("adding", {s: s.prev + tanh(W @ s.prev)}), "nothing is left"),
        (unusual("means"), "nothing is left"),
        (unusual("layer-normalized"), "depends on p"),
        (unusual("constant-gate"), "depends on b_f"),
        (Cell("opaque", {s: tanh(V @ sigmoid(W @ s.prev))}), "depends on V"),
        (Cell("squared", {s: tanh(W @ s.prev) ** 2}), "= 0 at rest"),
        (Cell("mean-square", {s: s.prev / 2 + tanh(W @ mean(s.prev) ** 2)}), "= 0 at rest"),
    ],
    ids=lambda value: value.name if isinstance(value, Cell) else "",
)
def test_undecided(cell: Cell, why: str) -> None:
    scale = initial_scales(cell)["W"]
    assert scale.size is None
    assert why in scale.why


def test_no_cycle_no_size() -> None:
    h = State("h")
    cell = Cell("acyclic", {s: s.prev / 2, h: tanh(W @ s.prev), Vector("y"): h.prev}, output="y")
    assert "no size of a matrix changes" in initial_scales(cell)["W"].why


def test_refusals() -> None:
    with pytest.raises(DeriveError, match="gru has no recurrent matrix 'W_q'"):
        initial_scales("gru", weights={"W_q": 1})
    with pytest.raises(DeriveError, match=r"W_z has no share.*= 0 at rest; those that have: W"):
        initial_scales("gru", weights={"W_z": 1})
    for weight in (0, -1):
        with pytest.raises(DeriveError, match=f"the weight of W is {weight}; expected a positive number"):
            initial_scales("gru", weights={"W": weight})
