"""What moves together, by which coefficients, and in which order it can be found."""

import pytest
import sympy

import derive
from codegen.errors import Unsupported
from codegen.lowering import lower
from codegen.lowering.loop import lower_loop
from codegen.plan import Assignment
from codegen.scan.recurrence import Recurrence
from derive import State, Vector, mean, tanh
from tests.codegen.linear_cells import LINEAR

a, b, c = State("a"), State("b"), State("c")
f, g, w, y = (Vector(name) for name in "fgwy")
STATES = {a.prev: a, b.prev: b, c.prev: c}


def recurrence(*pairs: tuple[Vector, object]) -> Recurrence:
    bound = {symbol for symbol, _ in pairs}
    pasts = {past: new for past, new in STATES.items() if new in bound}
    return Recurrence([Assignment(symbol, expr) for symbol, expr in pairs], pasts)


def test_coefficients_go_through_what_lies_between() -> None:
    found = recurrence((g, 1 - f), (w, g * a.prev + f), (a, 2 * w + g * w))
    assert [s.symbols for s in found.early] == [(g,)]
    moved = found.moved[a.prev]
    assert moved.coefficients[a.prev].expand() == (2 * g + g * g).expand()
    assert moved.addend.expand() == (2 * f + f * g).expand()


def test_what_cancels_is_no_coefficient() -> None:
    found = recurrence((w, f * a.prev), (a, w - f * a.prev + g))
    assert found.moved[a.prev].coefficients == {}
    assert not found.is_scanned((a.prev,))


def test_groups_are_as_small_as_they_can_be_and_in_order() -> None:
    found = recurrence((a, f * a.prev + b.prev), (b, g * b.prev), (c, a + b))
    assert found.groups == ((b.prev,), (a.prev,), (c.prev,))
    assert [found.is_scanned(group) for group in found.groups] == [True, True, False]
    coupled = recurrence((a, f * b.prev), (b, a.prev + c.prev), (c, g * c.prev))
    assert coupled.groups == ((c.prev,), (a.prev, b.prev))
    assert all(coupled.is_scanned(group) for group in coupled.groups)


def test_late_statements_are_those_that_are_needed() -> None:
    found = recurrence((w, f * a.prev), (a, w + g), (b, 1 * b.prev), (y, tanh(a) * b.prev))
    assert [s.symbols for s in found.needed({w})] == [(w,)]
    assert [s.symbols for s in found.needed({y})] == [(y,)]  # the scan gives a
    assert list(found.needed({a})) == []


@pytest.mark.parametrize("expr", [tanh(a.prev), a.prev**2, a.prev * b.prev, mean(a.prev)])
def test_what_is_not_affine_unit_by_unit_is_refused(expr: object) -> None:
    with pytest.raises(Unsupported, match="is not, unit by unit, affine in a"):
        recurrence((a, expr), (b, f * b.prev))


@pytest.mark.parametrize("cell", LINEAR, ids=lambda cell: cell.name)
def test_both_directions_of_what_is_proved_linear_are(cell: derive.Cell) -> None:
    """The adjoint has the transposed coefficients."""
    assert derive.is_linear_recurrence(cell)
    loop = lower_loop(lower(cell), sink=True)
    back = loop.backward
    forward = Recurrence(loop.forward, {s.prev: s for s in loop.states})
    reverse = Recurrence(
        (*back.recomputed, *back.statements), {back.carried[s]: back.of_previous[s] for s in loop.states}
    )
    inside = {s.symbols[0]: s.expr for s in (*loop.forward, *back.recomputed)}
    for s in loop.states:
        for r in loop.states:
            one = forward.moved[s.prev].coefficients.get(r.prev, sympy.S.Zero)
            other = reverse.moved[back.carried[r]].coefficients.get(back.carried[s], sympy.S.Zero)
            for _ in inside:  # through 1 - f and the like, which either side may have put in
                one, other = one.xreplace(inside), other.xreplace(inside)
            assert (one - other).expand() == 0, (s, r)
