"""The same function or not: torch's cells by hand, disguises, and differences that can be replayed."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import derive
from derive import Cell, Equivalence, Input, Parameter, State, Vector, relu, sigmoid, tanh
from derive.evaluate import evaluate
from derive.normal import normal_form
from derive.symbols import affine_parameters, atoms
from tests.reparameterized import disguise
from tests.strategies import cells, gated_cells, numbers

s, h, c, x = State("s"), State("h"), State("c"), Input("x")
f, i, o, r, z, g, y, k, q = (Vector(name) for name in ("f", "i", "o", "r", "z", "g", "y", "k", "q"))
W, U, b = affine_parameters()


def torch_gate(letter: str, past: Any = h.prev) -> Any:
    """W_i* x + b_i* + W_h* h + b_h*, as the documentation of torch.nn.LSTM has it."""
    W_x, W_h = Parameter(f"W_i{letter}", "n", "m"), Parameter(f"W_h{letter}", "n", "n")
    b_x, b_h = Parameter(f"b_i{letter}", "n"), Parameter(f"b_h{letter}", "n")
    return W_x @ x + b_x + W_h @ past + b_h


TORCH_RNN = Cell("torch-rnn", {h: tanh(torch_gate("h"))}, output=h)
TORCH_LSTM = Cell(
    "torch-lstm",
    {
        i: sigmoid(torch_gate("i")),
        f: sigmoid(torch_gate("f")),
        g: tanh(torch_gate("g")),
        o: sigmoid(torch_gate("o")),
        c: f * c.prev + i * g,
        h: o * tanh(c),
    },
    output=h,
    states=["h", "c"],
)
W_in, W_hn = Parameter("W_in", "n", "m"), Parameter("W_hn", "n", "n")
b_in, b_hn = Parameter("b_in", "n"), Parameter("b_hn", "n")
n_ = Vector("n")
TORCH_GRU = Cell(
    "torch-gru",
    {
        r: sigmoid(torch_gate("r")),
        z: sigmoid(torch_gate("z")),
        n_: tanh(W_in @ x + b_in + r * (W_hn @ h.prev + b_hn)),
        h: (1 - z) * n_ + z * h.prev,
    },
    output=h,
)
CHO = Cell(  # Cho et al. 2014, eq. 5 to 8: z is the fraction kept, there are no biases
    "cho",
    {
        r: sigmoid(Parameter("W_r", "n", "m") @ x + Parameter("U_r", "n", "n") @ h.prev),
        z: sigmoid(Parameter("W_z", "n", "m") @ x + Parameter("U_z", "n", "n") @ h.prev),
        g: tanh(Parameter("W", "n", "m") @ x + Parameter("U", "n", "n") @ (r * h.prev)),
        h: z * h.prev + (1 - z) * g,
    },
    output=h,
)
CHUNG = CHO.replace(  # Chung et al. 2014: z is the fraction written
    name="chung", equations={**CHO.equations, h: (1 - z) * h.prev + z * g}
)


def replay(a: Cell, b: Cell, found: Equivalence, seed: int = 3) -> None:
    """The map of an equivalence, by numbers: both cells compute the same."""
    params, x, state = numbers(b, seed=seed)
    past = dict(zip(b.states, state, strict=True))
    with np.errstate(all="ignore"):
        theirs, end_b = evaluate(b, params, x, state)
        start = tuple(past[found.states[q]] for q in a.states)
        ours, end_a = evaluate(a, found.map_parameters(params), x, start)
    ends = dict(zip(b.states, end_b, strict=True))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)
    for name, end in zip(a.states, end_a, strict=True):
        np.testing.assert_allclose(end, ends[found.states[name]], rtol=1e-6, atol=1e-9)


def assert_equivalent(a: Cell, b: Cell) -> Equivalence:
    found = derive.equivalent(a, b)
    assert found, found.reason
    assert found.parameters.keys() == a.parameters.keys()
    assert found.witness is None
    replay(a, b, found)
    back = derive.equivalent(b, a)
    assert back, back.reason
    replay(b, a, back)
    return found


# published cells


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (derive.cell("vanilla"), TORCH_RNN),
        (derive.cell("lstm"), TORCH_LSTM),
        (derive.apply("reset-after", "gru", bias=True).after, TORCH_GRU),
        (derive.cell("gru").without_biases(), CHO),
        (derive.cell("gru").without_biases(), CHUNG),
    ],
)
def test_published_cells(ours: Cell, theirs: Cell) -> None:
    assert_equivalent(ours, theirs)


def test_torch_adds_two_biases() -> None:
    found = assert_equivalent(derive.cell("lstm"), TORCH_LSTM)
    assert found.parameters["b_f"] == Parameter("b_hf", "n") + Parameter("b_if", "n")
    back = derive.equivalent(TORCH_LSTM, derive.cell("lstm"))
    assert {str(back.parameters["b_hf"]), str(back.parameters["b_if"])} == {"0", "b_f"}
    values = numbers(derive.cell("lstm"))[0]
    mapped = back.map_parameters(values)
    np.testing.assert_array_equal(mapped["b_hf"] + mapped["b_if"], values["b_f"])
    assert {name: array.shape for name, array in mapped.items()} == {
        name: tuple({"n": 3, "m": 2}[axis] for axis in axes) for name, axes in TORCH_LSTM.parameters.items()
    }


def test_the_bias_inside_of_torch_s_gru_stays_apart() -> None:
    """b_in and b_hn are no sum: the reset gate multiplies one of them."""
    found = assert_equivalent(derive.apply("reset-after", "gru", bias=True).after, TORCH_GRU)
    assert (str(found.parameters["b"]), str(found.parameters["b_W"])) == ("b_in", "b_hn")
    assert not derive.equivalent(derive.apply("reset-after", "gru").after, TORCH_GRU)
    assert not derive.equivalent("gru", TORCH_GRU)


def test_the_two_conventions_of_z() -> None:
    found = assert_equivalent(CHO, CHUNG)
    assert found.parameters["W_z"] == -Parameter("W_z", "n", "m")
    assert found.parameters["U_z"] == -Parameter("U_z", "n", "n")
    assert found.parameters["W_r"] == Parameter("W_r", "n", "m")


def test_a_cell_equals_itself() -> None:
    for name in derive.catalogue():
        found = derive.equivalent(name, name)
        assert all(str(expr) == parameter for parameter, expr in found.parameters.items())
        assert all(theirs == ours for ours, theirs in found.states.items())


# what does not change a function


def changed(name: str, **equations: Any) -> Cell:
    cell = derive.cell(name)
    return cell.replace(equations=[(v, equations.get(v.name, e)) for v, e in cell.equations.items()])


LSTM = derive.cell("lstm")
c_tilde = Vector("c_tilde")


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("vanilla", Cell("odd", {s: -tanh(-(W @ s.prev) - U @ x - b)}, output=s)),
        ("vanilla", Cell("negated", {s: tanh(b - W @ s.prev + U @ x)}, output=s)),
        ("vanilla", Cell("halves", {s: tanh(W @ (s.prev / 2) + W @ (s.prev / 2) + U @ x + b)}, output=s)),
        ("vanilla", Cell("copied", {k: tanh(W @ s.prev + U @ x + b), s: k}, output=s)),
        ("lstm", changed("lstm", i=1 - LSTM.equations[i])),
        ("lstm", changed("lstm", c=f * c.prev - i * c_tilde)),
        ("lstm", changed("lstm", h=-(-o * tanh(c)))),
        ("lstm", changed("lstm", h=-o * tanh(-c))),
        ("lstm", changed("lstm", c=c.prev - (1 - f) * c.prev + i * c_tilde)),
        ("gru", changed("gru", s=Vector("s_tilde") + z * (s.prev - Vector("s_tilde")))),
    ],
)
def test_what_does_not_change_a_function(name: str, other: Cell) -> None:
    assert_equivalent(derive.cell(name), other)


def test_renamed_states() -> None:
    other = derive.apply("rename", "lstm", names={"h": "c", "c": "h"}).after.replace(states=("c", "h"))
    found = assert_equivalent(LSTM, other)
    assert found.states == {"h": "c", "c": "h"}


def test_the_order_of_the_states_does_not_matter() -> None:
    assert_equivalent(LSTM, LSTM.replace(states=("c", "h")))


def test_a_distributed_matrix() -> None:
    V = Parameter("V", "n", "n")
    together = Cell("together", {s: tanh(W @ (s.prev + V @ s.prev) + U @ x)}, output=s)
    apart = Cell("apart", {s: tanh(W @ s.prev + W @ (V @ s.prev) + U @ x)}, output=s)
    assert_equivalent(together, apart)
    swapped = Cell("swapped", {s: tanh(W @ s.prev + V @ (W @ s.prev) + U @ x)}, output=s)
    assert not derive.equivalent(together, swapped)  # V W is not W V, though the letters could be


def symmetric(first: str, second: str) -> Cell:
    """Two gates that do the same, and a third that reads one of them."""
    W_1, W_2, W_3 = (Parameter(f"W_{k}", "n", "n") for k in (1, 2, 3))
    gates = {f: sigmoid(W_1 @ s.prev), i: sigmoid(W_2 @ s.prev)}
    read = {"f": f, "i": i}
    return Cell(
        "symmetric",
        {**gates, o: sigmoid(W_3 @ (read[first] * s.prev)), s: f * i * s.prev + o * tanh(W_3 @ read[second])},
        output=s,
    )


def test_symmetric_gates_are_told_apart_by_trial() -> None:
    assert_equivalent(symmetric("f", "i"), symmetric("i", "f"))
    assert_equivalent(symmetric("f", "f"), symmetric("i", "i"))
    assert not derive.equivalent(symmetric("f", "i"), symmetric("f", "f"))


def test_many_symmetric_gates() -> None:
    """An automorphism group of six, and a wrong first guess for all but one of its elements."""
    names = [Vector(f"g{k}") for k in range(3)]
    gates = {v: sigmoid(Parameter(f"W_{v.name}", "n", "n") @ s.prev) for v in names}
    total = sum(gates.keys(), start=W @ s.prev)
    cell = Cell("three", {**gates, s: tanh(total)}, output=s)
    assert_equivalent(cell, disguise(cell, 1).cell)


# differences


def replayed(a: Cell, b: Cell, witness: Any) -> list[Any]:
    """What the two cells compute from the numbers of a witness."""
    runs = []
    for k, cell in enumerate((a, b)):
        assert witness["parameters"][k].keys() == cell.parameters.keys()
        with np.errstate(all="ignore"):
            outputs, final = evaluate(
                cell, witness["parameters"][k], witness["inputs"][k], witness["states"][k]
            )
        runs.append(outputs if a.output and b.output else np.stack(final))
    return runs


def test_every_two_cells_of_the_catalogue_differ_and_the_difference_can_be_replayed() -> None:
    pairs = list(itertools.combinations(derive.catalogue(), 2))
    assert len(pairs) == 78
    for a, b in pairs:
        found = derive.equivalent(a, b)
        assert not found
        assert found.reason
        witness = found.witness
        assert witness is not None, (a, b)
        shown = replayed(derive.cell(a), derive.cell(b), witness)
        np.testing.assert_array_equal(shown, witness["values"])
        assert np.abs(shown[0] - shown[1]).max() == witness["difference"] > 1e-6
        common = [p for p in witness["parameters"][0] if p in witness["parameters"][1]]
        assert common
        for p in common:
            np.testing.assert_array_equal(*(params[p] for params in witness["parameters"]))


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (derive.cell("vanilla").with_activations({"s": relu}), "no renaming"),
        (Cell("doubled", {s: tanh(W @ (2 * s.prev) + U @ x + b) * 2}, output=s), "no renaming"),
        (derive.cell("vanilla").replace(output=None), "has an output"),
        (derive.cell("lstm"), "states"),
        (Cell("squared", {s: tanh(W @ s.prev + U @ x + b) ** 2}, output=s), "no renaming"),
        (Cell("unbiased", {s: tanh(W @ s.prev + U @ x)}, output=s), "no renaming"),
        (Cell("shared", {s: tanh(W @ (W @ s.prev) + U @ x + b)}, output=s), "no renaming"),
    ],
)
def test_reasons(other: Cell, reason: str) -> None:
    found = derive.equivalent("vanilla", other)
    assert not found
    assert reason in found.reason
    assert found.parameters == {}


def test_a_product_of_biases_is_no_sum() -> None:
    p = Parameter("p", "n")
    assert not derive.equivalent(
        Cell("sum", {s: tanh(W @ s.prev + b + p)}, output=s),
        Cell("product", {s: tanh(W @ s.prev + b * p)}, output=s),
    )
    assert_equivalent(
        Cell("sum", {s: tanh(W @ s.prev + b + p)}, output=s),
        Cell("difference", {s: tanh(W @ s.prev + b - p)}, output=s),
    )


# any cell


@settings(max_examples=20)
@given(gated_cells(), st.integers(0, 10**6))
def test_gated_cells_in_disguise(cell: Cell, seed: int) -> None:
    check_disguise(cell, seed)


@settings(max_examples=10)
@given(cells(), st.integers(0, 10**6))
def test_any_cells_in_disguise(cell: Cell, seed: int) -> None:
    assume(len(str(normal_form(cell).roots)) < 4000)  # squares of long sums take seconds
    check_disguise(cell, seed)


@pytest.mark.parametrize("name", derive.catalogue())
def test_the_catalogue_in_disguise(name: str) -> None:
    check_disguise(derive.cell(name), 7)


def check_disguise(cell: Cell, seed: int) -> None:
    other = disguise(cell, seed)
    params, x, state = numbers(cell)
    past = {other.states[q]: p for q, p in zip(cell.states, state, strict=True)}
    with np.errstate(all="ignore"):
        ours, _ = evaluate(cell, params, x, state)
        theirs, _ = evaluate(
            other.cell, other.parameters(params), x, tuple(past[q] for q in other.cell.states)
        )
    np.testing.assert_allclose(theirs, ours, rtol=1e-6, atol=1e-9)  # the disguise itself is right
    found = derive.equivalent(cell, other.cell)
    assert found, (found.reason, str(cell), str(other.cell))
    replay(cell, other.cell, found)


@settings(max_examples=12)
@given(gated_cells(), st.data())
def test_a_mutation_is_found(cell: Cell, data: st.DataObject) -> None:
    """One factor, sign, activation or matrix changed: another cell, or the same by its numbers."""
    target = data.draw(st.sampled_from(list(cell.equations)))
    expr = cell.equations[target]
    mutations = [2 * expr, -expr, expr**2, tanh(expr), expr + b]
    own = sorted((p for p in atoms(expr) if isinstance(p, Parameter)), key=str)
    mutations += [expr.xreplace({p: w}) for p in own for w in own if p.axes == w.axes and p != w]
    mutant = cell.replace(equations={**cell.equations, target: data.draw(st.sampled_from(mutations))})
    found = derive.equivalent(cell, mutant)
    if found:
        replay(cell, mutant, found)
    else:
        assert found.witness is not None
        shown = replayed(cell, mutant, found.witness)
        assert not np.allclose(*shown, rtol=1e-6, atol=1e-6)


def test_a_difference_that_zero_does_not_show() -> None:
    """From the zero state, without input, both stay there."""
    once = Cell("once", {s: s.prev + tanh(W @ s.prev)}, output=s)
    twice = Cell("twice", {s: s.prev + 2 * tanh(W @ s.prev)}, output=s)
    assert derive.equivalent(once, twice).witness is not None


def test_a_difference_without_output() -> None:
    """In the second state alone."""
    quiet = LSTM.replace(output=None)
    louder = quiet.replace(equations={**LSTM.equations, c: f * c.prev + 2 * i * c_tilde})
    found = derive.equivalent(quiet.replace(states=("h", "c")), louder)
    assert found.witness is not None
    shown = replayed(quiet, louder, found.witness)
    np.testing.assert_array_equal(shown, found.witness["values"])


def test_a_shared_argument_under_both_signs() -> None:
    """sigmoid(-a) is 1 - sigmoid(a) whoever else reads the parameters in a."""
    state, gate, write = State("state"), Vector("gate"), Vector("write")
    shared, W = Parameter("shared", "n", "m"), Parameter("W", "n", "n")
    inputs = Input("inputs")
    one = Cell(
        "one",
        {gate: sigmoid(shared @ inputs), state: gate * state.prev + (1 - gate) * tanh(W @ state.prev)},
        output=state,
    )
    two = Cell(
        "two",
        {
            gate: sigmoid(shared @ inputs),
            write: sigmoid(-(shared @ inputs)),
            state: gate * state.prev + write * tanh(W @ state.prev),
        },
        output=state,
    )
    assert derive.equivalent(one, two)
    assert derive.equivalent(two, one)
