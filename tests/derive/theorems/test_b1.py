"""B1: vanishing below 1/γ, exploding only above."""

import pytest
import sympy

import derive
from derive.activations import sigmoid, tanh
from derive.theorems.b1 import THEOREM, W, published, subject
from derive.theorems.tools.implication import domain, implies
from tests.derive.theorems.trying import holds, refuted, trials


def test_every_claim_is_proved_and_checked_again():
    claims = THEOREM.prove()
    holds(claims)
    assert {"vanishing-tanh", "vanishing-sigmoid-converse", "exploding-tanh"} <= {c.name for c in claims}


@pytest.mark.parametrize(("phi", "most"), [(tanh, 1), (sigmoid, 4)])
def test_the_condition_is_the_articles(phi, most):
    condition = derive.bound(subject(phi), 2).condition
    assert (condition.subs(W, most * sympy.Rational(99, 100)), condition.subs(W, most)) == (True, False)
    assert published(phi) == (sympy.Integer(most) > W)


def test_a_bound_two_percent_too_large_is_refuted():
    ours = derive.bound(subject(tanh), 2).condition
    refuted(
        implies("x", "‖W‖ < 1.02 ⇒ vanishing", ours, domain([], {}, W).given(sympy.Rational(102, 100) > W))
    )


def test_comparison_and_attack():
    trials("B1", certified_at_least=8)
