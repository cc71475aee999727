"""B8: what gated incremental writes can reach."""

import derive
from derive import Cell, Input, State, Vector, affine_parameters, relu, sigmoid, tanh
from derive.theorems.b8 import THEOREM, attack, claims, memories_of
from tests.derive.theorems.trying import holds

EVERY = THEOREM.cells


def test_it_speaks_of_every_cell_but_the_vanilla():
    assert set(EVERY) == set(derive.catalogue()) - {"vanilla"}


def test_every_claim_is_proved_and_checked_again():
    found = THEOREM.prove()
    holds(found)
    assert {c.name for c in found if c.name.startswith("gru")} == {"gru-s-linear", "gru-s-coupled"}
    assert {c.name for c in found if c.name.startswith("lstm")} == {
        "lstm-c-linear", "lstm-c-step", "lstm-c-limsup"
    }  # fmt: skip
    assert {c.name.split("-s-")[0].split("-c-")[0] for c in found} == set(EVERY)


def _gated(candidate):
    c, x = State("c"), Input("x")
    f, i, t = Vector("f"), Vector("i"), Vector("c_tilde")
    (W_f, U_f, b_f), (W_i, U_i, b_i), (W, U, b) = (affine_parameters(k) for k in ("f", "i", ""))
    return Cell(
        "mine",
        {
            f: sigmoid(W_f @ c.prev + U_f @ x + b_f),
            i: sigmoid(W_i @ c.prev + U_i @ x + b_i),
            t: candidate(W @ c.prev + U @ x + b),
            c: f * c.prev + i * t,
        },
        output=c,
    )


def test_a_cell_of_ones_own_is_found_by_its_structure():
    (memory,) = memories_of(_gated(tanh))
    assert not memory.is_coupled
    holds(list(claims(memory)))


def test_an_unbounded_candidate_is_no_such_write():
    assert memories_of(_gated(relu)) == ()


def test_runs_stay_within():
    found = attack(24, 1)
    assert (found.attacked, found.broken) == (24, 0)
    assert found.worst > 0.9


def test_coupled_is_seen():
    assert [m.is_coupled for m in memories_of(derive.cell("gru"))] == [True]
    assert [m.is_coupled for m in memories_of(derive.cell("lstm"))] == [False]
