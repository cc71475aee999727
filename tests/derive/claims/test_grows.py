"""Runs that grow: replayed, with nearly the slope that is possible."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import derive
from derive import Cell, Input, Parameter, State, Vector, relu, sigmoid, softsign, tanh
from derive.claims import recheck_certificate
from derive.claims.tools.drives import Numbers
from derive.symbols import affine_parameters

s, c, x = State("s"), State("c"), Input("x")
i, g = Vector("i"), Vector("g")
W, U, b = affine_parameters()
W_i, U_i, b_i = affine_parameters("i")


def grown(cell: str | Cell) -> dict[str, derive.Claim]:
    return {claim.name: claim for claim in derive.prove(cell) if claim.kind == "grows"}


@pytest.mark.parametrize("name", derive.catalogue())
def test_the_catalogue(name: str) -> None:
    """All that is not invariant grows by nearly 1 a step."""
    cell = derive.cell(name)
    linear = {c.certificate["state"] for c in derive.prove(name) if c.gist == "linear" and c.certificate}
    claims = grown(name)
    assert set(claims) == {f"grows-{state}" for state in linear}
    for claim in claims.values():
        assert claim.status == "proved"
        assert claim.recheck()
        run = Numbers.from_plain(cell, claim.certificate["run"])
        _, last = derive.evaluate(cell, run.parameters, run.inputs, run.state)
        size = np.abs(last[cell.states.index(claim.certificate["state"])]).max()
        assert size >= 0.99 * len(run.inputs)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("phi", [tanh, softsign, relu])
def test_cells_with_and_without_biases(phi: derive.Activation, bias: bool) -> None:
    cell = Cell("written", {i: sigmoid(W_i @ s.prev + b_i), s: s.prev + i * phi(W @ s.prev + b)}, output=s)
    claim = grown(cell if bias else cell.without_biases())["grows-s"]
    assert (claim.status, claim.recheck()) == ("proved", True)


def test_an_input_drives_where_there_is_no_bias() -> None:
    cell = Cell("deaf", {g: tanh(U @ x), s: s.prev + g}, output=s)
    claim = grown(cell)["grows-s"]
    assert claim.status == "proved"
    assert np.all(np.array(claim.certificate["run"]["parameters"]["U"]) != 0)


def test_where_no_run_is_found_it_says_so() -> None:
    """The increment is tied to what forgets: f s + (1 - f) relu(-s)."""
    p = Parameter("p", "n")
    cell = Cell("tied", {s: s.prev + tanh(p * s.prev**2) ** 2 / 100}, output=s)
    claim = grown(cell)["grows-s"]
    assert claim.status == "unknown"
    assert claim.attempts


def test_a_tampered_run_fails() -> None:
    document = grown("lstm")["grows-c"].to_json()
    assert recheck_certificate(document)
    for change in ({"reached": [0.0, 60.0]}, {"state": "h"}):
        other = copy.deepcopy(document)
        other["certificate"] |= change
        assert not recheck_certificate(other)
    other = copy.deepcopy(document)
    other["certificate"]["run"]["parameters"]["b_f"] = [0.0, 0.0]
    assert not recheck_certificate(other)
