"""How fast a state can grow: the class, the slope, the ratios; and no run that grows faster."""

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from sympy import S

import derive
from derive import Cell, Input, Parameter, State, relu, sigmoid, tanh
from derive.bounds import growth
from derive.bounds.growth import Growth
from derive.bounds.symbols import input_symbol, norm_symbol
from tests.strategies import cells, gated_cells, numbers

s, h, x = State("s"), State("h"), Input("x")
W, U, b, p = Parameter("W", "n", "n"), Parameter("U", "n", "m"), Parameter("b", "n"), Parameter("p", "n")


def classes(cell: Cell) -> dict[str, tuple[str, sympy.Expr]]:
    return {g.state.name: (g.kind, g.slope) for g in growth(cell)}


INVARIANT, LINEAR = ("invariant", S.Zero), ("linear", S.One)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vanilla", {"s": INVARIANT}),
        ("gru", {"s": INVARIANT}),
        ("prototype", {"s": LINEAR}),
        ("normalized-prototype", {"s": LINEAR}),
        ("pseudo-lstm", {"s": LINEAR}),
        ("lstm", {"h": INVARIANT, "c": LINEAR}),
        ("peephole-lstm", {"h": INVARIANT, "c": LINEAR}),
    ],
)
def test_of_the_catalogue(name: str, expected: dict[str, tuple[str, sympy.Expr]]) -> None:
    assert classes(derive.cell(name)) == expected


@pytest.mark.parametrize("name", derive.catalogue())
def test_no_cell_of_the_catalogue_grows_geometrically(name: str) -> None:
    for found in growth(derive.cell(name)):
        assert found.kind in ("invariant", "linear")
        assert found.slope in (0, 1)


def test_what_is_written_is_the_slope() -> None:
    cell = Cell("adds", {s: s.prev + tanh(W @ s.prev) + U @ x + b})
    (found,) = growth(cell)
    norms = {k: norm_symbol(k) for k in "UWb"}
    assert found.kind == "linear"
    assert found.slope == 1 + norms["U"] * input_symbol("x") + norms["b"]


def test_a_matrix_or_relu_on_the_state_is_geometric() -> None:
    (found,) = growth(Cell("relu", {s: relu(W @ s.prev + b)}))
    assert (found.kind, found.slope, found.ratios) == ("geometric", norm_symbol("b"), {"s": norm_symbol("W")})
    (found,) = growth(Cell("doubles", {s: 2 * s.prev + sigmoid(b)}))
    assert (found.kind, found.slope, found.ratios) == ("geometric", 1, {"s": 2})


def test_softplus_adds_its_value_at_zero() -> None:
    (found,) = growth(Cell("softplus", {s: derive.ACTIVATIONS["softplus"](s.prev)}))
    assert found.kind == "linear"
    assert found.slope == sympy.log(2)


def test_a_state_that_adds_up_another_one_is_not_linear() -> None:
    """h grows by 1 a step, so s, which adds up p h, does not grow by a fixed amount."""
    cell = Cell("twice", {h: h.prev + tanh(U @ x), s: s.prev + p * h.prev}, states=["s", "h"])
    first, second = growth(cell)
    assert (first.kind, first.ratios) == ("geometric", {"s": 1, "h": norm_symbol("p")})
    assert (second.kind, second.slope) == ("linear", 1)


def test_a_product_of_two_states_is_unknown() -> None:
    cell = Cell("squares", {s: s.prev * s.prev + b})
    assert classes(cell) == {"s": ("unknown", S.Zero)}


def run(cell: Cell, found: tuple[Growth, ...], scale: float, seed: int) -> None:
    """|s| after every step of one run, against what the class allows."""
    params, inputs, state = numbers(cell, n=3, m=2, T=12, B=None, seed=seed)
    params = {k: scale * v for k, v in params.items()}
    values = {
        norm_symbol(k): np.abs(v).sum(axis=1).max() if v.ndim == 2 else np.abs(v).max()
        for k, v in params.items()
    }
    for name in cell.inputs:
        values[input_symbol(name)] = np.abs(inputs).max(initial=0.0)
    size = {name: np.abs(v).max() for name, v in zip(cell.states, state, strict=True)}
    for row in inputs:
        _, state = derive.evaluate(cell, params, row[None], state)
        now = {name: np.abs(v).max() for name, v in zip(cell.states, state, strict=True)}
        for g in found:
            slope, name = float(g.slope.subs(values)), g.state.name
            most = np.inf
            if g.kind == "linear":
                most = size[name] + slope
            elif g.kind == "geometric":
                assert g.ratios is not None
                most = slope + sum(float(r.subs(values)) * size[k] for k, r in g.ratios.items())
            elif g.kind == "invariant":
                most = max(size[name], float(max(abs(g.box.range.low), abs(g.box.range.high))))
            assert now[name] <= most * (1 + 1e-12) + 1e-12, (name, g.kind)
        size = now
        if max(size.values()) > 1e100:
            break


@given(cells())
@settings(max_examples=25)
def test_no_random_cell_grows_faster(cell: Cell) -> None:
    found = growth(cell)
    for seed, scale in enumerate((0.3, 1.0, 20.0)):
        run(cell, found, scale, seed)


@given(gated_cells())
@settings(max_examples=12)
def test_no_gated_cell_grows_faster(cell: Cell) -> None:
    found = growth(cell)
    for seed, scale in enumerate((0.3, 1.0, 20.0)):
        run(cell, found, scale, seed)


def test_the_slope_is_reached() -> None:
    """The prototype with saturated gates adds nearly 1 a step."""
    cell = derive.cell("prototype")
    params, inputs, _ = numbers(cell, B=None, T=30)
    params = {k: np.full_like(v, 40.0) if v.ndim == 1 else 0 * v for k, v in params.items()}
    _, (end,) = derive.evaluate(cell, params, inputs)
    assert end == pytest.approx(np.full(3, 30.0), abs=1e-6)
