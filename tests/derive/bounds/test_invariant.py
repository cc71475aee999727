"""Invariant boxes: the smallest interval around 0 that no step leaves, whatever the weights and the input."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from sympy import Rational, S, oo

import derive
from derive import Cell, Input, Parameter, State, Vector, hard_sigmoid, relu, sigmoid, softsign, tanh
from derive.bounds import StateBox, invariant_boxes
from derive.bounds.invariant import inlined_to_activations, rational_ends
from derive.bounds.ranges import Range
from derive.calculus.polynomials import with_generators
from derive.symbols import Activated
from tests.strategies import gated_cells, numbers

s, h, c, x = State("s"), State("h"), State("c"), Input("x")
W, V = Parameter("W", "n", "n"), Parameter("V", "n", "n")
W_z, U, b = Parameter("W_z", "n", "n"), Parameter("U", "n", "m"), Parameter("b", "n")
z, i, f = Vector("z"), Vector("i"), Vector("f")


def box(cell: Cell, state: str = "s") -> tuple[sympy.Expr, sympy.Expr]:
    found = next(b for b in invariant_boxes(cell) if b.state.name == state)
    return found.range.low, found.range.high


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("vanilla", {"s": (-1, 1)}),
        ("gru", {"s": (-1, 1)}),
        ("prototype", {"s": (-oo, oo)}),
        ("normalized-prototype", {"s": (-oo, oo)}),
        ("pseudo-lstm", {"s": (-oo, oo)}),
        ("lstm", {"h": (-1, 1), "c": (-oo, oo)}),
        ("peephole-lstm", {"h": (-1, 1), "c": (-oo, oo)}),
    ],
)
def test_of_the_catalogue(name: str, ends: dict[str, tuple[sympy.Expr, sympy.Expr]]) -> None:
    cell = derive.cell(name)
    assert {b.state.name: (b.range.low, b.range.high) for b in invariant_boxes(cell)} == ends


def gated(candidate: sympy.Expr, keep: sympy.Expr = z, write: sympy.Expr = 1 - z) -> Cell:
    equations = {z: sigmoid(W_z @ s.prev + b), s: keep * s.prev + write * candidate}
    return Cell("by-hand", equations)


CANDIDATE = W @ s.prev + U @ x


@pytest.mark.parametrize(
    ("cell", "low", "high"),
    [
        (gated(tanh(CANDIDATE)), -1, 1),
        (gated(sigmoid(CANDIDATE)), 0, 1),
        (gated(hard_sigmoid(CANDIDATE)), 0, 1),
        (gated(softsign(CANDIDATE)), -1, 1),
        (gated(3 * sigmoid(CANDIDATE) - 1), -1, 2),
        (gated(tanh(CANDIDATE) + Rational(1, 2)), Rational(-1, 2), Rational(3, 2)),
        (gated(relu(CANDIDATE)), -oo, oo),
        (gated(tanh(CANDIDATE), write=z), -oo, oo),  # z s + z s̃: both gates open
        (gated(tanh(CANDIDATE), keep=Rational(1, 2) + 0 * z, write=z), -2, 2),
        (gated(sigmoid(CANDIDATE), keep=Rational(1, 2) + 0 * z, write=z), 0, 2),
        (gated(tanh(CANDIDATE), keep=-Rational(1, 2) + 0 * z, write=z), -2, 2),
        # s' = -s/2 + y with y in [0, 1]: high = 1 - low/2 and low = -high/2
        (gated(sigmoid(CANDIDATE), keep=-Rational(1, 2) + 0 * z, write=z), Rational(-2, 3), Rational(4, 3)),
        (gated(tanh(CANDIDATE), keep=S.One, write=z), -oo, oo),
        (gated(tanh(CANDIDATE), keep=z / 2, write=1 - z), -1, 1),  # z = 0: all is written anew
        (gated(2 * tanh(CANDIDATE), keep=z * (1 - z), write=z**2), -2, 2),
    ],
)
def test_the_smallest_box(cell: Cell, low: sympy.Expr, high: sympy.Expr) -> None:
    assert box(cell) == (low, high)


def test_two_states_that_lean_on_each_other() -> None:
    """c is bounded by itself, h by c through the coupled gate."""
    cell = Cell(
        "two",
        {
            z: sigmoid(W_z @ h.prev),
            c: z * c.prev + (1 - z) * tanh(W @ h.prev),
            h: z * h.prev + (1 - z) * 2 * tanh(W @ c),
        },
        states=["h", "c"],
    )
    assert box(cell, "c") == (-1, 1)
    assert box(cell, "h") == (-2, 2)


def test_a_state_that_reads_the_new_value_of_another() -> None:
    """h = o tanh(c) with a coupled c in [-1, 1]: tanh(1), though c as a sum of two products says tanh(2)."""
    cell = Cell(
        "coupled",
        {
            z: sigmoid(W_z @ h.prev),
            c: z * c.prev + (1 - z) * tanh(W @ h.prev),
            h: sigmoid(V @ h.prev) * tanh(c),
        },
        states=["h", "c"],
    )
    assert float(box(cell, "h")[1]) == pytest.approx(np.tanh(1), abs=2e-6)
    assert box(cell, "h")[1] >= sympy.tanh(1)


def test_what_would_shrink_for_ever_ends() -> None:
    """h = tanh(c), c = tanh(h): every pass takes one more tanh; what is returned is inductive."""
    cell = Cell("mutual", {h: tanh(c.prev), c: tanh(h.prev) * sigmoid(b)}, states=["h", "c"])
    found = {b.state.name: b.range for b in invariant_boxes(cell)}
    assert 0 < found["h"].high < 1
    assert sympy.tanh(found["c"].high) <= found["h"].high
    assert sympy.tanh(found["h"].high) <= found["c"].high


def test_rational_ends_are_rounded_outward() -> None:
    low, high = rational_ends(Range(-sympy.tanh(1), sympy.tanh(1)))
    assert low < -sympy.tanh(1)
    assert high > sympy.tanh(1)
    assert high - sympy.tanh(1) < Rational(1, 1 << 19)
    assert rational_ends(Range(Rational(-1, 3), S.Zero)) == (Fraction(-1, 3), Fraction(0))


def test_inlined_down_to_activations() -> None:
    cell = derive.cell("lstm")
    o, f_, i_ = (cell.symbols[k] for k in "ofi")
    candidate = cell.symbols["c_tilde"]
    c_ = next(q for q in cell.equations if str(q) == "c")
    assert inlined_to_activations(cell, cell.symbols["h"]) == o * tanh(c_)
    assert inlined_to_activations(cell, c_) == f_ * c_.prev + i_ * candidate


def corners(found: StateBox) -> tuple[sympy.Expr, sympy.Expr]:
    """The extremes over the corners of all ranges, of a polynomial that is affine in each."""
    polynomial, meanings = with_generators(sympy.expand(found.next))
    nodes = {node: symbol for symbol, node in meanings.items()}
    axes = [(nodes.get(g, g), (r.low, r.high)) for g, r in found.generators.items()]
    axes.append((found.state.prev, (found.range.low, found.range.high)))
    assert all(sympy.degree(polynomial, v) <= 1 for v, _ in axes)
    values = [
        polynomial.xreplace(dict(zip((v for v, _ in axes), point, strict=True)))
        for point in product(*(ends for _, ends in axes))
    ]
    return min(values), max(values)


@given(gated_cells())
@settings(max_examples=25)
def test_of_gated_cells_exactly(cell: Cell) -> None:
    """What is affine in each variable is extreme at corners: they do not leave the box, and they reach it."""
    for found in invariant_boxes(cell):
        if found.is_bounded and not isinstance(cell.equations[found.state], Activated):
            if any(not r.is_finite for r in found.generators.values()) or "**" in str(found.next):
                continue
            ends = [float(end) for end in corners(found)]
            assert ends == pytest.approx([float(found.range.low), float(found.range.high)], abs=1e-5)


@given(gated_cells())
@settings(max_examples=6)
def test_of_gated_cells_by_running(cell: Cell) -> None:
    """Large weights drive gates and candidates to their ends: the box is kept, and 1% less is left."""
    boxes = invariant_boxes(cell)
    low = {b.state.name: float(b.range.low) for b in boxes if b.is_bounded}
    high = {b.state.name: float(b.range.high) for b in boxes if b.is_bounded}
    reached = {name: [0.0, 0.0] for name in low}
    for seed in range(3):
        params, inputs, _ = numbers(cell, n=8, T=40, B=None, seed=seed)
        large = {k: 40.0 * v for k, v in params.items()}
        rng = np.random.default_rng(seed)
        state = tuple(
            rng.choice([low[b.state.name], high[b.state.name]], 8)
            if b.is_bounded
            else 1e4 * rng.normal(size=8)
            for b in boxes
        )
        for row in inputs:
            _, state = derive.evaluate(cell, large, row[None], state)
            for name, value in zip(cell.states, state, strict=True):
                if name in low:
                    assert (value >= low[name] - 1e-9).all()
                    assert (value <= high[name] + 1e-9).all()
                    reached[name][0] = min(reached[name][0], value.min())
                    reached[name][1] = max(reached[name][1], value.max())
    for name, (least, most) in reached.items():
        size = max(-low[name], high[name])
        # one side may be out of reach of these weights; the larger one is not
        assert max(most / size, -least / size) > 0.99, (name, least, most)
