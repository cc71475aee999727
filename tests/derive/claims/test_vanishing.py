"""Finite changes vanish under the condition; a condition that is too weak is refuted by two runs."""

from __future__ import annotations

import copy
import unicodedata
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import sympy

import derive
from derive import Cell, Input, State, affine_parameters, sigmoid, softsign, tanh
from derive.bounds import Bound, bound
from derive.bounds.condition import block_matrix
from derive.bounds.symbolic import SymbolicBounds
from derive.bounds.symbols import norm_symbol
from derive.calculus import step_jacobian
from derive.claims import recheck_certificate
from derive.claims.tools.box import Box
from derive.claims.tools.drives import Numbers
from derive.claims.tools.shrinking import parts
from derive.claims.vanishing import vanishes

pytest.importorskip("z3")
pytest.importorskip("cvc5")

s, x = State("s"), Input("x")
W, U, b = affine_parameters()
VANILLA = derive.cell("vanilla")
norm = norm_symbol("W")


def unit(phi: derive.Activation) -> Cell:
    return VANILLA.with_activations({"s": phi})


@pytest.mark.parametrize(("phi", "limit"), [(tanh, 1), (softsign, 1), (sigmoid, 4)])
def test_the_condition_of_the_article(phi: derive.Activation, limit: int) -> None:
    """‖W‖ < 1/γ: 4 for σ, 1 for tanh."""
    for condition in (None, norm < limit):
        claim = vanishes(unit(phi), condition)
        assert claim is not None
        assert (claim.status, claim.recheck()) == ("proved", True)
    ((left, op, right),) = vanishes(unit(phi)).certificate["condition"]
    scale = 1.0 if left == "norm_W" else 1 / limit
    assert op == "<"
    assert float(derive.Rational(right[1])) / scale == pytest.approx(limit)


@pytest.mark.parametrize(("phi", "limit"), [(tanh, 1), (sigmoid, 4)])
def test_a_condition_two_percent_too_weak_is_refuted(phi: derive.Activation, limit: int) -> None:
    cell = unit(phi)
    claim = vanishes(cell, norm < limit * derive.Rational(51, 50))
    assert claim is not None
    assert (claim.status, claim.recheck()) == ("refuted", True)
    one, other = (Numbers.from_plain(cell, run) for run in claim.counterexample["runs"])
    first, second = (
        derive.evaluate(cell, run.parameters, run.inputs, run.state)[1][0] for run in (one, other)
    )
    assert np.abs(first - second).max() > np.abs(one.state[0] - other.state[0]).max()
    assert np.abs(one.parameters["W"]).sum(1).max() < limit * 1.02
    tampered = copy.deepcopy(claim.to_json())
    tampered["counterexample"]["runs"][0]["parameters"]["W"] = [[9.0, 0.0], [0.0, 9.0]]
    assert not recheck_certificate(tampered)


CLAIMED = [name for name in derive.catalogue() if name != "normalized-prototype"]


@pytest.mark.parametrize("name", CLAIMED)
def test_every_cell_with_a_closed_condition(name: str) -> None:
    cell = derive.cell(name)
    claim = vanishes(cell)
    assert claim is not None
    assert (claim.status, claim.recheck()) == ("proved", True)
    found = bound(cell, "inf", inputs=None if name == "vanilla" else 1)
    for symbol, end in Box.of(found).ends.named.items():  # the walk and the ranges define the same z̄
        if symbol in found.gates:
            assert end.value == found.gates[symbol], symbol


@pytest.mark.parametrize("name", CLAIMED)
@pytest.mark.parametrize("seed", range(2))
def test_finite_changes_shrink_where_the_condition_holds(name: str, seed: int) -> None:
    """By one step at least, in the norm max ‖vᵢ‖/dᵢ with d = (I - N)⁻¹ 1, from anywhere in the box."""
    cell, rng = derive.cell(name), np.random.default_rng(seed)
    found = bound(cell, "inf", inputs=1)
    weights = {
        p: rng.normal(size=[{"n": 4, "m": 2}[ax] for ax in axes]) for p, axes in cell.parameters.items()
    }
    while found.condition.xreplace(known := in_numbers(found, weights)) != sympy.true:
        weights = {p: 0.8 * w for p, w in weights.items()}
    past = [cell.symbols[s].prev for s in cell.states]
    limits = [float(found.setting.put_in(found.setting.ranges(q).high).xreplace(known)) for q in past]
    symbolic = SymbolicBounds(cell, found.setting.ranges, closed=True)
    N = found.setting.put_in(block_matrix(cell, sympy.oo, symbolic)).xreplace(known)
    d = np.ones(1)
    if len(past) > 1:
        d = np.linalg.solve(np.eye(len(past)) - np.array(N, dtype=float), np.ones(len(past)))
        assert (d > 0).all()
    inputs = rng.uniform(-1, 1, size=(12, 2))
    for box_ends in (True, False):
        draw = (lambda: rng.choice([-1.0, 1.0], size=4)) if box_ends else (lambda: rng.uniform(-1, 1, size=4))
        runs = [
            Numbers(weights, inputs, tuple(limit * draw() for limit in limits)).states(cell) for _ in range(2)
        ]
        for state, limit in zip(runs[0][-1], limits, strict=True):
            assert np.abs(state).max() <= limit
        sizes = [
            max(np.abs(v - w).max() / di for v, w, di in zip(one, other, d, strict=True))
            for one, other in zip(*runs, strict=True)
        ]
        assert all(after < before or before == 0 for before, after in pairwise(sizes))


def in_numbers(found: Bound, weights: dict[str, np.ndarray]) -> dict[sympy.Symbol, sympy.Expr]:
    """‖W‖ as a number, and 3 for the bound of a state that is to be chosen."""
    norms = {p: np.abs(w).sum(-1).max() if w.ndim == 2 else np.abs(w).max() for p, w in weights.items()}
    known = {found.norms[p]: sympy.Float(norm) for p, norm in norms.items()}
    return known | dict.fromkeys(found.states.values(), sympy.Float(3))


def plain(text: str) -> str:
    """One form for ī, which has two."""
    return unicodedata.normalize("NFD", text)


def test_what_the_statements_say() -> None:
    gru, lstm, peephole = (vanishes(derive.cell(name)) for name in ("gru", "lstm", "peephole-lstm"))
    assert gru.statement.endswith("whenever z̄·‖W_z‖·(sup s̃ + 1) + ‖W‖·(r̄ + ‖W_r‖/4) < 1")
    assert set(gru.assumptions) >= {
        "|x| ≤ 1",
        "s in [-1, 1], where it stays",
        "z̄ = σ(‖U_z‖ + ‖W_z‖ + ‖b_z‖)",
    }
    assert "‖Δ(h, c)ₜ₊ₖ‖ ≤ C ρᵏ ‖Δ(h, c)ₜ‖" in lstm.statement
    assert plain("|c| ≤ ī·sup c̃/(1 - f̄), where it stays") in map(plain, lstm.assumptions)
    assert "any x" in vanishes(VANILLA).assumptions
    # where a gate reads what nothing bounds, a bound is to be chosen that a step keeps
    assert plain(peephole.statement).endswith(plain("and f̄·|c| + ī·sup c̃ ≤ |c|"))
    assert "c bounded by a number |c|" in peephole.assumptions


def test_where_nothing_bounds_the_step_nothing_is_claimed() -> None:
    """A carry of 1 vanishes for no weights; a root has no closed form."""
    carried = Cell("carried", {s: s.prev + tanh(W @ s.prev + U @ x + b)})
    for cell in (carried, derive.cell("normalized-prototype")):
        assert vanishes(cell) is None


def gate_symbols(*names: str) -> list[sympy.Symbol]:
    return [sympy.Symbol(f"{name}_bar", positive=True) for name in names]


def gru_conditions() -> dict[str, sympy.Expr]:
    r, z, candidate = gate_symbols("r", "z", "s_tilde")
    reset, update = norm * (r + norm_symbol("W_r") / 4), z * (1 + candidate) * norm_symbol("W_z")
    return {
        "no W_z": reset < 1,
        "no W": update < 1,
        "no φ̄": reset + z * norm_symbol("W_z") < 1,
        "2% too weak": reset + update < derive.Rational(51, 50),
    }


@pytest.mark.parametrize("which", gru_conditions())
def test_a_wrong_condition_of_the_gru_is_refuted_by_two_runs(which: str) -> None:
    cell = derive.cell("gru")
    claim = vanishes(cell, gru_conditions()[which])
    assert (claim.status, claim.recheck()) == ("refuted", True)
    runs = [Numbers.from_plain(cell, run) for run in claim.counterexample["runs"]]
    before, after = (np.abs(np.subtract(*(run.states(cell)[k][0] for run in runs))).max() for k in (0, 1))
    assert after > before
    assert np.abs(runs[0].inputs).max() <= 1
    tampered = copy.deepcopy(claim.to_json())
    for run in tampered["counterexample"]["runs"]:
        run["parameters"] = {p: np.zeros_like(v).tolist() for p, v in run["parameters"].items()}
    assert not recheck_certificate(tampered)


def test_a_stronger_condition_suffices_too() -> None:
    claim = vanishes(derive.cell("gru"), gru_conditions()["2% too weak"].lhs < derive.Rational(1, 2))
    assert (claim.status, claim.recheck()) == ("proved", True)


def test_a_matrix_that_is_too_small_is_not_proved() -> None:
    """For several states: without ‖W_o‖ the block of h by h is no bound; a larger matrix is."""
    cell = derive.cell("lstm")
    found = bound(cell, "inf", inputs=1)
    N = block_matrix(cell, sympy.oo, SymbolicBounds(cell, found.setting.ranges, closed=True))
    assert vanishes(cell, N.xreplace({norm_symbol("W_o"): sympy.S.Zero})).status == "unknown"
    larger = vanishes(cell, N + sympy.ones(2, 2) / 100)
    assert (larger.status, larger.recheck()) == ("proved", True)


def test_nodes_that_print_alike_are_told_apart() -> None:
    """softsign(c) and its slope, which is opaque."""
    equations = derive.cell("lstm").equations
    h, c = State("h"), State("c")
    cell = Cell("soft", {**equations, h: derive.Vector("o") * softsign(c)}, output="h", states=("h", "c"))
    words = [w for row in step_jacobian(cell).blocks for block in row for w in block.words]
    alike = [str(p) for w in words for c in w.coefficients for p in parts(c)[1]]
    assert len(set(alike)) < len({p for w in words for c in w.coefficients for p in parts(c)[1]})
    claim = vanishes(cell)
    assert claim is not None
    assert (claim.status, claim.recheck()) == ("proved", True)


@pytest.mark.parametrize("name", ["gru", "lstm", "pseudo-lstm"])
def test_what_does_not_hold_is_not_certified(name: str) -> None:
    document = vanishes(derive.cell(name)).to_json()
    assert recheck_certificate(document)

    def changed(key: str, entry: Any, value: Any) -> dict[str, Any]:
        other = copy.deepcopy(document)
        other["certificate"][key][entry] = value
        return other

    assert not recheck_certificate(changed("sizes", 0, ["", ["num", "1/8"]]))
    state = next(iter(document["certificate"]["states"]))
    assert not recheck_certificate(changed("states", state, [["num", "-1/2"], ["num", "1/2"]]))
    end = next(iter(document["certificate"]["ends"]))
    assert not recheck_certificate(changed("ends", end, ["num", "0"]))
    assert not recheck_certificate(changed("decided", 0, document["certificate"]["decided"][1]))


def test_tampered_certificates_fail() -> None:
    document = vanishes(VANILLA).to_json()
    assert recheck_certificate(document)
    weaker = copy.deepcopy(document)
    weaker["certificate"]["condition"] = [["norm_W", "<", ["num", "51/50"]]]
    weaker["statement"] = document["statement"].replace("‖W‖ < 1", "‖W‖ < 51/50")
    assert not recheck_certificate(weaker)


@pytest.mark.parametrize("seed", range(8))
def test_large_changes_shrink(seed: int) -> None:
    """At ‖W‖ = 0.9 two runs from anywhere in the box come together by 0.9 a step at least."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(5, 5))
    weights *= 0.9 / np.abs(weights).sum(1).max()
    params = {"W": weights, "U": rng.normal(size=(5, 2)), "b": rng.normal(size=5)}
    inputs = rng.normal(size=(10, 2))
    starts = rng.uniform(-1, 1, size=(2, 5))
    ends = [np.stack(Numbers(params, inputs, (start,)).states(VANILLA))[:, 0] for start in starts]
    distances = np.abs(ends[0] - ends[1]).max(1)
    assert np.all(distances[1:] <= 0.9 * distances[:-1] + 1e-15)
