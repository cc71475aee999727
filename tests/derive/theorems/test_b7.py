"""B7: incremental stability of the LSTM, and which of two tests is redundant."""

import sympy

from derive.theorems.b7 import THEOREM, W_i, matrix, pair, subject
from derive.theorems.tools.implication import ends_domain, implies
from tests.derive.theorems.trying import holds, refuted, trials


def test_every_claim_is_proved_and_checked_again():
    claims = THEOREM.prove()
    holds(claims)
    assert {"contraction-inf", "converse", "contraction-2", "redundant", "not-second", "not-first"} <= {
        c.name for c in claims
    }


def test_the_second_test_fails_to_be_redundant_at_twice_the_identity():
    twice = 2 * sympy.eye(2)
    assert twice.trace() < 1 + twice.det()
    assert twice.det() >= 1


def test_with_the_write_gates_term_missing_it_is_refuted():
    found = subject()
    theirs, ours = pair(matrix(found).xreplace({W_i: sympy.S.Zero})), found.condition_in_gates
    on = ends_domain(found, theirs, ours).given(*theirs.args)
    refuted(implies("x", "B7 without ¼‖W_i‖φ̄ ⇒ contraction", ours, on))


def test_comparison_and_attack():
    trials("B7", certified_at_least=20)
