"""Morphs: what can never be returned unchanged, and what is honestly not decided."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import derive
from derive import Cell, Input, State, Vector, hard_sigmoid, relu, sigmoid, softsign, tanh, variance
from derive.anatomy import states
from derive.claims import recheck_certificate
from derive.claims.carry import carry
from derive.claims.morph import morphs
from derive.symbols import affine_parameters
from tests.strategies import cells, gated_cells, numbers

s, h, c, x = State("s"), State("h"), State("c"), Input("x")
a, f, o, g = (Vector(name) for name in ("a", "f", "o", "g"))
W, U, b = affine_parameters()
V = derive.Parameter("V", "n", "n")

EXPECTED = {
    "vanilla": {"s": "affine nowhere"},
    "normalized-prototype": {"s": "variance"},
    "pseudo-lstm-d1": {"h": "far out"},
    "pseudo-lstm-d12": {"h": "far out"},
    "pseudo-lstm-d13": {"h": "far out"},
    "lstm": {"h": "far out"},
    "peephole-lstm": {"h": "far out"},
}


@pytest.mark.parametrize("name", derive.catalogue())
def test_the_catalogue(name: str) -> None:
    claims = [claim for claim in derive.prove(name) if claim.kind == "morphs"]
    assert {c.certificate["state"]: c.certificate["method"] for c in claims} == EXPECTED.get(name, {})
    assert all(claim.recheck() for claim in claims)


def replaced(phi: Any) -> Cell:
    return Cell("unit", {s: phi(W @ s.prev + U @ x + b)}, output=s)


CASES: list[tuple[Cell, str]] = [
    (replaced(tanh), "affine nowhere"),
    (replaced(sigmoid), "affine nowhere"),
    (replaced(softsign), "affine nowhere"),
    (replaced(relu), ""),
    (replaced(hard_sigmoid), ""),
    (Cell("mixed", {s: W @ tanh(V @ s.prev) + b}, output=s), "far out"),
    (Cell("half", {s: s.prev / 2 + tanh(V @ s.prev)}, output=s), "far out"),
    (Cell("whole", {s: s.prev + sigmoid(V @ s.prev)}, output=s), ""),
    (Cell("kinked", {s: s.prev / 2 + relu(V @ s.prev)}, output=s), ""),
    (Cell("free", {s: b * s.prev + tanh(V @ s.prev)}, output=s), ""),
    (
        Cell(
            "damped",
            {f: sigmoid(W @ s.prev), o: sigmoid(V @ s.prev), s: f * s.prev / 2 + o * tanh(U @ x)},
            output=s,
        ),
        "far out",
    ),
    (
        Cell("gated", {f: hard_sigmoid(W @ s.prev), s: f * tanh(V @ s.prev)}, output=s),
        "far out",  # the gate has kinks, but is a constant in the claim
    ),
    (
        Cell("normal", {a: s.prev + b, s: a / (variance(a) + 1) ** derive.Rational(1, 2)}, output=s),
        "variance",
    ),
    (Cell("loose", {a: s.prev + b, s: 3 * a / (variance(a) + 1) ** derive.Rational(1, 2)}, output=s), ""),
]


@pytest.mark.parametrize(("cell", "method"), CASES)
def test_which_method_shows_it(cell: Cell, method: str) -> None:
    claim = morphs(cell, s)
    assert claim.status == ("proved" if method else "unknown")
    assert (claim.certificate or {"method": ""})["method"] == method
    assert claim.recheck() == bool(method)
    if not method:
        assert len(claim.attempts) == 3


def test_the_normalized_prototype_needs_two_units() -> None:
    """With one unit the variance is 0, and the state is carried."""
    assert morphs(derive.cell("normalized-prototype"), s).assumptions == (
        "n ≥ 2 (for n = 1 the variance is 0)",
    )


def tampered(name: str, state: str, key: str, value: Any) -> dict[str, Any]:
    cell = derive.cell(name)
    document = copy.deepcopy(morphs(cell, State(state)).to_json())
    assert recheck_certificate(document)
    document["certificate"][key] = value
    return document


@pytest.mark.parametrize(
    ("name", "state", "key", "value"),
    [
        ("vanilla", "s", "activation", "relu"),
        ("vanilla", "s", "state", "nothing"),
        ("vanilla", "s", "method", "variance"),
        ("normalized-prototype", "s", "point", ["1", "1"]),
        ("normalized-prototype", "s", "method", "far out"),
        ("lstm", "h", "share", ["num", "1/2"]),
        ("lstm", "h", "decided", {}),
        ("lstm", "h", "method", "sampling"),
    ],
)
def test_a_tampered_certificate_fails(name: str, state: str, key: str, value: Any) -> None:
    assert not recheck_certificate(tampered(name, state, key, value))


def test_a_certificate_of_another_cell_fails() -> None:
    """The same words about a relu cell, which carries."""
    document = morphs(derive.cell("vanilla"), s).to_json()
    rectified = derive.cell("vanilla").with_activations({"s": relu})
    from derive.claims.tools.plain import cell_to_plain

    assert not recheck_certificate({**document, "cell": cell_to_plain(rectified)})


@given(st.one_of(cells(), gated_cells()), st.integers(0, 2**16))
def test_no_state_both_carries_and_morphs(cell: Cell, seed: int) -> None:
    """And a random state of a state that morphs does not come back."""
    for state in states(cell):
        claim = morphs(cell, state)
        assert claim.recheck() == (claim.status == "proved")
        if claim.status != "proved":
            continue
        assert carry(cell, state).status != "proved"
        params, inputs, start = numbers(cell, T=1, B=None, seed=seed)
        large = tuple(3 * v for v in start)
        with np.errstate(all="ignore"):
            after = derive.evaluate(cell, params, inputs, large)[1][cell.states.index(state.name)]
        assert not np.allclose(after, large[cell.states.index(state.name)], rtol=1e-12, atol=0)
