"""Implications between conditions: denominators, least values, abbreviations."""

import pytest
import sympy

import derive
from derive.bounds.extremes import Least
from derive.theorems.tools.implication import (
    Domain,
    NotDecidable,
    conjuncts,
    ends_domain,
    implies,
    through,
    upper_end,
)

pytest.importorskip("z3")
pytest.importorskip("cvc5")

x, y, z = sympy.symbols("x y z", nonnegative=True)
HALF = {x: (0, sympy.oo), z: (sympy.Rational(1, 2), 1)}


@pytest.mark.parametrize("size", [1, 2])
def test_a_denominator_is_cleared_by_its_sign(size):
    """x < 2(1 - z) says that x/(1 - z) < 2, and that x/(z - 1) > -2: no more."""
    on = Domain(HALF, ((z, "<", 1),)).given(x < 2 * (1 - z))
    for goal in (x / (1 - z) < size, x / (z - 1) > -size):
        claim = implies("n", "s", goal, on)
        assert (claim.status, claim.recheck()) == ("proved" if size == 2 else "refuted", True)


def test_a_denominator_of_unknown_sign_is_an_error():
    with pytest.raises(NotDecidable, match="the sign of the denominator x - 1"):
        implies("n", "s", z / (x - 1) > 0, Domain(HALF))


def test_what_is_no_relation_is_an_error():
    with pytest.raises(NotDecidable, match="x is no relation"):
        implies("n", "s", x, Domain(HALF))


def test_of_a_least_value_only_that_it_is_below_is_used():
    least = Least(x, sympy.sqrt(x))
    assert implies("n", "s", least <= x, Domain({x: (0, 9)})).status == "proved"
    assert implies("n", "s", least >= x, Domain({x: (0, 9)})).status == "refuted"


def test_all_parts_of_a_conjunction_count():
    on = Domain({x: (0, 1)})
    both = sympy.And(x <= 1, x <= sympy.Rational(99, 100), evaluate=False)
    claim = implies("n", "s", both, on)
    assert (claim.status, claim.recheck()) == ("refuted", True)
    proved = implies("n", "s", [(x, "<=", 1), (x, ">=", 0)], on)
    assert (proved.status, len(proved.certificate["parts"]), proved.recheck()) == ("proved", 2, True)
    assert conjuncts(x < 1) == (x < 1,)


def test_abbreviations():
    a = sympy.Symbol("a", nonnegative=True)
    on = Domain({x: (0, 1), y: (0, sympy.oo)}).given((y, "<=", 1 - x))
    said = {"on": on, "where": {a: x * y}}
    claim = through("n", "s", a < 1, facts=[(a, "<=", sympy.Rational(1, 4))], **said)
    assert (claim.status, claim.recheck()) == ("proved", True)
    false = through("n", "s", a < 1, facts=[(a, "<=", sympy.Rational(1, 5))], **said)
    assert (false.status, false.method[:17], false.recheck()) == ("unknown", "a step is refuted", False)


def test_the_domain_of_a_bound():
    found = derive.bound("gru", "inf", inputs=1)
    end, condition = upper_end(found, "z"), found.condition_in_gates
    on = ends_domain(found, condition, 1 / (1 - end) < 3)
    assert on.box[end] == (sympy.Rational(1, 2), 1)
    assert on.box[upper_end(found, "s_tilde")] == (0, 1)
    assert on.hypotheses == ((end, "<", 1),)
