"""B2: contraction in absolute norms, and in no other."""

import numpy as np

import derive
from derive.activations import sigmoid
from derive.theorems.b2 import THEOREM, W, any_norm, subject
from derive.theorems.tools.implication import domain, implies
from tests.derive.theorems.trying import holds, refuted, trials


def test_every_claim_is_proved_and_checked_again():
    claims = THEOREM.prove()
    holds(claims)
    assert {"contraction-tanh-absolute", "contraction-sigmoid-2", "not-contraction-any-norm"} <= {
        c.name for c in claims
    }


def test_a_norm_that_is_not_absolute_is_no_help():
    shown = any_norm().certificate["counterexample"]
    change = np.array(shown["norm"], dtype=float)
    norm = np.linalg.norm(change @ shown["params"]["W"] @ np.linalg.inv(change), np.inf)
    assert norm == 0.5
    starts = (np.array(shown["starts"]),)
    ends = derive.evaluate(derive.cell("vanilla"), shown["params"], np.zeros((50, 2, 1)), starts)[0][-1]
    assert ends[0, 0] > 0.9
    assert ends[1, 0] < -0.9
    # in this norm turning a sign changes the length: it is not absolute
    assert np.abs(change @ [2, 1]).max() != np.abs(change @ [2, -1]).max()
    assert not derive.bound("vanilla", 2).holds(shown["params"])
    assert not derive.bound("vanilla", "inf").holds(shown["params"])


def test_the_constant_of_another_activation_is_refuted():
    ours = derive.bound(subject(sigmoid), "inf").condition
    refuted(implies("x", "‖W‖ < 5 ⇒ contraction", ours, domain([], {}, W).given(W < 5)))


def test_comparison_and_attack():
    trials("B2", certified_at_least=20)
