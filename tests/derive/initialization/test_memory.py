"""Biases for a memory length, checked through the Jacobian and the values at rest; and the refusals."""

import pytest
import sympy
from hypothesis import given
from sympy import Rational, log

import derive
from derive import (
    Cell,
    DeriveError,
    Input,
    Parameter,
    State,
    Vector,
    affine_parameters,
    hard_sigmoid,
    sigmoid,
    tanh,
)
from derive.activations import a
from derive.initialization import jacobian_shares, memory_biases
from derive.initialization.memory import inverse
from derive.initialization.rest import at_rest
from tests.strategies import gated_cells

GATED = [name for name in derive.catalogue() if name != "vanilla"]
T = sympy.Symbol("T", positive=True)
s, x, i, f, g = State("s"), Input("x"), Vector("i"), Vector("f"), Vector("g")
W, U, b = affine_parameters()
W_i, U_i, b_i = affine_parameters("i")
W_f, U_f, b_f = affine_parameters("f")
_, _, b_g = affine_parameters("g")
candidate = tanh(W @ s.prev + U @ x + b)


def memory_state(name: str) -> str:
    return "c" if "c" in derive.cell(name).states else "s"


@pytest.mark.parametrize("length", [10, Rational(5, 2), Rational(11, 10), T], ids=str)
@pytest.mark.parametrize("name", GATED)
def test_the_carry_of_the_jacobian_is_one_minus_one_over_the_length(name: str, length) -> None:
    shares = jacobian_shares(name, memory_biases(name, length))
    assert sympy.simplify(shares.carry(memory_state(name)) - (1 - 1 / sympy.sympify(length))) == 0
    if "i" in derive.cell(name).symbols:
        written = at_rest(derive.cell(name), memory_biases(name, length))[i]
        assert sympy.simplify(written - 1 / sympy.sympify(length)) == 0


def test_values() -> None:
    assert memory_biases("lstm", 10) == {"b_f": log(9), "b_i": -log(9)}
    assert memory_biases("gru", 10) == {"b_z": log(9)}
    assert memory_biases("gru", T) == {"b_z": log(T - 1)}
    assert memory_biases("lstm", sympy.Symbol("τ")) == {
        "b_f": log(sympy.Symbol("τ") - 1),
        "b_i": -log(sympy.Symbol("τ") - 1),
    }
    assert float(memory_biases("gru", 7.5)["b_z"]) == pytest.approx(float(log(6.5)))
    assert memory_biases("gru", 2) == {"b_z": 0}


@given(cell=gated_cells())
def test_random_gated_cells(cell: Cell) -> None:
    """Either the carry is as asked for, or there is no gate to ask, or it has no bias."""
    try:
        found = memory_biases(cell, 10)
    except DeriveError as error:
        assert "no gate decides" in str(error) or "no bias of its own" in str(error)  # noqa: PT017
        return
    shares = jacobian_shares(cell, found)
    memory = "c" if "c" in cell.states else "s"
    assert sympy.simplify(shares.carry(memory)) == Rational(9, 10)


def test_another_activation_is_inverted() -> None:
    cell = derive.cell("gru").with_activations({"z": hard_sigmoid})
    assert memory_biases(cell, 10) == {"b_z": Rational(12, 5)}  # 6 (1 - 1/10) - 3
    assert sympy.simplify(memory_biases(cell, T)["b_z"] - (6 * (1 - 1 / T) - 3)) == 0


@pytest.mark.parametrize("activation", [act for act in derive.ACTIVATIONS.values() if act.is_gate], ids=str)
@pytest.mark.parametrize("output", [Rational(1, 10), Rational(1, 2), Rational(9, 10)], ids=str)
def test_inverse(activation, output) -> None:
    assert sympy.simplify(activation.formula.subs(a, inverse(activation, output)) - output) == 0


def test_inverse_refuses_values_that_are_not_taken() -> None:
    for activation, output in (
        (sigmoid, Rational(3, 2)),
        (sigmoid, sympy.S.One),
        (hard_sigmoid, sympy.S(-1)),
    ):
        with pytest.raises(DeriveError, match=f"no argument is known at which {activation.name} is {output}"):
            inverse(activation, output)


def overwriting(**changes) -> Cell:
    """One gate, that writes; what it does not write is kept."""
    argument = changes.get("argument", W_i @ s.prev + U_i @ x + b_i)
    return Cell("overwriting", {i: sigmoid(argument), s: (1 - i) * s.prev + i * candidate}, output=s)


def test_the_write_gate_gets_the_opposite() -> None:
    assert memory_biases(overwriting(), 10) == {"b_i": -log(9)}


def test_signs_and_offsets_of_the_bias() -> None:
    assert memory_biases(overwriting(argument=W_i @ s.prev - b_i), 10) == {"b_i": log(9)}
    (found,) = memory_biases(overwriting(argument=W_i @ s.prev + b_i + 1), 10).values()
    assert sympy.simplify(found - (-log(9) - 1)) == 0


def test_a_gate_of_a_bias_alone() -> None:
    cell = Cell("constant", {f: sigmoid(b_f), s: f * s.prev + (1 - f) * candidate}, output=s)
    assert memory_biases(cell, 10) == {"b_f": log(9)}


def test_a_product_of_gates_is_divided_evenly() -> None:
    cell = Cell(
        "twice-kept",
        {f: sigmoid(U_f @ x + b_f), g: sigmoid(W_f @ s.prev + b_g), s: f * g * s.prev + candidate},
        output=s,
    )
    biases = memory_biases(cell, 10)
    assert set(biases) == {"b_f", "b_g"}
    assert biases["b_f"] == biases["b_g"]
    assert float(jacobian_shares(cell, biases).carry("s")) == pytest.approx(0.9, abs=1e-12)


def test_one_gate_cannot_do_two_things() -> None:
    both = Cell("both", {f: sigmoid(U_f @ x + b_f), s: f * s.prev + f * candidate}, output=s)
    assert memory_biases(both, 2) == {"b_f": 0}
    with pytest.raises(DeriveError, match=r"the gate f would have to be 9/10 and 1/10 at once:\n.*fₜ = σ"):
        memory_biases(both, 10)


@pytest.mark.parametrize("length", [1, 0.5, -3, float("inf"), float("nan"), "ten", True, None, sympy.I])
def test_lengths_that_are_none(length) -> None:
    with pytest.raises(DeriveError, match=r"gru: a memory length of .*; expected a number of steps above 1"):
        memory_biases("gru", length)


def test_no_gate_no_memory() -> None:
    with pytest.raises(DeriveError, match="vanilla: no gate decides how much of a state is kept"):
        memory_biases("vanilla", 10)
    half = Cell("half", {f: sigmoid(b_f), s: f * s.prev / 2 + candidate}, output=s)
    with pytest.raises(DeriveError, match="no gate decides"):  # its carry stays below a half
        memory_biases(half, 10)


def test_no_bias_no_memory() -> None:
    with pytest.raises(
        DeriveError, match=r"gate z must start at 9/10, but it has no bias of its own:\n.*zₜ = σ"
    ):
        memory_biases(derive.cell("gru").without_biases(), 10)


def test_an_offset_that_depends_on_a_matrix() -> None:
    P = Parameter("P", "n", "n")
    cell = overwriting(argument=P @ sigmoid(W_i @ s.prev) + b_i)
    with pytest.raises(DeriveError, match="what the gate i adds to its bias is not known at s = x = 0"):
        memory_biases(cell, 10)


def test_where_keeping_and_writing_are_coupled_no_other_gate_is_touched() -> None:
    equations = {
        f: sigmoid(U_f @ x + b_f),
        i: sigmoid(U_i @ x + b_i),
        s: f * s.prev + (1 - f) * i * candidate,
    }
    assert memory_biases(Cell("coupled", equations, output=s), 10) == {"b_f": log(9)}
