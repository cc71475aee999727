"""Linear and diagonal recurrences: what a parallel scan can compute."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import derive
from derive import Cell, Input, Parameter, State, Vector, affine_parameters, mean, sigmoid, tanh
from derive.anatomy import states
from derive.claims import recheck_certificate
from derive.claims.linear import diagonal, is_linear_recurrence, linear
from tests.strategies import cells, gated_cells, numbers

s, h, c, x = State("s"), State("h"), State("c"), Input("x")
z, g = Vector("z"), Vector("g")
W, U, b = affine_parameters()
W_z, U_z, b_z = affine_parameters("z")
p = Parameter("p", "n")

MINIMAL = Cell(
    "minimal-gru",
    {z: sigmoid(U_z @ x + b_z), g: tanh(U @ x + b), s: z * s.prev + (1 - z) * g},
    output=s,
)
CASES = [
    (MINIMAL, True, True),
    (Cell("map", {s: W @ s.prev + U @ x}, output=s), True, False),
    (Cell("mean", {s: mean(s.prev) + b}, output=s), True, False),
    (Cell("diagonal", {s: p * s.prev + U @ x}, output=s), True, True),
    (Cell("curved", {s: tanh(p * s.prev + b)}, output=s), False, True),
    (Cell("square", {s: s.prev**2 + b}, output=s), False, True),
    (Cell("squared-gate", {z: sigmoid(b), s: z**2 * s.prev}, output=s), True, True),
    (Cell("product", {h: b * h.prev, c: h.prev * c.prev + h}, output=c), False, True),
    (Cell("sum", {h: b * h.prev, c: h.prev + p * c.prev + h}, output=c), True, True),
    (Cell("alike", {s: derive.identity(p * s.prev + U @ x)}, output=s), True, True),
    (derive.cell("gru"), False, False),
    (derive.cell("lstm"), False, False),
]


@pytest.mark.parametrize(("cell", "affine", "elementwise"), CASES)
def test_what_is_linear_and_what_is_diagonal(cell: Cell, affine: bool, elementwise: bool) -> None:
    last = states(cell)[-1]
    for claim, holds in ((linear(cell, last), affine), (diagonal(cell, last), elementwise)):
        assert claim.status == ("proved" if holds else "refuted")
        assert claim.recheck()
    assert is_linear_recurrence(cell) == (affine and elementwise)
    assert is_linear_recurrence(cell, diagonal=False) == affine


@pytest.mark.parametrize("name", derive.catalogue())
def test_nothing_in_the_catalogue_is_either(name: str) -> None:
    claims = [claim for claim in derive.prove(name) if claim.kind == "linear"]
    assert len(claims) == 2 * len(derive.cell(name).states)
    assert all(claim.status == "refuted" and claim.recheck() for claim in claims)
    assert not is_linear_recurrence(name)


def test_tampered_numbers_and_words_fail() -> None:
    true = linear(MINIMAL, s).to_json()
    assert recheck_certificate(true)
    for change in ({"words": {"s": ["I"]}}, {"what": "everything"}):
        other = copy.deepcopy(true)
        other["certificate"] |= change
        assert not recheck_certificate(other)
    false = diagonal(derive.cell("gru"), s).to_json()
    assert recheck_certificate(false)
    same, more = copy.deepcopy(false), copy.deepcopy(false)
    same["counterexample"]["runs"][1] = same["counterexample"]["runs"][0]
    more["counterexample"]["runs"][1]["inputs"] = [[5.0, 5.0]]
    assert not recheck_certificate(same)
    assert not recheck_certificate(more)


def test_a_wrong_first_method_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("derive.claims.linear._is_linear", lambda *_: True)
    monkeypatch.setattr("derive.claims.linear._is_diagonal", lambda *_: True)
    for claim in (linear(derive.cell("gru"), s), diagonal(derive.cell("gru"), s)):
        assert claim.status == "refuted"  # the second method did not agree, and numbers decided


def test_a_wrong_pair_of_methods_is_found_out_by_the_recheck(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("derive.claims.linear._is_linear", lambda *_: True)
        patch.setattr("derive.claims.linear._agrees", lambda *_: True)
        claim = linear(derive.cell("gru"), s)
        assert claim.status == "proved"  # wrongly
    assert not claim.recheck()


def test_what_cancels_is_left_undecided() -> None:
    """W (-s) + W s vanishes in the Jacobian, not in the equations."""
    cell = Cell("cancelling", {s: s.prev + W @ (-s.prev) + W @ s.prev + b}, output=s)
    assert diagonal(cell, s).status == "unknown"
    assert diagonal(cell, s).attempts


@given(st.one_of(cells(), gated_cells()), st.integers(0, 2**16))
def test_a_linear_state_is_affine_in_numbers(cell: Cell, seed: int) -> None:
    params, inputs, one = numbers(cell, T=1, B=None, seed=seed)
    _, _, other = numbers(cell, T=1, B=None, seed=seed + 1)
    middle = tuple((u + v) / 2 for u, v in zip(one, other, strict=True))
    near = tuple(np.concatenate([v[:1], v[1:] + 1]) for v in one)
    with np.errstate(all="ignore"):
        first, second, between, moved = (
            derive.evaluate(cell, params, inputs, start)[1] for start in (one, other, middle, near)
        )
    for place, state in enumerate(states(cell)):
        affine, elementwise = linear(cell, state), diagonal(cell, state)
        for claim in (affine, elementwise):
            assert claim.recheck() == (claim.status != "unknown")
        if affine.status == "proved":
            assert np.allclose((first[place] + second[place]) / 2, between[place], rtol=1e-9, atol=1e-9)
        if elementwise.status == "proved":
            assert np.allclose(first[place][:1], moved[place][:1], rtol=1e-9, atol=1e-9)
