"""B6: input-to-state stability of the LSTM."""

from derive.theorems.b6 import THEOREM, published, subject
from derive.theorems.tools.implication import ends_domain, implies, upper_end
from tests.derive.theorems.trying import holds, refuted, trials


def test_every_claim_is_proved_and_checked_again():
    claims = THEOREM.prove()
    holds(claims)
    assert [c.name for c in claims] == ["stable", "converse", "any-upper-ends"]


def test_with_the_forget_gate_missing_it_is_refuted():
    found = subject()
    theirs, ours = published(found), found.condition_in_gates
    weaker = theirs.xreplace({upper_end(found, "f"): 0})
    refuted(implies("x", "ō ī ‖W‖ < 1 ⇒ stable", ours, ends_domain(found, theirs, ours).given(weaker)))


def test_comparison_and_attack():
    trials("B6", certified_at_least=20)
