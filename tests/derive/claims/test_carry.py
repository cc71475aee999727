"""Carries: found where there are any, attacked by random states, refuted with numbers where not."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from sympy import Rational

import derive
from derive import Cell, Claim, Input, State, Vector, hard_sigmoid, identity, relu, sigmoid, softsign, tanh
from derive.anatomy import states
from derive.claims import recheck_certificate
from derive.claims.carry import carries_at, carry
from derive.claims.tools.drives import Numbers, settle, zeros
from derive.symbols import affine_parameters
from tests.strategies import cells, gated_cells, numbers

s, h, c, x = State("s"), State("h"), State("c"), Input("x")
a, f, i, z = (Vector(name) for name in ("a", "f", "i", "z"))
W, U, b = affine_parameters()
W_f, U_f, b_f = affine_parameters("f")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vanilla", {}),
        ("prototype", {"s": "f=1,i=0"}),
        ("normalized-prototype", {}),
        ("gru", {"s": "z=1"}),
        ("pseudo-lstm", {"s": "f=1,i=0"}),
        ("pseudo-lstm-d1", {"c": "f=1,i=0"}),
        ("pseudo-lstm-d2", {"s": "f=1,i=0"}),
        ("pseudo-lstm-d3", {"s": "f=1,i=0"}),
        ("pseudo-lstm-d12", {"c": "f=1,i=0"}),
        ("pseudo-lstm-d13", {"c": "f=1,i=0"}),
        ("pseudo-lstm-d23", {"s": "f=1,i=0"}),
        ("lstm", {"c": "f=1,i=0"}),
        ("peephole-lstm", {"c": "f=1,i=0"}),
    ],
)
def test_the_catalogue(name: str, expected: dict[str, str]) -> None:
    cell = derive.cell(name)
    found = {state.name: carry(cell, state) for state in states(cell)}
    assert {state: claim.gist for state, claim in found.items() if claim.status == "proved"} == expected
    assert all(claim.recheck() for claim in found.values() if claim.status == "proved")
    assert all(claim.attempts for claim in found.values() if claim.status == "unknown")


def unit(phi: Any, *more: Any) -> Cell:
    return Cell("unit", {s: phi(W @ s.prev + sum((U @ x, b, *more)))}, output=s)


@pytest.mark.parametrize(
    ("cell", "gist", "tail"),
    [
        (unit(relu), "U=0,W=I,b=0", " for s > 0"),
        (unit(identity), "U=0,W=I,b=0", ""),
        (unit(hard_sigmoid), "U=0,W=6 I,b=-3", " for s > 0 and s < 1"),
        (Cell("linear", {s: W @ s.prev + b}, output=s), "W=I,b=0", ""),
        (Cell("diagonal", {s: b * s.prev + U @ x}, output=s), "U=0,b=1", ""),
        (Cell("summed", {s: s.prev + tanh(W @ s.prev + b)}, output=s), "W=0,b=0", ""),
        (Cell("nested", {a: relu(W @ s.prev), s: relu(a)}, output=s), "W=I", " for s > 0"),
    ],
)
def test_weights_that_carry(cell: Cell, gist: str, tail: str) -> None:
    claim = carry(cell, s)
    assert (claim.status, claim.gist) == ("proved", gist)
    assert claim.statement.endswith(f"returns s unchanged{tail}, and ∂sₜ/∂sₜ₋₁ = I")
    assert claim.recheck()


@pytest.mark.parametrize("phi", [tanh, sigmoid, softsign])
def test_curved_activations_do_not(phi: Any) -> None:
    assert carry(unit(phi), s).status == "unknown"


def test_a_gate_without_slope_at_its_end_carries_and_one_with_slope_does_not() -> None:
    """At s̃ = 0 the step returns s, but the Jacobian is I + W."""
    cell = derive.apply("write-incrementally", "vanilla").after
    assert carries_at(cell, s, {"s_tilde": 0}).status == "proved"
    assert carries_at(cell, s, {"s_tilde": 0}, jacobian=True).status == "unknown"
    hard = Cell("hard", {f: hard_sigmoid(W_f @ s.prev + b_f), s: f * s.prev + (1 - f) * tanh(U @ x)})
    assert carry(hard, s).gist == "f=1"


REFUTED: list[tuple[str, str, dict[str, int]]] = [
    ("gru", "s", {"z": 0}),
    ("prototype", "s", {"f": 1}),
    ("prototype", "s", {}),
    ("lstm", "c", {"f": 0, "i": 0}),
    ("lstm", "h", {"o": 1}),
    ("vanilla", "s", {}),
    ("normalized-prototype", "s", {"f": 1, "i": 0}),
]


@pytest.mark.parametrize(("name", "state", "setting"), REFUTED)
def test_a_carry_that_does_not_exist_is_refuted_with_numbers(
    name: str, state: str, setting: dict[str, int]
) -> None:
    cell = derive.cell(name)
    claim = carries_at(cell, state, setting)
    assert claim.status == "refuted"
    assert claim.recheck()
    run = Numbers.from_plain(cell, claim.counterexample["run"])
    _, after = derive.evaluate(cell, run.parameters, run.inputs, run.state)
    place = cell.states.index(state)
    assert np.array_equal(after[place], claim.counterexample["returns"])
    assert np.abs(after[place] - run.state[place]).max() > 1e-6
    vectors = run.first_step(cell)
    for gate, value in setting.items():
        assert np.all(vectors[gate] == value)


def test_the_normalized_prototype_returns_another_state() -> None:
    claim = carries_at(derive.cell("normalized-prototype"), "s", {"f": 1, "i": 0})
    assert claim.counterexample["run"]["state"] == [[1.0, -1.0]]
    assert np.allclose(claim.counterexample["returns"], [0.5**0.5, -(0.5**0.5)])


def test_what_cannot_be_driven_is_unknown() -> None:
    cell = Cell("stiff", {f: sigmoid(s.prev**2), s: f * s.prev + tanh(W @ s.prev)}, output=s)
    claim = carries_at(cell, s, {f: 0})
    assert claim.status == "unknown"
    assert "weights that put the vectors at the setting" in claim.method


def changed(claim: Claim, key: str, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(claim.to_json())
    document["certificate" if claim.status == "proved" else "counterexample"][key] = value
    return document


@pytest.mark.parametrize(
    ("key", "value"),
    [("setting", {"z": "0"}), ("setting", {}), ("parameters", {"W": "0"}), ("region", ["0", "1"])],
)
def test_a_tampered_certificate_fails(key: str, value: Any) -> None:
    claim = carry(derive.cell("gru"), s)
    assert recheck_certificate(claim.to_json())
    assert not recheck_certificate(changed(claim, key, value))


def test_a_tampered_statement_fails() -> None:
    claim = carry(derive.cell("gru"), s)
    for key, value in (("statement", "s is always returned"), ("assumptions", []), ("name", "carries-h")):
        assert not recheck_certificate({**claim.to_json(), key: value})


def test_a_setting_may_not_spend_the_weights_that_its_gates_need() -> None:
    """f = 1 and W_f = 0 contradict each other."""
    claim = carry(derive.cell("lstm"), c)
    assert not recheck_certificate(changed(claim, "parameters", {"W_f": "0"}))


def test_a_tampered_counterexample_fails() -> None:
    claim = carries_at(derive.cell("gru"), "s", {"z": 0})
    assert not recheck_certificate(changed(claim, "returns", [9.0, 9.0]))
    run = copy.deepcopy(claim.counterexample["run"])
    run["parameters"]["b_z"] = [0.0, 0.0]
    assert not recheck_certificate(changed(claim, "run", run))


def test_a_wrong_first_method_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("derive.claims.carry._along_the_way", lambda *_: s.prev)
    claim = carries_at(derive.cell("gru"), s, {"z": 0})
    assert claim.status == "proved"  # wrongly
    assert not claim.recheck()


@given(st.one_of(cells(), gated_cells()), st.integers(0, 2**16))
def test_a_proved_carry_survives_random_states(cell: Cell, seed: int) -> None:
    """With the gates put at the setting by weights and the parameters as said, a random state comes back."""
    for state in states(cell):
        claim = carry(cell, state)
        if claim.status != "proved":
            continue
        assert claim.recheck()
        certificate = claim.certificate
        params, inputs, start = numbers(cell, n=2, m=1, T=1, B=None, seed=seed)
        low, high = (float(sympy.sympify(end)) for end in certificate["region"])
        place = cell.states.index(state.name)
        region = np.clip(np.abs(start[place]) if low == 0 else start[place], low, high)
        start = tuple(region if k == place else v for k, v in enumerate(start))
        start = tuple(np.where(np.abs(v) < 0.1, 0.1, v) for v in start)
        run = Numbers(params, np.ones_like(inputs), start)
        for name, text in certificate["parameters"].items():
            value = float(Rational(text))
            square = params[name].ndim == 2 and params[name].shape[0] == params[name].shape[1]
            params[name][...] = value * np.eye(len(params[name])) if square else value
        held = {cell.symbols[name]: sympy.sympify(text) for name, text in certificate["setting"].items()}
        if not settle(cell, run, held):
            continue  # nothing drives these gates there
        with np.errstate(all="ignore"):
            vectors = run.first_step(cell)
        if all(np.allclose(vectors[v.name], float(value), atol=1e-12) for v, value in held.items()):
            assert np.allclose(vectors[state.name], start[place], rtol=1e-9, atol=1e-9)


def test_numbers_travel() -> None:
    cell = derive.cell("lstm")
    run = zeros(cell, n=3, m=2, T=2)
    again = Numbers.from_plain(cell, run.to_plain())
    assert all(np.array_equal(again.parameters[p], run.parameters[p]) for p in cell.parameters)
    assert np.array_equal(again.inputs, run.inputs)
