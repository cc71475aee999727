"""Claims that rules make: proved where true, refuted where false, rechecked by a second method."""

import dataclasses
from collections.abc import Callable

import pytest
import sympy
from hypothesis import given

import derive
from derive import Cell, Claim, Input, Parameter, State, Vector, tanh
from derive.anatomy import gates, states
from derive.structure import closes, inlined, mirrors, opens
from derive.symbols import affine_parameters, atoms
from tests.strategies import gated_cells

s, h, c, x = State("s"), State("h"), State("c"), Input("x")
a, f, i, o, y, z, s_tilde, c_tilde = (
    Vector(name) for name in ("a", "f", "i", "o", "y", "z", "s_tilde", "c_tilde")
)
W, U, b = affine_parameters()
V = Parameter("V", "n", "n")
LSTM, GRU, PROTOTYPE = (derive.cell(name) for name in ("lstm", "gru", "prototype"))


CASES: list[tuple[Callable[[], Claim], str, str]] = [
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


# the second method


def test_a_recheck_belongs_to_its_own_verdict() -> None:
    """The verdict is part of what is rechecked: a wrong one of the same case fails."""
    true, false = closes(LSTM, o, 0, h, c, "?"), closes(LSTM, i, 0, h, c, "?")
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
