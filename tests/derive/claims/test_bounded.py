"""Boxes are never left, linear bounds never broken; a false invariant comes back with a run that leaves."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Rational

import derive
from derive import Cell, Input, State, Vector, identity, relu, sigmoid, softplus, softsign, tanh
from derive.anatomy import states
from derive.bounds.symbols import input_symbol, norm_symbol
from derive.claims import recheck_certificate
from derive.claims.bounded import maps_into_itself, stays_in
from derive.claims.tools.classes import classes
from derive.claims.tools.drives import Numbers
from derive.claims.tools.plain import from_plain
from derive.claims.tools.scaled import Scaled
from derive.symbols import affine_parameters
from tests.strategies import cells, gated_cells, numbers

s, h, c, x = State("s"), State("h"), State("c"), Input("x")
a, f, i, g, u = (Vector(name) for name in ("a", "f", "i", "g", "u"))
W, U, b = affine_parameters()
W_f, U_f, b_f = affine_parameters("f")
V = derive.Parameter("V", "n", "n")
GRU, LSTM = derive.cell("gru"), derive.cell("lstm")


def bounded(cell: str | Cell) -> dict[str, derive.Claim]:
    return {claim.name: claim for claim in derive.prove(cell) if claim.kind == "bounded"}


EXPECTED = {name: {"bounded-s": "|sₜ| ≤ |s₀| + t"} for name in derive.catalogue()}
EXPECTED |= {name: {"bounded-s": "s stays in [-1, 1]"} for name in ("vanilla", "gru")}
EXPECTED |= {
    name: {"bounded-h": "h stays in [-1, 1]", "bounded-c": "|cₜ| ≤ |c₀| + t"}
    for name in ("pseudo-lstm-d1", "pseudo-lstm-d12", "pseudo-lstm-d13", "lstm", "peephole-lstm")
}


@pytest.mark.parametrize("name", derive.catalogue())
def test_the_catalogue(name: str) -> None:
    claims = bounded(name)
    assert {key: claim.statement for key, claim in claims.items()} == EXPECTED[name]
    assert all(claim.status == "proved" and claim.recheck() for claim in claims.values())


def damped(increment: sympy.Expr, carry: sympy.Expr = f) -> Cell:
    equations = {
        f: sigmoid(W_f @ s.prev),
        i: sigmoid(V @ s.prev),
        a: tanh(U @ x),
        g: relu(U @ x + b),
        s: carry * s.prev + increment,
    }
    used = {q for e in (carry, increment) for q in e.atoms(Vector)}
    return Cell("damped", {v: e for v, e in equations.items() if v in used or v == s}, output=s)


@pytest.mark.parametrize(
    ("cell", "status"),
    [
        (damped((1 - f) * a), "proved"),
        (damped((1 - f) * a / 2), "proved"),  # the coefficients need not sum to one
        (damped(-(1 - f) * a), "proved"),
        (damped((1 - f) * i * a), "proved"),
        (damped((1 - f) * a**2), "proved"),
        (damped((1 - f) * a + Rational(1, 2) * f, f / 2), "proved"),
        (damped(a / 2, sympy.S.One / 2), "proved"),
        (damped(i * a), "unknown"),
        (damped((1 - f) * g), "unknown"),  # an unbounded candidate
        (damped(b * (1 - f) * a), "unknown"),  # a parameter may be anything
        (damped((1 - f) * a, 1 - i), "unknown"),
        (damped((1 - f) * (W @ a)), "unknown"),
    ],
)
def test_which_writes_stay_in_the_unit_box(cell: Cell, status: str) -> None:
    claim = maps_into_itself(cell, s, -1, 1)
    assert claim.status == status
    assert claim.recheck() == (status == "proved")


FALSE: list[tuple[str, str, Any, Any]] = [
    ("gru", "s", Rational(-1, 2), Rational(1, 2)),
    ("gru", "s", 0, 1),
    ("vanilla", "s", Rational(-99, 100), Rational(99, 100)),
    ("prototype", "s", -5, 5),
    ("normalized-prototype", "s", -3, 3),
    ("pseudo-lstm-d2", "s", -1, 1),
    ("lstm", "c", -10, 10),
    ("lstm", "h", Rational(-1, 2), Rational(1, 2)),
]


@pytest.mark.parametrize(("name", "state", "low", "high"), FALSE)
def test_a_false_invariant_is_refuted_by_a_run(name: str, state: str, low: Any, high: Any) -> None:
    cell = derive.cell(name)
    claim = stays_in(cell, state, low, high)
    assert claim.status == "refuted"
    assert claim.recheck()
    run = Numbers.from_plain(cell, claim.counterexample["run"])
    place = cell.states.index(state)
    assert np.all((run.state[place] >= float(low)) & (run.state[place] <= float(high)))
    _, last = derive.evaluate(cell, run.parameters, run.inputs, run.state)
    assert last[place].max() > float(high) + 1e-6 or last[place].min() < float(low) - 1e-6


def test_true_invariants_are_proved() -> None:
    assert stays_in(GRU, "s", -1, 1).status == "proved"
    assert stays_in(GRU, "s", -3, 3).status == "proved"
    assert stays_in(LSTM, "h", -1, 1).recheck()


def tampered(cell: Cell, name: str, key: str, value: Any) -> bool:
    document = copy.deepcopy(bounded(cell)[name].to_json())
    assert recheck_certificate(document)
    document["certificate"][key] = value
    return recheck_certificate(document)


@pytest.mark.parametrize(
    ("key", "value"),
    [("high", "1/2"), ("low", "-1/2"), ("decided", []), ("class", "linear"), ("state", "c"), ("high", "x")],
)
def test_a_tampered_box_fails(key: str, value: Any) -> None:
    assert not tampered(GRU, "bounded-s", key, value)


def test_a_box_with_its_statement_tampered_alike_fails() -> None:
    """The statement and the box agree, and are wrong."""
    document = copy.deepcopy(bounded(GRU)["bounded-s"].to_json())
    document["certificate"] |= {"high": "1/2", "low": "-1/2"}
    for key in ("statement", "assumptions"):
        text = str(document[key]).replace("[-1, 1]", "[-1/2, 1/2]")
        document[key] = text if key == "statement" else ["s starts in [-1/2, 1/2]"]
    assert not recheck_certificate(document)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("slope", ["num", "1/2"]),
        ("ratios", {"c": ["num", "1/2"]}),
        ("ratios", {}),
        ("decided", []),
        ("class", "invariant"),
    ],
)
def test_a_tampered_slope_fails(key: str, value: Any) -> None:
    assert not tampered(LSTM, "bounded-c", key, value)


def test_a_slope_that_is_two_percent_too_small_fails_with_its_statement() -> None:
    document = copy.deepcopy(bounded(LSTM)["bounded-c"].to_json())
    document["certificate"]["slope"] = ["num", "49/50"]
    document["statement"] = "|cₜ| ≤ |c₀| + (49/50)·t"
    assert not recheck_certificate(document)


@pytest.mark.parametrize(
    ("cell", "statement"),
    [
        (Cell("sum", {s: s.prev + W @ tanh(s.prev)}, output=s), "|sₜ| ≤ |s₀| + (‖W‖)·t"),
        (Cell("map", {s: W @ s.prev + b}, output=s), "|sₜ| ≤ ‖W‖·|sₜ₋₁| + ‖b‖"),
        (Cell("rectified", {s: relu(W @ s.prev + U @ x)}, output=s), "|sₜ| ≤ ‖W‖·|sₜ₋₁| + |x|·‖U‖"),
        (Cell("kept", {f: sigmoid(W @ s.prev), s: f * s.prev}, output=s), "s stays in [0, 0]"),
        (
            Cell("written", {f: sigmoid(W @ s.prev), s: f * s.prev + relu(V @ s.prev + b)}, output=s),
            "|sₜ| ≤ (‖V‖ + 1)·|sₜ₋₁| + ‖b‖",
        ),
        (Cell("half", {s: s.prev / 2 + softsign(W @ s.prev)}, output=s), "s stays in [-2, 2]"),
    ],
)
def test_what_grows_with_the_weights(cell: Cell, statement: str) -> None:
    claim = bounded(cell)["bounded-s"]
    assert (claim.status, claim.statement) == ("proved", statement)
    assert claim.recheck()


def test_a_constant_that_is_irrational_is_rounded_up() -> None:
    """softplus(0) = log 2."""
    cell = Cell("soft", {s: s.prev + softplus(U @ x)}, output=s)
    claim = bounded(cell)["bounded-s"]
    assert (claim.status, claim.statement) == ("proved", "|sₜ| ≤ |s₀| + (|x|·‖U‖ + 347/500)·t")
    assert claim.recheck()


def test_what_is_not_negative_stays_so_behind_an_activation() -> None:
    cell = Cell("positive", {c: relu(U @ x + W @ h.prev + b * c.prev), h: tanh(c) / 2}, output=h)
    claim = bounded(cell)["bounded-h"]
    assert (claim.status, claim.statement, claim.recheck()) == ("proved", "h stays in [0, 1/2]", True)


def test_a_product_of_states_is_not_bounded_by_any_class() -> None:
    claim = bounded(Cell("square", {s: s.prev**2 + b}, output=s))["bounded-s"]
    assert claim.status == "unknown"
    assert claim.attempts


def test_the_scaled_step() -> None:
    """f s + i s̃ is u₁ u₂ |s| + u₃ u₄."""
    scaled = Scaled(derive.cell("prototype"))
    step = scaled(s)
    assert scaled.magnitude(step) == sympy.Symbol("bound_s", nonnegative=True) + 1
    assert scaled.interval(step) is None
    assert Scaled(derive.cell("prototype"), {"s": (-2, 2)}).interval is not None


def test_a_wrong_solver_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Break what decides: the check sets the inequality up anew."""
    from derive.decide import Problem, decide

    def lying(problem: Problem, **options: Any) -> Any:
        true = Problem.of({sympy.Symbol("t"): (0, 1)}, (sympy.Symbol("t"), ">=", 0))
        return decide(true, **options)

    monkeypatch.setattr("derive.claims.bounded.decide", lying)
    claim = maps_into_itself(GRU, s, Rational(-1, 2), Rational(1, 2))
    assert claim.status == "proved"  # wrongly
    assert not claim.recheck()


def magnitudes(cell: Cell, params: dict[str, np.ndarray], inputs: np.ndarray) -> dict[sympy.Symbol, float]:
    """The norms that the symbols stand for."""
    found = {
        norm_symbol(name): float(np.abs(p).sum(-1).max() if p.ndim == 2 else np.abs(p).max())
        for name, p in params.items()
    }
    return found | {input_symbol(name): float(np.abs(inputs).max()) for name in cell.inputs}


@settings(max_examples=15)  # some cells take seconds
@given(st.one_of(cells(), gated_cells()), st.integers(0, 2**16))
def test_no_bound_is_broken_by_a_run(cell: Cell, seed: int) -> None:
    claims = bounded(cell)
    params, inputs, start = numbers(cell, T=6, B=None, seed=seed)
    params = {name: 5 * value for name, value in params.items()}
    inputs = 3 * inputs
    boxes = {growth.state.name: growth.box.range for growth in classes(cell)}
    start = tuple(
        np.clip(v, float(boxes[name].low), float(boxes[name].high))
        for name, v in zip(cell.states, start, strict=True)
    )
    run = Numbers(params, inputs, start)
    with np.errstate(all="ignore"):
        states_ = run.states(cell)
    sizes = [{n: float(np.abs(v).max()) for n, v in zip(cell.states, vs, strict=True)} for vs in states_]
    norms = magnitudes(cell, params, inputs)
    names = {symbol.name: symbol for symbol in norms}
    for state in states(cell):
        claim = claims[f"bounded-{state.name}"]
        assert claim.recheck() == (claim.status == "proved")
        if claim.status != "proved":
            continue
        place, certificate = cell.states.index(state.name), claim.certificate
        if certificate["class"] == "invariant":
            low, high = float(Rational(certificate["low"])), float(Rational(certificate["high"]))
            assert all(v[place].min() >= low - 1e-9 and v[place].max() <= high + 1e-9 for v in states_)
            continue
        slope = float(from_plain(certificate["slope"], names).subs(norms))
        ratios = {n: float(from_plain(r, names).subs(norms)) for n, r in certificate["ratios"].items()}
        for before, after in pairwise(sizes):
            bound = slope + sum(ratio * before[name] for name, ratio in ratios.items())
            assert after[state.name] <= bound * (1 + 1e-9) + 1e-9


def test_an_identity_is_no_bound() -> None:
    cell = Cell("copy", {u: identity(U @ x + b), s: s.prev + u}, output=s)
    assert bounded(cell)["bounded-s"].statement == "|sₜ| ≤ |s₀| + (|x|·‖U‖ + ‖b‖)·t"
