"""B4: input-to-state stability of the GRU."""

from derive.theorems.b4 import THEOREM, W, published, subject
from derive.theorems.tools.implication import ends_domain, implies, upper_end
from tests.derive.theorems.trying import holds, refuted, trials


def test_every_claim_is_proved_and_checked_again():
    claims = THEOREM.prove()
    holds(claims)
    assert [c.name for c in claims] == ["stable", "converse", "one-step"]


def test_the_engine_arrives_at_the_published_condition():
    found = subject()
    assert found.condition_in_gates == (W * upper_end(found, "r") < 1) == published(found)


def test_without_the_reset_gate_the_converse_is_refuted():
    found = subject()
    ours = found.condition_in_gates
    refuted(implies("x", "the condition ⇒ ‖W‖ < 1", W < 1, ends_domain(found, ours).given(ours)))


def test_comparison_and_attack():
    trials("B4", certified_at_least=20)
