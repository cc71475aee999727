"""Reads: every one squashed, or a raw one with its numbers."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import derive
from derive import Cell, Input, State, Vector, affine_parameters, relu, sigmoid, tanh
from derive.anatomy import memories
from derive.claims import recheck_certificate
from derive.claims.reads import reads_bounded
from derive.evaluate import step
from tests.strategies import cells, gated_cells, numbers

s, h, c, x = State("s"), State("h"), State("c"), Input("x")
a, f, g, u, y = (Vector(name) for name in ("a", "f", "g", "u", "y"))
W, U, b = affine_parameters()
PROVED = {"pseudo-lstm", "lstm"} | {f"pseudo-lstm-d{d}" for d in (1, 2, 3, 12, 13, 23)}


@pytest.mark.parametrize("name", [n for n in derive.catalogue() if n != "vanilla"])
def test_the_catalogue(name: str) -> None:
    (memory,) = memories(derive.cell(name))
    claim = reads_bounded(derive.cell(name), memory.state)
    assert claim.status == ("proved" if name in PROVED else "refuted")
    assert claim.recheck()


def test_reads_are_bounded() -> None:
    claim = reads_bounded(derive.cell("pseudo-lstm"), s)
    assert str(claim) == (
        "proved: every read of s passes an activation of bounded range and stays in (-1, 1)"
    )
    assert {name for name, _ in claim.certificate["reads"]} == {"i", "o", "f", "s_tilde", "y"}


@pytest.mark.parametrize(
    ("equations", "at"),
    [
        ({s: s.prev + tanh(W @ s.prev), y: tanh(s)}, "s"),
        ({s: s.prev + W @ relu(s.prev), y: tanh(s)}, "s"),
        ({s: s.prev + W @ tanh(s.prev), y: b * s}, "y"),
        ({s: s.prev + W @ tanh(s.prev)}, "s"),  # the output is the state itself
        ({u: 1 * s.prev, s: u + tanh(W @ u + b)}, "s"),  # under another name
    ],
)
def test_raw_reads_come_with_a_large_value(equations: dict[Any, Any], at: str) -> None:
    cell = Cell("raw", equations, output=y if y in equations else s)
    claim = reads_bounded(cell, s)
    assert claim.status == "refuted"
    assert claim.counterexample["equation"] == at
    assert claim.counterexample["value"] >= 500
    assert claim.recheck()


def test_a_state_that_nothing_reads() -> None:
    blind = sigmoid(U @ x + b)
    unread = Cell("unread", {f: blind, g: tanh(U @ x + b), s: f * s.prev + (1 - f) * g})
    assert reads_bounded(unread, s).statement == "nothing reads s"


def test_wrong_reads_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("derive.claims.reads.find_reads", lambda *_: [])
    cell = Cell("bare", {s: s.prev + tanh(W @ s.prev), y: tanh(s)}, output=y)
    claim = reads_bounded(cell, s)
    assert claim.status == "proved"  # wrongly
    assert not claim.recheck()


def test_tampered_certificates_fail() -> None:
    document = reads_bounded(derive.cell("lstm"), c).to_json()
    assert recheck_certificate(document)
    fewer = copy.deepcopy(document)
    fewer["certificate"]["reads"] = []
    assert not recheck_certificate(fewer)
    refuted = reads_bounded(derive.cell("gru"), s).to_json()
    assert recheck_certificate(refuted)
    for change in ({"value": 1.0}, {"read": ["tanh", "s[t-1]"]}, {"read": "x"}, {"equation": "nothing"}):
        other = copy.deepcopy(refuted)
        other["counterexample"] |= change
        assert not recheck_certificate(other)


@given(st.one_of(cells(), gated_cells()), st.integers(0, 2**16))
def test_squashed_reads_hide_a_large_state(cell: Cell, seed: int) -> None:
    """Where every read is squashed, what the state is not written through hardly tells 1e9 from 1e10."""
    for memory in memories(cell):
        claim = reads_bounded(cell, memory.state)
        assert claim.recheck() == (claim.status != "unknown")
        if claim.status != "proved":
            continue
        params, inputs, start = numbers(cell, T=1, B=None, seed=seed)
        place = cell.states.index(memory.state.name)
        found = []
        for size in (1e9, 1e10):
            state = tuple(np.full_like(v, size) if k == place else v for k, v in enumerate(start))
            with np.errstate(all="ignore"):
                found.append(step(cell, params, inputs[0], state))
        through = {v.name for v in memory.via}
        others = [name for name in found[0] if name not in through]
        for name in others:
            assert np.allclose(found[0][name], found[1][name], rtol=1e-6, atol=1e-6)
