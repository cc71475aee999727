"""Whatever an activation declares about itself is measured here, on every entry of the table."""

import copy
import pickle  # noqa: TID251  symbols travel between processes; no weights here
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import sympy
from sympy import Interval, oo

from derive import ACTIVATIONS, Activated, Activation, Cell, DeriveError, State, identity, sigmoid, tanh
from derive.activations import Definition, a, y

GRID = np.concatenate([np.linspace(-8, 8, 1601), np.geomspace(1e-9, 1e-3, 30), -np.geomspace(1e-9, 1e-3, 30)])
FAR = np.array([-1e6, -40.0, 40.0, 1e6])
FUNCTIONS = [
    {
        "Heaviside": np.heaviside,
        "Abs": np.abs,
        "Max": lambda *v: np.max(np.broadcast_arrays(*v), axis=0),
        "Min": lambda *v: np.min(np.broadcast_arrays(*v), axis=0),
        "expm1": np.expm1,
        "log1p": np.log1p,
    },
    "numpy",
]
"""The functions that slopes and elementary formulas are made of."""
each = pytest.mark.parametrize("phi", ACTIVATIONS.values(), ids=ACTIVATIONS)


def kinks(phi: Activation) -> np.ndarray:
    return np.array([float(k) for k in phi.kinks])


def smooth_grid(phi: Activation) -> np.ndarray:
    """The grid without the kinks, on whose two sides the derivative differs."""
    distance = np.abs(GRID[:, None] - kinks(phi)).min(axis=1, initial=np.inf)
    return GRID[distance > 1e-12]


def slope(phi: Activation, x: np.ndarray) -> np.ndarray:
    """The derivative by complex step: no cancellation, so exact to rounding."""
    return phi.numpy(x + 1e-30j).imag / 1e-30


def formula(phi: Activation) -> Callable[[np.ndarray], np.ndarray]:
    compiled = sympy.lambdify(a, phi.formula, "numpy")

    def run(x: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"), warnings.catch_warnings():
            return np.asarray(compiled(x), dtype=np.float64) + np.zeros_like(x)

    return run


def test_the_table() -> None:
    assert {"sigmoid", "tanh", "relu", "identity", "softsign", "hard_sigmoid"} <= set(ACTIVATIONS)
    assert all(phi.name == name for name, phi in ACTIVATIONS.items())


@each
def test_numpy_is_the_formula(phi: Activation) -> None:
    exact = [float(sympy.N(phi.formula.subs(a, sympy.Rational(x)), 30)) for x in FAR]
    for grid, expected in ((GRID, formula(phi)(GRID)), (FAR, exact)):
        np.testing.assert_allclose(phi.numpy(grid), expected, rtol=1e-13, atol=1e-15)
        assert phi.numpy(grid).dtype == np.float64


@each
def test_a_complex_argument_gives_the_derivative(phi: Activation) -> None:
    x = smooth_grid(phi)
    np.testing.assert_allclose(phi.numpy(x + 1e-30j).real, phi.numpy(x), rtol=1e-13, atol=1e-15)
    h = 1e-6
    central = (phi.numpy(x + h) - phi.numpy(x - h)) / (2 * h)
    away = np.abs(x[:, None] - np.append(kinks(phi), 0)).min(axis=1) > 2 * h
    np.testing.assert_allclose(slope(phi, x)[away], central[away], atol=1e-8)


@each
def test_the_derivative_is_a_polynomial_in_the_own_output(phi: Activation) -> None:
    if phi.derivative is None:
        x = smooth_grid(phi)
        powers = np.vander(phi.numpy(x) / np.abs(phi.numpy(x)).max(), 7)
        fit = powers @ np.linalg.lstsq(powers, slope(phi, x))[0]
        assert np.abs(fit - slope(phi, x)).max() > 1e-6  # then no polynomial in y fits it
        return
    assert sympy.Poly(phi.derivative, y).is_univariate
    assert sympy.simplify(sympy.diff(phi.formula, a) - phi.derivative.subs(y, phi.formula)) == 0
    own = sympy.lambdify(y, phi.derivative, "numpy")(phi.numpy(GRID))
    np.testing.assert_allclose(slope(phi, GRID), own + 0 * GRID, rtol=1e-12, atol=1e-15)


@each
def test_the_slope_is_the_derivative_in_output_and_argument(phi: Activation) -> None:
    """Declared where no polynomial in the output is; what generated adjoints multiply by."""
    assert (phi.slope is None) is (phi.derivative is not None), "one of the two, so that none can be wrong"
    if phi.slope is None:
        return
    assert phi.slope.free_symbols <= {y, a}
    x = np.concatenate([smooth_grid(phi), FAR])
    own = sympy.lambdify((y, a), phi.slope, FUNCTIONS)(phi.numpy(x), x)
    np.testing.assert_allclose(own + 0 * x, slope(phi, x), rtol=1e-12, atol=1e-15)


@each
def test_at_a_kink_the_slope_is_the_one_that_torch_takes(phi: Activation) -> None:
    torch = pytest.importorskip("torch")
    if not phi.kinks:
        return
    x = torch.tensor(kinks(phi), requires_grad=True)
    code = phi.torch if "{}" in phi.torch else phi.torch + "({})"
    out = eval(code.format("x"), {"torch": torch, "F": torch.nn.functional, "x": x})
    out.sum().backward()
    own = sympy.lambdify((y, a), phi.slope, FUNCTIONS)(phi.numpy(kinks(phi)), kinks(phi))
    np.testing.assert_array_equal(own + 0 * kinks(phi), x.grad.numpy())


@each
def test_what_kernels_compute_is_exact_far_out_and_close_to_zero(phi: Activation) -> None:
    """``elementary`` where it is declared, else the formula itself: relative error, so no cancellation."""
    points = [-1e6, -700.0, -40.0, -3.5, -1e-3, -1e-9, 1e-9, 1e-3, 0.75, 40.0, 700.0, 1e6]
    exact = [float(sympy.N(phi.formula.subs(a, sympy.Rational(x)), 30)) for x in points]
    computed = sympy.lambdify(a, phi.formula if phi.elementary is None else phi.elementary, FUNCTIONS)
    with np.errstate(over="raise" if phi.elementary is not None else "ignore", under="ignore"):
        found = np.array([float(computed(np.float64(x))) for x in points])
    np.testing.assert_allclose(found, exact, rtol=1e-14, atol=1e-300)


@each
def test_elementary_is_declared_only_where_the_formula_fails(phi: Activation) -> None:
    if phi.elementary is None:
        return
    computed = sympy.lambdify(a, phi.formula, FUNCTIONS)
    with np.errstate(over="ignore"):
        assert not np.isfinite(computed(np.float64(1e4))) or computed(np.float64(-40.0)) == 0
    x = sympy.Rational(7, 5)
    for at in (x, -x):
        assert abs(sympy.N((phi.formula - phi.elementary).subs(a, at), 30)) < 1e-25


@each
def test_the_range_holds_every_value_and_no_more(phi: Activation) -> None:
    low, high = float(phi.range.inf), float(phi.range.sup)
    values = phi.numpy(np.concatenate([GRID, FAR]))
    assert (values >= low).all()
    assert (values <= high).all()
    inside = phi.numpy(np.linspace(-8, 8, 17))
    assert all(sympy.Float(v) in phi.range for v in inside)
    # both ends are approached, and reached exactly where the range is closed
    at_low, at_high = phi.numpy(np.array([-1e9, 1e9]))
    for value, end, closed in (
        (at_low, low, not phi.range.left_open),
        (at_high, high, not phi.range.right_open),
    ):
        if np.isinf(end):
            assert np.sign(value) == np.sign(end)
            assert abs(value) >= 1e8
        else:
            assert value == pytest.approx(end, abs=1e-8)
            assert not closed or value == end
    for end, is_open in ((phi.range.inf, phi.range.left_open), (phi.range.sup, phi.range.right_open)):
        if is_open and end.is_finite:
            assert phi.numpy(np.array([-15.0, 15.0]))[int(end == phi.range.sup)] != float(end)


@each
def test_the_lipschitz_constant_is_attained_and_never_exceeded(phi: Activation) -> None:
    bound = float(phi.lipschitz)
    slopes = np.abs(slope(phi, np.concatenate([smooth_grid(phi), FAR])))
    assert slopes.max() <= bound * (1 + 1e-12)
    assert slopes.max() >= bound * (1 - 1e-8)
    x = np.random.default_rng(0).normal(scale=4, size=(2, 4000))
    rise, run = np.abs(phi.numpy(x[0]) - phi.numpy(x[1])), np.abs(x[0] - x[1])
    assert (rise <= bound * run + 1e-15).all()  # across kinks, too


@each
def test_monotone(phi: Activation) -> None:
    rises = np.diff(phi.numpy(np.sort(np.concatenate([GRID, FAR]))))
    assert bool((rises >= 0).all()) is phi.monotone


@each
def test_reflection(phi: Activation) -> None:
    sums = phi.numpy(GRID) + phi.numpy(-GRID)
    if phi.reflection is None:
        assert np.ptp(sums) > 0.1
    else:
        np.testing.assert_allclose(sums, float(phi.reflection), atol=1e-15)
        assert (
            sympy.simplify((phi.formula + phi.formula.subs(a, -a)).rewrite(sympy.Piecewise)) == phi.reflection
        )


@each
def test_kinks_are_where_the_derivative_jumps(phi: Activation) -> None:
    h = 1e-9
    jump = np.abs(slope(phi, GRID + h) - slope(phi, GRID - h))
    places = {round(float(x), 6) for x in GRID[jump > 1e-3]}
    assert places == {float(k) for k in phi.kinks}


@each
def test_torch_agrees(phi: Activation) -> None:
    torch = pytest.importorskip("torch")
    if not phi.torch:
        assert phi == identity
        return
    code = phi.torch if "{}" in phi.torch else phi.torch + "({})"
    x = torch.tensor(np.concatenate([smooth_grid(phi), FAR]), requires_grad=True)
    out = eval(code.format("x"), {"torch": torch, "F": torch.nn.functional, "x": x})
    numbers = x.detach().numpy()
    np.testing.assert_allclose(out.detach().numpy(), phi.numpy(numbers), rtol=1e-14, atol=1e-15)
    out.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), slope(phi, numbers), rtol=1e-12, atol=1e-15)


@each
def test_is_gate_and_is_bounded(phi: Activation) -> None:
    values = phi.numpy(np.concatenate([GRID, FAR]))
    assert phi.is_gate is bool(values.min() >= 0 and values.max() <= 1)
    assert phi.is_bounded is bool(np.abs(values).max() <= 1)


@each
def test_an_activation_is_a_value(phi: Activation) -> None:
    for twin in (
        Activation(phi.name),
        copy.deepcopy(phi),
        pickle.loads(pickle.dumps(phi)),
        phi.func(phi.name),
    ):
        assert twin == phi
        assert hash(twin) == hash(phi)
        assert twin.range == phi.range
    assert str(phi) == phi.name
    assert [other for other in ACTIVATIONS.values() if other == phi] == [phi]
    assert phi != phi.name


@each
def test_calling_it_applies_it(phi: Activation) -> None:
    s = State("s")
    assert phi(s) == Activated(phi, s)
    assert phi(s).activation == phi
    cell = Cell("one", {s: phi(s.prev)})
    assert phi.name in repr(cell)
    assert phi.latex in cell.latex()
    assert (phi.text or phi.name) in str(cell)


@each
def test_names_for_every_reader(phi: Activation) -> None:
    assert phi.name.isidentifier()
    assert phi.latex.startswith("\\")
    assert phi.latex.count("{") == phi.latex.count("}")


def test_names_are_told_apart() -> None:
    for field in ("latex", "name", "formula"):
        assert len({getattr(phi, field) for phi in ACTIVATIONS.values()}) == len(ACTIVATIONS)
    assert len({phi.text or phi.name for phi in ACTIVATIONS.values()}) == len(ACTIVATIONS)


def test_known_derivatives() -> None:
    assert sigmoid.derivative == y * (1 - y)
    assert tanh.derivative == 1 - y**2
    assert (sigmoid.range, tanh.range) == (Interval.open(0, 1), Interval.open(-1, 1))
    assert identity.range == Interval(-oo, oo)


def test_unknown_activation() -> None:
    with pytest.raises(DeriveError) as info:
        Activation("sigmod")
    assert str(info.value) == (
        "unknown activation 'sigmod'; did you mean 'sigmoid' or 'hard_sigmoid'? "
        f"Known: {', '.join(ACTIVATIONS)}"
    )
    with pytest.raises(DeriveError, match=r"unknown activation 'xyz'\. Known: sigmoid, "):
        Activation("xyz")


def test_unknown_field() -> None:
    with pytest.raises(AttributeError, match="steepness"):
        _ = tanh.steepness
    assert not hasattr(tanh, "torchscript")


def test_one_entry_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new activation is one entry of the table, and everything that shows or runs a cell knows it."""
    import derive.activations

    square = Definition(
        latex=r"\operatorname{sq}",
        formula=a**2,
        numpy=lambda x: x**2,
        torch="torch.square",
        range=Interval(0, oo),
        derivative=None,
        lipschitz=oo,
        monotone=False,
    )
    monkeypatch.setitem(derive.activations._DEFINITIONS, "sq", square)
    s = State("s")
    cell = Cell("squares", {s: Activation("sq")(s.prev) / 2})
    assert r"\operatorname{sq}\left(s_{t-1}\right)" in cell.latex()
    _, (final,) = derive.evaluate(cell, {}, np.zeros((2, 0)), (np.array([2.0, 4.0]),))
    assert final.tolist() == [2.0, 32.0]
    assert not Activation("sq").is_gate
