"""Each malformed declaration gets its message, and what is well-formed is let through."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import assume, given
from hypothesis import strategies as st
from sympy import Float, Rational

from derive import Cell, DeriveError, Input, MalformedCell, Parameter, State, Vector, mean, sigmoid, tanh
from derive.symbols import affine_parameters, atoms
from derive.wellformed import axes_of
from tests.derive.malformed import BAD, Bad
from tests.strategies import cells, gated_cells

s, x, f = State("s"), Input("x"), Vector("f")
W, U, b = affine_parameters()
gate = sigmoid(Parameter("V", "n", "n") @ s.prev)
write = tanh(W @ s.prev + U @ x + b)


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.id)
def test_malformed(bad: Bad) -> None:
    with pytest.raises(MalformedCell) as info:
        Cell(bad.name, bad.equations, **(bad.options or {}))
    assert str(info.value) == bad.message
    assert isinstance(info.value, DeriveError)
    assert isinstance(info.value, ValueError)
    assert info.value.__cause__ is None  # no traceback of SymPy's in front


def test_there_are_fifty_and_each_is_different() -> None:
    assert len({bad.id for bad in BAD}) == len(BAD) >= 50


GOOD = {
    "an elementwise read": {s: f * s.prev + write, f: gate},
    "pairs": [(s, write)],
    "a generator": ((v, e) for v, e in [(s, write)]),
    "a rational power": {s: s.prev / (s.prev**2 + 1) ** Rational(3, 2)},
    "an irrational coefficient": {s: sympy.sqrt(2) * s.prev},
    "a NumPy coefficient": {s: np.float64(0.5) * s.prev},
    "means over both axes": {s: s.prev - mean(s.prev) + U @ (x - mean(x, "m"))},
    "a vector with axes of its own": {
        Vector("k", "width"): tanh(Parameter("A", "width", "n") @ s.prev),
        s: s.prev + Parameter("D", "n", "width") @ Vector("k", "width"),
    },
}
GOOD["an elementwise read"] = dict(reversed(GOOD["an elementwise read"].items()))


@pytest.mark.parametrize("name", GOOD)
def test_well_formed(name: str) -> None:
    assert Cell("good", GOOD[name]).states == ("s",)


def test_floats_are_kept_as_float64() -> None:
    cell = Cell("leak", {s: Float("0.1", 50) * s.prev + Rational(1, 3) * tanh(W @ s.prev)})
    assert cell.equations[s] == 0.1 * s.prev + Rational(1, 3) * tanh(W @ s.prev)


def test_axes_of() -> None:
    M = State("M", "slots", "width")
    assert axes_of(sympy.Integer(3)) == ()
    assert axes_of(2 * s.prev) == ("n",)
    assert axes_of(tanh(U @ x)) == ("n",)
    assert axes_of(Parameter("K", "key", "width") @ M.prev + Vector("A", "slots", "key")) == ("slots", "key")
    assert axes_of(Parameter("K", "key", "slots") @ M.prev) == ("key", "width")
    assert axes_of(mean(M.prev, "width")) == ("slots", "width")


def _without(cell: Cell, data: st.DataObject) -> Any:
    """An equation less: its vector is then read but never written, or was the output."""
    missed = [v for v in cell.equations if v.name == cell.output or set(cell.graph[v.name]) - {v.name}]
    assume(missed)
    gone = data.draw(st.sampled_from(missed))
    return {v: e for v, e in cell.equations.items() if v != gone}


def _twice(cell: Cell, data: st.DataObject) -> Any:
    pairs = list(cell.equations.items())
    return [*pairs, data.draw(st.sampled_from(pairs))]


def _flattened(cell: Cell, data: st.DataObject) -> Any:
    """A matrix in the place of a vector."""
    gone = data.draw(st.sampled_from(sorted(cell.states)))
    past = cell.symbols[f"{gone}[t-1]"]
    return {v: e.xreplace({past: Parameter("Q", "n", "n")}) for v, e in cell.equations.items()}


@pytest.mark.parametrize("spoil", [_without, _twice, _flattened], ids=lambda f: f.__name__)
@given(cell=st.one_of(cells(), gated_cells()), data=st.data())
def test_a_spoilt_cell_is_refused(
    spoil: Callable[[Cell, st.DataObject], Any], cell: Cell, data: st.DataObject
) -> None:
    with pytest.raises(MalformedCell) as info:
        Cell("spoilt", spoil(cell, data), output=cell.output)
    assert "expected" in str(info.value)


@given(cell=st.one_of(cells(), gated_cells()))
def test_order_matters_exactly_where_something_is_read(cell: Cell) -> None:
    pairs = list(cell.equations.items())
    for first, second in itertools.pairwise(pairs):
        swapped = [second if p == first else first if p == second else p for p in pairs]
        if first[0] in atoms(second[1]):
            with pytest.raises(MalformedCell, match="used before it is written"):
                Cell("swapped", swapped, output=cell.output)
        else:
            assert Cell("swapped", swapped, output=cell.output).parameters.keys() == cell.parameters.keys()
