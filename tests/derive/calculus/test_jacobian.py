"""Jacobians of a step: their numbers against perturbations of the evaluator, their text, their names."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import derive
from derive import (
    Cell,
    DeriveError,
    EvaluationError,
    Input,
    Jacobian,
    Linear,
    Parameter,
    State,
    Vector,
    jacobian,
    mean,
    tanh,
)
from derive.balls import ball_environment, ball_value, ends
from derive.calculus.jacobian import environment
from tests.codegen.unusual_cells import UNUSUAL
from tests.derive.calculus.perturbed import by_complex_step, by_differences, error, pairs, place
from tests.strategies import smooth_cells

CATALOGUE = [derive.cell(name) for name in derive.catalogue()]


def named(cell: Cell) -> str:
    return cell.name


# Numbers


@pytest.mark.parametrize("cell", CATALOGUE, ids=named)
def test_catalogue(cell: Cell) -> None:
    at = place(cell)
    for of, wrt in pairs(cell):
        found = jacobian(cell, of, wrt).evaluate(*at)
        assert error(found, by_complex_step(cell, of, wrt, at)) < 1e-13, (of, wrt)
        assert error(found, by_differences(cell, of, wrt, at)) < 1e-8, (of, wrt)


@given(cell=smooth_cells(), seed=st.integers(0, 99))
def test_random_cells(cell: Cell, seed: int) -> None:
    at = place(cell, seed)
    for of, wrt in pairs(cell):
        found = jacobian(cell, of, wrt).evaluate(*at)
        assert error(found, by_complex_step(cell, of, wrt, at)) < 1e-11, (of, wrt)


@pytest.mark.parametrize("cell", UNUSUAL, ids=named)
def test_unusual_cells(cell: Cell) -> None:
    at = place(cell, seed=1)
    for of, wrt in pairs(cell):
        found = jacobian(cell, of, wrt).evaluate(*at)
        assert error(found, by_complex_step(cell, of, wrt, at)) < 1e-12, (of, wrt)


def test_gates_and_candidates_have_jacobians_too() -> None:
    lstm = derive.cell("lstm")
    at = place(lstm)
    for of in lstm.equations:
        found = jacobian(lstm, of, "h").evaluate(*at)
        assert error(found, by_complex_step(lstm, of.name, "h", at)) < 1e-13, of


M, q = State("M", "slots", "width"), Vector("q", "slots", "key")
A, K, B = Parameter("A", "slots", "slots"), Parameter("K", "key", "width"), Parameter("B", "width", "key")
G, u = Parameter("G", "slots", "width"), Input("u", "width")
MEMORY = Cell(
    "memory",
    {
        q: tanh(K @ (A @ M.prev)),
        M: tanh(G * M.prev) + B @ q - mean(M.prev, "slots") * mean(M.prev, "width") + A @ (M.prev**2),
    },
    output=q,
)


@pytest.mark.parametrize("seed", range(3))
def test_a_memory_of_slots(seed: int) -> None:
    """Each linear map contracts its own axis, each mean its own."""
    at = place(MEMORY, seed, slots=2, width=3, key=4)
    for of, wrt in pairs(MEMORY):
        found = jacobian(MEMORY, of, wrt).evaluate(*at)
        assert found.shape == (2, {"M": 3, "q": 4}[of], *np.shape(at[0].get(wrt, at[2][0])))
        assert error(found, by_complex_step(MEMORY, of, wrt, at)) < 1e-13, (of, wrt)


@pytest.mark.parametrize("activation", ["softsign", "relu", "hard_sigmoid", "identity"])
def test_activations_without_a_polynomial_slope(activation: str) -> None:
    cell = derive.cell("gru").with_activations({"s_tilde": activation})
    at = place(cell, seed=2)
    for wrt in ("s", "x", "W", "U_r"):
        found = jacobian(cell, "s", wrt)
        assert error(found.evaluate(*at), by_complex_step(cell, "s", wrt, at)) < 1e-13
    assert ("softsign'(" in str(jacobian(cell, "s", "s"))) is (activation == "softsign")


def test_balls_enclose_the_numbers() -> None:
    for cell in (derive.cell("normalized-prototype"), derive.cell("peephole-lstm"), MEMORY):
        at = place(cell)
        enclosures = ball_environment(cell, *at)
        for of, wrt in pairs(cell):
            found = jacobian(cell, of, wrt)
            low, high = ends(found.at(enclosures, ball_value))
            middle = found.evaluate(*at)
            assert middle.shape == low.shape
            assert np.all(low - 1e-14 <= middle)
            assert np.all(middle <= high + 1e-14)
            assert np.max(high - low) < 1e-12


def test_numbers_that_do_not_fit_are_refused() -> None:
    found = jacobian("gru", "s", "s")
    params, x, state = place(found.cell)
    with pytest.raises(
        EvaluationError, match=r"gru: the input of one step has shape \(1, 2\), expected \(m,\)"
    ):
        found.evaluate(params, x[None], state)
    with pytest.raises(EvaluationError, match=r"gru: expected the state as a tuple of \('s',\)"):
        found.evaluate(params, x, state[0])
    with pytest.raises(EvaluationError, match=r"missing parameters \['W'\]"):
        found.evaluate({k: v for k, v in params.items() if k != "W"}, x, state)


# Words


def test_no_name_of_a_state_is_in_the_way() -> None:
    """δ, which also names the perturbation on paper, is a legal name of a state."""
    found = []
    for name in ("s", "δ"):
        s, x, W, U = State(name), Input("x"), Parameter("W", "n", "n"), Parameter("U", "n", "m")
        cell = Cell("own", {s: tanh(Linear(W, s.prev) + Linear(U, x))}, output=s)
        params = {"W": [[0.5, -0.3], [0.7, 0.2]], "U": [[1.0], [-2.0]]}
        found.append(jacobian(cell, name, name).evaluate(params, [0.4], ([0.1, -0.6],)))
    assert np.array_equal(*found)
    assert abs(found[0][0, 0]) > 0.1


def test_words_of_the_gru() -> None:
    """The four words of the design's third idea."""
    gru = derive.cell("gru")
    r, z, candidate, s = (gru.symbols[name] for name in ("r", "z", "s_tilde", "s[t-1]"))
    W, W_r, W_z = (gru.symbols[name] for name in ("W", "W_r", "W_z"))
    found = {word.maps: word.coefficients for word in jacobian(gru, "s", "s").words}
    squash = (1 - z) * (1 - candidate**2)
    expected = {
        (): (z,),
        (W_z,): ((s - candidate) * z * (1 - z), 1),
        (W,): (squash, r),
        (W, W_r): (squash, s * r * (1 - r), 1),
    }
    assert found.keys() == expected.keys()
    for maps, coefficients in expected.items():
        for one, other in zip(found[maps], coefficients, strict=True):
            assert (one - other).expand() == 0


def test_diagonal_and_zero() -> None:
    lstm = derive.cell("lstm")
    assert jacobian(lstm, "c", "c").is_diagonal
    assert jacobian(lstm, "c", "c").diagonal() == lstm.symbols["f"]
    assert not jacobian(lstm, "c", "h").is_diagonal
    assert jacobian(lstm, "c", "h").diagonal() == 0
    nothing = jacobian(lstm, "c", "W_o")
    assert nothing.words == ()
    assert str(nothing) == "∂cₜ/∂W_o = 0"
    assert nothing.evaluate(*place(lstm)).tolist() == np.zeros((3, 3, 3)).tolist()


@pytest.mark.parametrize(
    ("name", "state", "gates"),
    [
        ("gru", "s", {"z": 1}),
        ("prototype", "s", {"f": 1, "i": 0}),
        ("pseudo-lstm", "s", {"f": 1, "i": 0}),
        ("pseudo-lstm-d1", "c", {"f": 1, "i": 0}),
        ("pseudo-lstm-d2", "s", {"f": 1, "i": 0}),
        ("lstm", "c", {"f": 1, "i": 0}),
        ("peephole-lstm", "c", {"f": 1, "i": 0}),
    ],
)
def test_at_the_right_gates_a_cell_carries(name: str, state: str, gates: dict[str, int]) -> None:
    block = jacobian(name, state, state)
    carried = block.substituted(gates)
    assert [(w.coefficients, w.maps) for w in carried.words] == [((1,), ())]
    assert str(carried).endswith("= I")
    shut = block.substituted({gate: 1 - value for gate, value in gates.items()})
    assert not str(shut).endswith("= I")
    symbols = {block.cell.symbols[gate]: value for gate, value in gates.items()}
    assert block.substituted(symbols) == carried


def test_the_normalized_prototype_does_not_carry() -> None:
    left = jacobian("normalized-prototype", "s", "s").substituted({"f": 1, "i": 0})
    assert [word.maps for word in left.words] == [(), (left.cell.symbols["mean"],)]


def test_substituting_an_unknown_name_is_refused() -> None:
    with pytest.raises(DeriveError, match=r"gru has no 's_tide'; did you mean 's_tilde'"):
        jacobian("gru", "s", "s").substituted({"s_tide": 0})


# Names


def test_symbols_and_names_mean_the_same() -> None:
    gru = derive.cell("gru")
    s = gru.symbols["s"]
    assert jacobian(gru, s, s) == jacobian("gru", "s", "s") == jacobian(gru, "s", gru.symbols["s[t-1]"])
    assert jacobian(gru, "s", "s[t-1]") == jacobian(gru, "s", "s")
    assert jacobian(gru, "r", gru.symbols["W_r"]).wrt == gru.symbols["W_r"]
    assert jacobian(gru, "s", "x").wrt == gru.symbols["x"]


@pytest.mark.parametrize(
    ("of", "wrt", "message"),
    [
        ("s_tide", "s", r"gru computes no 's_tide'; did you mean 's_tilde'\? Vectors: r, z, s_tilde, s"),
        ("W", "s", r"gru computes no 'W'.* Vectors: r, z, s_tilde, s"),
        (
            "s",
            "W_s",
            r"gru: no derivative by 'W_s'; did you mean .*'W_r'.*expected a state, the input",
        ),
        ("s", "z", r"gru: no derivative by 'z'.*z is computed within the step; expected a state"),
        ("s", "c", r"gru: no derivative by 'c'.*expected a state, the input or a parameter: s, x, W_r, "),
    ],
)
def test_other_names_are_refused(of: str, wrt: str, message: str) -> None:
    with pytest.raises(DeriveError, match=re.compile(message, re.DOTALL)):
        jacobian("gru", of, wrt)


def test_other_cells_are_refused() -> None:
    with pytest.raises(derive.UnknownCell, match="did you mean 'gru'"):
        jacobian("grue", "s", "s")


# On paper


@pytest.mark.parametrize("name", derive.catalogue())
def test_golden_text(name: str, golden) -> None:
    golden(f"jacobians/{name.replace('-', '_')}.txt", f"{derive.step_jacobian(name)}\n")


def test_latex_of_the_gru() -> None:
    assert jacobian("gru", "s", "s").latex() == (
        r"\frac{\partial s_{t}}{\partial s_{t-1}} = \operatorname{diag}(z_{t})"
        r" + \operatorname{diag}(\left(1 - z_{t}\right) \odot \left(1 - \tilde{s}_{t}^{2}\right))"
        r" W \operatorname{diag}(r_{t})"
        r" + \operatorname{diag}(z_{t} \odot \left(1 - z_{t}\right)"
        r" \odot \left(s_{t-1} - \tilde{s}_{t}\right)) W_{z}"
        r" + \operatorname{diag}(\left(1 - z_{t}\right) \odot \left(1 - \tilde{s}_{t}^{2}\right))"
        r" W \operatorname{diag}(r_{t} \odot \left(1 - r_{t}\right) \odot s_{t-1}) W_{r}"
    )
    assert jacobian("gru", "s", "U").latex().endswith(r"\tilde{s}_{t}^{2}\right)) \delta x_{t}")
    assert jacobian("gru", "s", "s")._repr_latex_().startswith(r"$\displaystyle \frac{")


def test_signs_stand_between_words() -> None:
    s = State("s")
    W = Parameter("W", "n", "n")
    cell = Cell("minus", {s: -s.prev - 2 * tanh(W @ s.prev)})
    assert str(jacobian(cell, "s", "s")) == "∂sₜ/∂sₜ₋₁ = -I - 2 diag(1 - tanh(W sₜ₋₁)²) W"


def test_environment_holds_every_quantity() -> None:
    gru = derive.cell("gru")
    env = environment(gru, *place(gru))
    assert {q.name for q in env} == set(gru.symbols)


def test_an_empty_jacobian_is_printed_as_zero() -> None:
    gru = derive.cell("gru")
    empty = Jacobian(gru, gru.symbols["s"], gru.symbols["x"], ())
    assert empty.latex() == r"\frac{\partial s_{t}}{\partial x_{t}} = 0"
