"""B3: a stable LSTM in one step."""

import sympy

from derive.theorems.b3 import THEOREM, W_o, published, subject
from derive.theorems.tools.implication import ends_domain, implies
from tests.derive.theorems.trying import holds, refuted, trials


def test_every_claim_is_proved_and_checked_again():
    claims = THEOREM.prove()
    holds(claims)
    assert [c.name for c in claims] == ["one-step", "one-step-in-the-norm", "not-converse"]


def test_without_the_read_gates_term_it_is_refuted():
    found = subject()
    theirs, ours = published(found), found.condition_in_gates
    weaker = [part for part in theirs.args if W_o not in part.free_symbols]
    assert len(weaker) == 3
    claim = implies(
        "x", "B3 without ‖W_o‖ ⇒ contraction", ours, ends_domain(found, theirs, ours).given(*weaker)
    )
    refuted(claim)
    assert sympy.Rational(claim.counterexample["point"]["norm_W_o"]) >= 1 - sympy.Rational(
        claim.counterexample["point"]["f_bar"]
    )


def test_comparison_and_attack():
    trials("B3", certified_at_least=20)
