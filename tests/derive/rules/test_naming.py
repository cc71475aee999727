"""Renaming: states with their past, parameters that follow, swaps, clashes; and that nothing else changes."""

import numpy as np
import pytest
from hypothesis import given

import derive
from derive import Cell, RuleDoesNotApply, UnknownRule
from derive.symbols import Previous
from tests.strategies import cells, numbers


def refusal(cell: Cell | str, **options: object) -> RuleDoesNotApply:
    with pytest.raises(RuleDoesNotApply) as caught:
        derive.apply("rename", cell, **options)
    return caught.value


def test_a_state_takes_its_past_along() -> None:
    after = derive.apply("rename", "vanilla", names={"s": "h"}).after
    assert str(after) == "hₜ = tanh(W hₜ₋₁ + U xₜ + b)\noutput: hₜ"
    assert after.states == ("h",)


def test_parameters_follow_their_vector() -> None:
    after = derive.apply("rename", "prototype", names={"o": "r"}).after
    assert after.parameters.keys() >= {"W_r", "U_r", "b_r"}
    assert not {"W_o", "U_o", "b_o"} & after.parameters.keys()


def test_a_parameter_named_outright_does_not_follow() -> None:
    after = derive.apply("rename", "prototype", names={"o": "r", "W_o": "R"}).after
    assert after.parameters.keys() >= {"R", "U_r", "b_r"}


def test_a_shared_parameter_stays() -> None:
    cell = derive.cell("prototype")
    shared = cell.replace(
        equations={
            v: e.xreplace({cell.symbols["b_i"]: cell.symbols["b_o"]}) for v, e in cell.equations.items()
        }
    )
    after = derive.apply("rename", shared, names={"o": "r"}).after
    assert "b_o" in after.parameters
    assert "W_r" in after.parameters


def test_names_can_be_swapped() -> None:
    after = derive.apply("rename", "gru", names={"r": "z", "z": "r"}).after
    assert after.line(after.symbols["z"]) == "zₜ = σ(W_z sₜ₋₁ + U_z xₜ + b_z)"
    assert after.line(after.symbols["s"]) == "sₜ = rₜ ⊙ sₜ₋₁ + (1 - rₜ) ⊙ s̃ₜ"


def test_the_input_and_the_output() -> None:
    after = derive.apply("rename", "pseudo-lstm", names={"x": "u", "y": "out"}).after
    assert (after.inputs, after.output) == (("u",), "out")


def test_refusals() -> None:
    assert str(refusal("gru")) == "gru: rename needs names={'old': 'new', …}"
    assert str(refusal("gru", names={"s_tidle": "c"})) == (
        "gru: nothing is called 's_tidle'; did you mean 's_tilde'?"
    )
    taken = refusal("gru", names={"s": "z"})
    assert str(taken) == "gru: the name 'z' is taken\n  at: zₜ = σ(W_z sₜ₋₁ + U_z xₜ + b_z)"
    assert "the name 'W_z' is taken\n  at: zₜ = " in str(refusal("gru", names={"W": "W_z"}))
    # a follower may clash where its vector does not
    assert "'W_o2' is taken" in str(
        refusal(derive.apply("rename", "prototype", names={"W": "W_o2"}).after, names={"o": "o2"})
    )
    with pytest.raises(UnknownRule, match=r"rename has no option 'name'; did you mean 'names'\?"):
        derive.apply("rename", "gru", name={"s": "h"})


@given(cells())
def test_renaming_there_and_back(cell: Cell) -> None:
    names = {
        name: f"n{k}"
        for k, (name, q) in enumerate(cell.symbols.items())
        if not isinstance(q, Previous) and q.name != "mean"
    }
    step = derive.apply("rename", cell, names=names)
    assert derive.apply("rename", step.after, names={new: old for old, new in names.items()}).after == cell
    params, x, state = numbers(cell)
    renamed = {names[p]: v for p, v in params.items()}
    with np.errstate(all="ignore"):
        before, _ = derive.evaluate(cell, params, x, state)
        after, _ = derive.evaluate(step.after, renamed, x, state)
    np.testing.assert_allclose(after, before, rtol=1e-7)  # the terms of a sum may stand in another order
