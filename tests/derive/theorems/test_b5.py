"""B5: incremental stability of the GRU."""

from derive.theorems.b5 import THEOREM, W, W_r, W_z, published, subject
from derive.theorems.tools.implication import ends_domain, implies, upper_end
from tests.derive.theorems.trying import holds, refuted, trials


def test_every_claim_is_proved_and_checked_again():
    claims = THEOREM.prove()
    holds(claims)
    assert [c.name for c in claims] == ["contraction", "not-converse", "any-upper-ends"]
    assert claims[1].certificate["counterexample"]["point"].keys() >= {"norm_W", "z_bar"}


def test_the_engine_finds_the_weaker_condition():
    found = subject()
    z, r, candidate = (upper_end(found, name) for name in ("z", "r", "s_tilde"))
    ours = found.condition_in_gates
    assert (ours.lhs - (z * (1 + candidate) * W_z + W * (r + W_r / 4))).expand() == 0
    assert ours.rhs == 1


def test_with_the_reset_gates_term_missing_it_is_refuted():
    found = subject()
    theirs, ours = published(found), found.condition_in_gates
    weaker = theirs.xreplace({W_r: 0})
    refuted(
        implies("x", "B5 without ¼‖W_r‖ ⇒ contraction", ours, ends_domain(found, theirs, ours).given(weaker))
    )


def test_comparison_and_attack():
    trials("B5", certified_at_least=20)
