"""What rules share: the choice of a memory, fresh names, new gates, order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import derive
from derive import Cell, Input, Parameter, RuleDoesNotApply, State, Vector, hard_sigmoid, sigmoid, tanh
from derive.anatomy import write
from derive.errors import DeriveError
from derive.rewriting import (
    common_read,
    drop_unread,
    fresh,
    fresh_gate,
    new_gate,
    on_memory,
    schedule,
    with_gate,
)
from derive.rule import refuse
from derive.symbols import affine_parameters, atoms
from tests.strategies import cells

s, h, c, x = State("s"), State("h"), State("c"), Input("x")
f, g, i, o, y, s_tilde = (Vector(name) for name in ("f", "g", "i", "o", "y", "s_tilde"))
W, U, b = affine_parameters()
V = Parameter("V", "n", "n")

TWO = Cell("two", {h: h.prev + tanh(W @ h.prev), c: c.prev + tanh(V @ c.prev + b) + h}, output=c)


def test_on_memory_takes_the_first_that_accepts() -> None:
    seen = []

    def work(cell: Cell, target: object) -> str:
        seen.append(target.state.name)  # type: ignore[attr-defined]
        if target.state == h:  # type: ignore[attr-defined]
            raise refuse(cell, "not this one", h)
        return "done"

    assert on_memory(TWO, None, work) == "done"
    assert seen == ["h", "c"]
    seen.clear()
    with pytest.raises(RuleDoesNotApply, match="not this one"):
        on_memory(TWO, "h", work)
    assert seen == ["h"]


def test_on_memory_tells_the_first_refusal() -> None:
    def work(cell: Cell, target: object) -> None:
        raise refuse(cell, f"no {target.state}", target.state)  # type: ignore[attr-defined]

    with pytest.raises(RuleDoesNotApply, match=r"two: no h\n  at: hₜ"):
        on_memory(TWO, None, work)


def test_on_memory_without_memory() -> None:
    with pytest.raises(RuleDoesNotApply, match=r"no state carries its past.*\n  at: sₜ"):
        on_memory(derive.cell("vanilla"), None, lambda *_: None)
    with pytest.raises(DeriveError, match=r"two has no state 'cc'; did you mean 'c'\? States: h, c"):
        on_memory(TWO, "cc", lambda *_: None)
    with pytest.raises(RuleDoesNotApply, match="h does not carry its past"):
        on_memory(derive.cell("lstm"), "h", lambda *_: None)


def test_fresh_names() -> None:
    cell = derive.cell("prototype")
    assert fresh(cell, "q") == "q"
    assert fresh(cell, "s") == "s2"  # s[t-1] counts as s
    assert fresh(cell, "q", {"q", "q2"}) == "q3"
    assert fresh_gate(cell, "i") == "i2"
    taken = derive.apply("rename", cell, names={"U": "U_k"}).after
    assert fresh_gate(taken, "k") == "k2"


def test_common_read() -> None:
    cell = derive.cell("pseudo-lstm")
    assert common_read(cell, write(cell, s)) == tanh(s.prev)
    cell = derive.cell("prototype")
    assert common_read(cell, write(cell, s)) == s.prev
    mixed = Cell("mixed", {s: s.prev + tanh(W @ tanh(s.prev) + V @ s.prev)}, output=s)
    assert common_read(mixed, write(mixed, s)) == s.prev


def test_a_new_gate_copies_one_that_reads_the_past_alone() -> None:
    late = Cell(
        "late",
        {s: s.prev + tanh(W @ s.prev), o: sigmoid(V @ s), y: o * s},
        output=y,
    )
    gate, expr = new_gate(late, write(late, s), "i")
    W_i, _, b_i = affine_parameters("i")
    assert (gate, expr) == (i, sigmoid(W_i @ s.prev + b_i))  # o reads the present: no model for i
    early = Cell("early", {f: hard_sigmoid(V @ s.prev), s: f * s.prev + tanh(U @ x)}, output=s)
    assert new_gate(early, write(early, s), "i")[1] == hard_sigmoid(Parameter("V_i", "n", "n") @ s.prev)


def test_a_new_gate_stands_behind_the_leading_ones() -> None:
    cell = derive.apply("gate-write", derive.apply("write-incrementally", "vanilla").after).after
    equations = with_gate(cell, f, sigmoid(W @ s.prev), {})
    assert list(equations) == [i, f, s_tilde, s]


def test_schedule_keeps_what_it_can() -> None:
    equations = {y: tanh(s), s: f * s.prev, f: sigmoid(W @ s.prev), g: sigmoid(V @ s.prev)}
    assert list(schedule(equations)) == [f, s, y, g]
    with pytest.raises(DeriveError, match="the equations of f, g read each other within a step"):
        schedule({i: sigmoid(W @ s.prev), f: sigmoid(V @ g), g: sigmoid(V @ f)})


@given(cells(), st.randoms(use_true_random=False))
def test_any_order_can_be_put_right(cell: Cell, random: object) -> None:
    pairs = list(cell.equations.items())
    random.shuffle(pairs)  # type: ignore[attr-defined]
    ordered = schedule(dict(pairs))
    assert ordered == dict(cell.equations)
    done: set[Vector] = set()
    for symbol, expr in ordered.items():
        assert {v for v in atoms(expr) if isinstance(v, Vector)} <= done
        done.add(symbol)
    assert list(schedule(cell.equations)) == list(cell.equations)


def test_drop_unread() -> None:
    equations = {g: tanh(U @ x), f: sigmoid(V @ g), s: tanh(W @ s.prev), y: tanh(s)}
    assert list(drop_unread(equations, "y")) == [s, y]
    assert list(drop_unread(equations, None)) == [s]
    assert list(drop_unread(equations, "f")) == [g, f, s]
