"""Claims of the structure: proved where true, refuted where false, rechecked by a second method."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import sympy
from hypothesis import given
from sympy import Rational

import derive
from derive import Cell, Claim, Input, Parameter, State, Vector, relu, sigmoid, tanh
from derive.anatomy import gates, states, write
from derive.structure import carries_with, closes, convex, inlined, mirrors, opens, reads_bounded
from derive.symbols import affine_parameters, atoms
from tests.strategies import cells, gated_cells

s, h, c, x = State("s"), State("h"), State("c"), Input("x")
a, f, i, o, y, z, s_tilde, c_tilde = (
    Vector(name) for name in ("a", "f", "i", "o", "y", "z", "s_tilde", "c_tilde")
)
W, U, b = affine_parameters()
V = Parameter("V", "n", "n")
LSTM, GRU, PROTOTYPE = (derive.cell(name) for name in ("lstm", "gru", "prototype"))


def carry(cell: Cell, state: State, **setting: int) -> Claim:
    return carries_with(cell, write(cell, state), {Vector(g): value for g, value in setting.items()})


CASES: list[tuple[Callable[[], Claim], str, str]] = [
    (lambda: carry(PROTOTYPE, s, f=1, i=0), "proved", "at f = 1, i = 0 the step returns s unchanged"),
    (lambda: carry(LSTM, c, f=1, i=0), "proved", "at f = 1, i = 0 the step returns c unchanged"),
    (lambda: carry(GRU, s, z=1), "proved", "at z = 1 the step returns s unchanged"),
    (lambda: carry(GRU, s, z=0), "refuted", "at z = 0 the step returns s unchanged"),
    (lambda: carry(PROTOTYPE, s, f=1), "refuted", "at f = 1 the step returns s unchanged"),
    (lambda: carry(PROTOTYPE, s), "refuted", "at every setting the step returns s unchanged"),
    (lambda: closes(PROTOTYPE, o, 0, s_tilde, s.prev, "nothing"), "proved", "at o = 0, nothing"),
    (lambda: closes(LSTM, o, 0, h, c, "h is zero"), "proved", "at o = 0, h is zero"),
    (lambda: closes(LSTM, i, 0, h, c, "h is zero"), "refuted", "at i = 0, h is zero"),
    (lambda: closes(PROTOTYPE, o, 1, s_tilde, s.prev, "no"), "refuted", "at o = 1, no"),
    (lambda: closes(PROTOTYPE, o, 0, s, s.prev, "no"), "refuted", "at o = 0, no"),
    (lambda: closes(PROTOTYPE, o, 0, i, s.prev, "no"), "refuted", "at o = 0, no"),
    (lambda: opens(PROTOTYPE, o, i, s.prev, "i sees s"), "proved", "i sees s"),
    (lambda: opens(PROTOTYPE, o, s_tilde, s.prev, "no"), "refuted", "no"),
    (lambda: opens(LSTM, o, h, c, "no"), "refuted", "no"),
    (lambda: opens(LSTM, i, h, c, "h sees c"), "proved", "h sees c"),
]


@pytest.mark.parametrize(("make", "status", "statement"), CASES)
def test_gate_settings(make: Callable[[], Claim], status: str, statement: str) -> None:
    claim = make()
    assert (claim.status, claim.statement) == (status, statement)
    assert claim.recheck()
    assert (claim.certificate is None) == (status == "refuted")
    assert (claim.counterexample is None) == (status == "proved")


def test_the_counterexample_of_a_carry_is_the_step() -> None:
    claim = carry(GRU, s, z=0)
    assert claim.counterexample == {"setting": {"z": 0}, "step": "s_tilde"}


def test_a_carry_through_an_intermediate_is_put_in() -> None:
    cell = Cell("way", {f: sigmoid(W @ s.prev), a: f * s.prev + b, s: 2 * a}, output=s)
    assert carry(cell, s, f=1).counterexample == {"setting": {"f": 1}, "step": "2*b + 2*s[t-1]"}


# the second method


def test_a_recheck_belongs_to_its_own_verdict() -> None:
    """The verdict is part of what is rechecked: a wrong one of the same case fails."""
    true, false = carry(GRU, s, z=1), carry(GRU, s, z=0)
    assert true.recheck()
    assert false.recheck()
    assert true != false
    assert not dataclasses.replace(true, verify=None).recheck()
    assert not Claim("any", "any", "unknown", "none").recheck()


@pytest.mark.parametrize("verdict", [True, False])
def test_a_method_that_errs_is_found_out(verdict: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Break the deciding method: the second one notices, since it does not use it."""
    monkeypatch.setattr("derive.structure.depends_on", lambda *_: verdict)
    wrong_closing = closes(PROTOTYPE, o, int(not verdict), s_tilde, s.prev, "?")
    assert wrong_closing.status == ("refuted" if verdict else "proved")
    wrong_opening = opens(PROTOTYPE, o, s_tilde if verdict else i, s.prev, "?")
    if verdict:
        right = closes(PROTOTYPE, o, 0, s_tilde, s.prev, "?")  # truly closed, and called open
        assert not right.recheck()
        assert not wrong_opening.recheck()
    else:
        assert not wrong_closing.recheck()
        assert not wrong_opening.recheck()


def test_a_wrong_maximum_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("derive.structure._vertices", lambda *_: [sympy.S.Zero])
    cell = Cell("loose", {f: sigmoid(W @ s.prev), a: tanh(V @ s.prev), s: f * s.prev + a}, output=s)
    claim = convex(cell, write(cell, s))
    assert claim.status == "proved"  # wrongly
    assert not claim.recheck()


def test_wrong_reads_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("derive.structure.find_reads", lambda *_: [])
    cell = Cell("bare", {s: s.prev + tanh(W @ s.prev), y: tanh(s)}, output=y)
    claim = reads_bounded(cell, write(cell, s))
    assert claim.status == "proved"  # wrongly
    assert not claim.recheck()


@given(gated_cells())
def test_both_methods_agree(cell: Cell) -> None:
    """On every gate, target and source of a cell: the graph and the inlined step tell the same."""
    for gate in gates(cell):
        for target in cell.equations:
            for source in (*(q.prev for q in states(cell)), *states(cell)):
                if source == target:
                    continue
                closed = closes(cell, gate, 0, target, source, "?")
                opened = opens(cell, gate, target, source, "?")
                assert closed.recheck()
                assert opened.recheck()
                assert (closed.status == "proved") != (opened.status == "proved")


@given(cells())
def test_both_methods_agree_on_carries(cell: Cell) -> None:
    settings = [dict.fromkeys(gates(cell), value) for value in (0, 1)]
    for state in states(cell):
        for setting in settings:
            claim = carries_with(cell, write(cell, state), setting)
            if claim.status == "proved":
                assert claim.recheck()


# reads


def test_reads_are_bounded() -> None:
    pseudo = derive.cell("pseudo-lstm")
    claim = reads_bounded(pseudo, write(pseudo, s))
    assert str(claim) == (
        "proved: every read of s passes an activation of bounded range and stays in (-1, 1)"
    )
    assert claim.recheck()
    assert {name for name, _ in claim.certificate["reads"]} == {"i", "o", "f", "s_tilde", "y"}


@pytest.mark.parametrize(
    ("equations", "at"),
    [
        ({s: s.prev + tanh(W @ s.prev), y: tanh(s)}, "s"),
        ({s: s.prev + W @ relu(s.prev), y: tanh(s)}, "s"),
        ({s: s.prev + W @ tanh(s.prev), y: b * s}, "y"),
        ({s: s.prev + W @ tanh(s.prev)}, "s"),  # the output is the state itself
    ],
)
def test_reads_that_are_not(equations: dict[Any, Any], at: str) -> None:
    cell = Cell("raw", equations, output=y if y in equations else s)
    claim = reads_bounded(cell, write(cell, s))
    assert claim.status == "refuted"
    assert claim.counterexample["equation"] == at
    assert claim.recheck()


@given(cells())
def test_reads_are_rechecked(cell: Cell) -> None:
    for state in states(cell):
        found = write(cell, state)
        if found.is_incremental:
            assert reads_bounded(cell, found).recheck()


# boxes


def test_a_weighted_mean_is_bounded() -> None:
    claim = convex(GRU, write(GRU, s))
    assert (claim.status, claim.assumptions) == ("proved", ("s starts in [-1, 1]",))
    assert claim.certificate["maximum"] == "1"
    assert claim.recheck()


def damped(increment: sympy.Expr, carry: sympy.Expr = f) -> Cell:
    equations = {
        f: sigmoid(W @ s.prev),
        i: sigmoid(V @ s.prev),
        a: tanh(U @ x),
        z: relu(U @ x + b),
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
        (damped(i * a), "unknown"),
        (damped((1 - f) * z), "unknown"),  # an unbounded candidate
        (damped(b * (1 - f) * a), "unknown"),  # a parameter may be anything
        (damped((1 - f) * a, 1 - i), "unknown"),
        (damped((1 - f) * (W @ a)), "unknown"),
        (damped((1 - f) * a**2), "unknown"),  # not affine
        (damped((1 - f) * a + Rational(1, 2) * f, f / 2), "proved"),
        (damped(sympy.sqrt(f) * a, f), "unknown"),
    ],
)
def test_which_writes_are_weighted_means(cell: Cell, status: str) -> None:
    claim = convex(cell, write(cell, s))
    assert claim.status == status
    assert claim.recheck() == (status == "proved")


@given(gated_cells())
def test_boxes_are_rechecked(cell: Cell) -> None:
    for state in states(cell):
        claim = convex(cell, write(cell, state))
        assert claim.status != "refuted"
        assert claim.recheck() == (claim.status == "proved")


# shadows


def test_a_shadow_holds_the_read() -> None:
    cell = derive.apply("read-after-write", "pseudo-lstm").after
    claim = mirrors(cell, h, o * tanh(s.prev))
    assert claim.status == "proved"
    assert claim.recheck()
    other = mirrors(cell, h, o * s.prev)
    assert other.status == "refuted"
    assert other.recheck()
    assert other.counterexample == {"shadow": str(o * tanh(s)), "read": str(o * s.prev)}


def test_inlined() -> None:
    held = {o: sympy.S.Zero, i: sympy.S.One}
    assert inlined(PROTOTYPE, s_tilde, held) == tanh(U @ x + b)
    assert atoms(inlined(PROTOTYPE, s, {})) == {
        PROTOTYPE.symbols[name] for name in (*PROTOTYPE.parameters, "x", "s[t-1]")
    }
