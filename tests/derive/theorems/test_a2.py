"""A2: the table of carries and morphs, numbers behind it, and wrong claims refuted."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import sympy

import derive
from derive import ACTIVATIONS
from derive.claims import recheck_certificate
from derive.claims.carry import carries_at, carry
from derive.claims.tools.drives import Numbers
from derive.theorems.a2 import (
    THEOREM,
    _check_copy,
    _check_nowhere,
    cannot_copy_input,
    carries_or_morphs,
    copies_input_nowhere,
    exchanged,
    identity_jacobian_at_rest,
    normalization_loses_the_carry,
    one_unit,
    table,
)
from derive.theorems.tools.facts import with_activation

pytest.importorskip("z3")
pytest.importorskip("cvc5")

OPEN = {"f": "1", "i": "0"}
EXPECTED = {
    ("vanilla", "s"): None,
    ("prototype", "s"): OPEN,
    ("normalized-prototype", "s"): None,
    ("gru", "s"): {"z": "1"},
    **{(f"pseudo-lstm{d}", "s"): OPEN for d in ("", "-d2", "-d3", "-d23")},
    **{(f"pseudo-lstm-{d}", "c"): OPEN for d in ("d1", "d12", "d13")},
    **{(f"pseudo-lstm-{d}", "h"): None for d in ("d1", "d12", "d13")},
    **{(name, "c"): OPEN for name in ("lstm", "peephole-lstm")},
    **{(name, "h"): None for name in ("lstm", "peephole-lstm")},
}
"""Which state carries, at which setting; None where it morphs."""


def test_everything_is_proved_and_rechecks() -> None:
    claims = THEOREM.prove()
    assert [(c.name, c.status) for c in claims if c.status != "proved"] == []
    assert [c.name for c in claims if not c.recheck()] == []


def test_the_table_of_the_thirteen_cells() -> None:
    found = {
        (name, state): claim.certificate.get("setting") if claim.kind == "carries" else None
        for name, state, claim in table()
    }
    assert found == EXPECTED


@pytest.mark.parametrize("place", [p for p, setting in EXPECTED.items() if setting], ids=str)
def test_a_carry_carries_in_numbers(place: tuple[str, str]) -> None:
    """Gates driven to the setting by their biases return a random state, up to 1e-12."""
    name, state = place
    cell, rng = derive.cell(name), np.random.default_rng(0)
    parameters = {p: rng.normal(size=(3,) * len(axes)) for p, axes in cell.parameters.items()}
    for gate, value in EXPECTED[place].items():
        for p in cell.parameters:
            if p.endswith(f"_{gate}"):
                parameters[p] = parameters[p] * 0
        parameters[f"b_{gate}"] = np.full(3, 40.0 if value == "1" else -40.0)
    start = tuple(rng.normal(size=3) for _ in cell.states)
    _, end = derive.evaluate(cell, parameters, rng.normal(size=(1, 3)), start)
    k = cell.states.index(state)
    assert np.abs(end[k] - start[k]).max() < 1e-12


def test_vanilla_by_activation() -> None:
    kinds = {p: carries_or_morphs(with_activation("vanilla", phi))[0].kind for p, phi in ACTIVATIONS.items()}
    assert {p: k for p, k in kinds.items() if p != "softplus"} == {
        "sigmoid": "morphs",
        "tanh": "morphs",
        "softsign": "morphs",
        "relu": "carries",
        "identity": "carries",
        "hard_sigmoid": "carries",
    }


def test_relu_carries_where_the_state_is_positive() -> None:
    cell = with_activation("vanilla", ACTIVATIONS["relu"])
    (claim,) = carries_or_morphs(cell)
    assert claim.certificate["region"] == ["0", "oo"]
    parameters = {"W": np.eye(2), "U": np.zeros((2, 1)), "b": np.zeros(2)}
    for state in ([0.0, 3.0], [1.0, -1.0]):
        _, (end,) = derive.evaluate(cell, parameters, np.ones((1, 1)), (np.array(state),))
        assert (end == state).all() == (min(state) >= 0)


def test_the_normalized_prototype_loses_it_in_these_numbers() -> None:
    claim = normalization_loses_the_carry("normalized-prototype")
    assert claim.statement == "at f = 1, i = 0 the step sends s = (1, -1) to (0.707, -0.707)"
    cell = derive.cell("normalized-prototype")
    run = Numbers.from_plain(cell, claim.certificate["counterexample"]["run"])
    np.testing.assert_allclose(run.state[0], [1, -1])
    np.testing.assert_allclose(run.states(cell)[1][0], np.array([1, -1]) / np.sqrt(2), rtol=1e-12)


def test_with_one_unit_it_carries() -> None:
    (claim,) = carries_or_morphs(one_unit(derive.cell("normalized-prototype")))
    assert (claim.kind, claim.certificate["setting"]) == ("carries", OPEN)


def test_carries_that_do_not_exist_are_refuted_or_not_found() -> None:
    assert carries_at(derive.cell("prototype"), "s", {"f": 1}).status == "refuted"
    assert carries_at(derive.cell("gru"), "s", {"z": 0}).status == "refuted"
    vanilla = derive.cell("vanilla")
    assert carry(vanilla, derive.State("s", "n")).status == "unknown"


@pytest.mark.parametrize("phi", ["sigmoid", "tanh", "softsign"])
def test_the_input_is_not_copied(phi: str) -> None:
    cell = with_activation("vanilla", ACTIVATIONS[phi])
    for claim, check in (
        (cannot_copy_input(cell), _check_copy),
        (copies_input_nowhere(cell), _check_nowhere),
    ):
        assert (claim.status, claim.recheck()) == ("proved", True)
        other = copy.deepcopy(claim.to_json())
        other["statement"] = other["statement"].replace("no weights", "no matrix")
        assert not check(other)


def test_past_and_input_are_exchanged() -> None:
    """The exchanged cell from state x with input s does what the cell does from s with x."""
    vanilla, rng = derive.cell("vanilla"), np.random.default_rng(0)
    parameters = {"W": rng.normal(size=(3, 3)), "U": rng.normal(size=(3, 3)), "b": rng.normal(size=3)}
    s, x = rng.normal(size=3), rng.normal(size=3)
    one = derive.evaluate(vanilla, parameters, x[None], (s,))[0]
    other = derive.evaluate(exchanged(vanilla), parameters, s[None], (x,))[0]
    np.testing.assert_allclose(one, other, rtol=1e-14)


def test_relu_copies_a_positive_input() -> None:
    """So no claim is made, and the exchanged cell carries."""
    cell = with_activation("vanilla", ACTIVATIONS["relu"])
    assert cannot_copy_input(cell).status == "unknown"
    assert copies_input_nowhere(cell).status == "unknown"
    assert carries_or_morphs(exchanged(cell))[0].kind == "carries"
    parameters = {"W": np.zeros((2, 2)), "U": np.eye(2), "b": np.zeros(2)}
    outputs, _ = derive.evaluate(cell, parameters, np.array([[0.5, 2.0]]))
    np.testing.assert_array_equal(outputs, [[0.5, 2.0]])


@pytest.mark.parametrize(("phi", "scale"), [("tanh", 1), ("sigmoid", 4)])
def test_the_jacobian_at_rest_can_be_the_identity(phi: str, scale: int) -> None:
    cell = with_activation("vanilla", ACTIVATIONS[phi])
    claim = identity_jacobian_at_rest(cell)
    assert (claim.status, sympy.Rational(claim.certificate["scale"])) == ("proved", scale)
    parameters = {"W": scale * np.eye(3), "U": np.zeros((3, 1)), "b": np.zeros(3)}
    found = derive.jacobian(cell, "s", "s").evaluate(parameters, np.zeros(1), (np.zeros(3),))
    np.testing.assert_allclose(found, np.eye(3), atol=1e-12)


def test_tampered_certificates_fail() -> None:
    document = copy.deepcopy(carries_or_morphs("prototype")[0].to_json())
    assert recheck_certificate(document)
    document["certificate"]["setting"]["f"] = "0"
    assert not recheck_certificate(document)
