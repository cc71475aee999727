"""``Cell``: a value that prints, travels and compares; its parameters, biases and activations."""

import copy
import doctest
import pickle  # noqa: TID251  cells travel between processes; no weights here
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import derive
from derive import (
    Cell,
    DeriveError,
    Input,
    MalformedCell,
    Parameter,
    State,
    Vector,
    cell,
    evaluate,
    mean,
    relu,
    sigmoid,
    tanh,
)
from derive.symbols import affine_parameters
from tests.strategies import cells, gated_cells, numbers

s, h, c, x = State("s"), State("h"), State("c"), Input("x")
f, y = Vector("f"), Vector("y")
W, U, b = affine_parameters()
V = Parameter("V", "n", "n")
every = pytest.mark.parametrize("name", derive.catalogue())
any_cell = st.one_of(cells(), gated_cells())


def elman(**changes: Any) -> Cell:
    fields: dict[str, Any] = {"name": "elman", "equations": {s: tanh(W @ s.prev + U @ x + b)}, "output": s}
    fields |= changes
    return Cell(fields.pop("name"), fields.pop("equations"), **fields)


# A value


@given(any_cell)
def test_copies_are_equal(cell: Cell) -> None:
    for twin in (copy.copy(cell), copy.deepcopy(cell), pickle.loads(pickle.dumps(cell)), cell.replace()):
        assert twin == cell
        assert hash(twin) == hash(cell)
        assert list(twin.equations) == list(cell.equations)
        assert twin.parameters == cell.parameters
        assert (twin.title, twin.reference) == (cell.title, cell.reference)


@every
def test_published_cells_survive_pickling_with_their_prose(name: str) -> None:
    twin = pickle.loads(pickle.dumps(cell(name)))
    assert twin == cell(name)
    assert (twin.title, twin.reference) == (cell(name).title, cell(name).reference) != ("", "")


DIFFERENT = {
    "name": {"name": "jordan"},
    "equations": {"equations": {s: sigmoid(W @ s.prev + U @ x + b)}},
    "a parameter's name": {"equations": {s: tanh(V @ s.prev + U @ x + b)}},
    "the output": {"output": None},
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_what_makes_cells_different(what: str) -> None:
    assert elman(**DIFFERENT[what]) != elman()
    assert len({elman(**DIFFERENT[what]), elman()}) == 2


def test_order_makes_cells_different() -> None:
    equations = {h: tanh(W @ h.prev + c.prev), c: tanh(V @ c.prev + h.prev)}
    first = Cell("two", equations, states=("h", "c"))
    assert first != Cell("two", equations, states=("c", "h"))
    assert first != Cell("two", dict(reversed(equations.items())), states=("h", "c"))
    assert first == Cell("two", list(equations.items()))


def test_prose_does_not() -> None:
    assert elman(title="Elman", reference="1990") == elman()
    assert hash(elman(title="Elman")) == hash(elman())
    assert elman() != "elman"
    assert elman().__eq__(3) is NotImplemented


def test_the_thirteen_differ() -> None:
    assert len({cell(name) for name in derive.catalogue()}) == 13
    assert len({cell(name).replace(name="x") for name in derive.catalogue()}) == 13


# Frozen


@pytest.mark.parametrize("field", ["name", "equations", "states", "output", "title", "colour", "_identity"])
def test_nothing_can_be_set_or_deleted(field: str) -> None:
    gru = cell("gru")
    before = repr(gru)
    with pytest.raises(AttributeError, match=rf"cells are frozen: {field} cannot be set; use cell\.replace"):
        setattr(gru, field, None)
    with pytest.raises(AttributeError, match=f"cells are frozen: {field} cannot be deleted"):
        delattr(gru, field)
    assert repr(gru) == before


def test_mappings_are_read_only_and_not_shared_with_the_caller() -> None:
    equations = {s: tanh(W @ s.prev)}
    one = Cell("one", equations)
    equations[y] = s.prev
    assert list(one.equations) == [s]
    for mapping in (one.equations, one.parameters, one.symbols):
        with pytest.raises(TypeError, match="does not support item assignment"):
            mapping["s"] = 0  # type: ignore[index]


def test_replace() -> None:
    gru = cell("gru")
    assert gru.replace(name="mine").name == "mine"
    assert gru.replace(output=None).output is None
    assert gru.replace(title="T", reference="R").reference == "R"
    assert gru.replace(name="mine") != gru == gru.replace(name="mine").replace(name="gru")
    with pytest.raises(MalformedCell, match="the output q is not written"):
        gru.replace(output="q")


def test_replace_of_an_unknown_field() -> None:
    with pytest.raises(DeriveError) as info:
        cell("gru").replace(nam="mine")
    assert str(info.value) == (
        "a cell has no field 'nam'; did you mean 'name'? "
        "Fields: name, equations, output, states, title, reference"
    )
    with pytest.raises(DeriveError, match=r"a cell has no field 'qqq'\. Fields: name"):
        cell("gru").replace(qqq=1)


# What it says of itself


def test_names_and_symbols_say_the_same() -> None:
    assert elman(output="s") == elman(output=s)
    two = {h: tanh(W @ h.prev + c.prev), c: tanh(V @ c.prev + h.prev)}
    assert Cell("two", two, states=["c", h]).states == ("c", "h")
    assert Cell("two", two).states == ("h", "c")
    assert cell("lstm").states == ("h", "c")


def layers(*gates: str, peepholes: str = "") -> dict[str, tuple[str, ...]]:
    """Parameters gate by gate, each W U (P) b; the candidate is the gate without a name."""
    found: dict[str, tuple[str, ...]] = {}
    for gate in gates:
        suffix = f"_{gate}" if gate else ""
        found |= {"W" + suffix: ("n", "n"), "U" + suffix: ("n", "m")}
        if gate and gate in peepholes:
            found["P" + suffix] = ("n", "n")
        found["b" + suffix] = ("n",)
    return found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vanilla", layers("")),
        ("gru", layers("r", "z", "")),
        ("lstm", layers("i", "o", "f", "")),
        ("pseudo-lstm-d23", layers("o", "i", "f", "")),
        ("peephole-lstm", layers("i", "f", "", "o", peepholes="ifo")),
    ],
)
def test_parameters_in_the_order_in_which_they_are_written(
    name: str, expected: dict[str, tuple[str, ...]]
) -> None:
    assert list(cell(name).parameters.items()) == list(expected.items())


@given(any_cell)
def test_parameters_are_all_and_only_the_parameters(cell: Cell) -> None:
    found = {q.name: q.axes for e in cell.equations.values() for q in e.atoms(Parameter)}
    assert dict(cell.parameters) == found
    # left to right, as the text has them
    text = repr(cell)
    positions = [text.index(f"Parameter({name!r},") for name in cell.parameters]
    assert positions == sorted(positions)


def test_symbols_and_axes() -> None:
    gru = cell("gru")
    assert gru.symbols["s"] == s
    assert gru.symbols["s[t-1]"] == s.prev
    assert gru.symbols["U_z"] == Parameter("U_z", "n", "m")
    assert gru.axes("U_z") == ("n", "m")
    assert gru.inputs == ("x",)
    assert Cell("leak", {s: s.prev / 2}).inputs == ()
    with pytest.raises(DeriveError, match="gru has no 'U_y'; did you mean"):
        gru.axes("U_y")


def test_reprs_for_notebooks() -> None:
    gru = cell("gru")
    assert gru._repr_latex_() == f"$\\displaystyle {gru.latex()}$"
    assert gru._repr_html_().startswith("<div><strong>Gated recurrent unit (GRU)</strong>$$")


def test_the_example_in_the_docstring() -> None:
    found = doctest.testmod(sys.modules[Cell.__module__])
    assert found.attempted >= 4
    assert found.failed == 0


# Biases


def test_biases() -> None:
    assert cell("gru").biases == ("b_r", "b_z", "b")
    assert all(p.startswith("b") for name in derive.catalogue() for p in cell(name).biases)


NO_BIAS = {
    "alone in an activation": tanh(b) * s.prev,
    "a factor": b * s.prev + 1,
    "a factor of a term": s.prev + b * s.prev,
    "added here, a factor there": tanh(s.prev + b) + b * s.prev,
    "added here, alone there": tanh(s.prev + b) + tanh(b),
    "mapped": s.prev + W @ b,
}


@pytest.mark.parametrize("what", NO_BIAS)
def test_what_is_no_bias(what: str) -> None:
    one = Cell("one", {s: NO_BIAS[what]})
    assert one.biases == ()
    assert one.without_biases() == one


def test_a_bias_may_be_subtracted() -> None:
    one = Cell("one", {s: tanh(s.prev - b)})
    assert one.biases == ("b",)
    assert one.without_biases().equations[s] == tanh(s.prev)


def test_a_bias_deep_inside() -> None:
    one = Cell("one", {s: tanh(W @ tanh(V @ s.prev + b)) + mean(s.prev + Parameter("d", "n"))})
    assert set(one.biases) == {"b", "d"}
    assert one.without_biases().equations[s] == tanh(W @ tanh(V @ s.prev)) + mean(s.prev)


@every
def test_without_biases_is_the_cell_with_zeros(name: str) -> None:
    bare = cell(name).without_biases()
    assert set(bare.parameters) == set(cell(name).parameters) - set(cell(name).biases)
    assert bare.biases == ()
    assert bare.name == name


@given(any_cell)
def test_without_biases_on_any_cell(cell: Cell) -> None:
    bare = cell.without_biases()
    params, inputs, state = numbers(cell)
    params |= {name: np.zeros_like(params[name]) for name in cell.biases}
    expected = evaluate(cell, params, inputs, state)
    found = evaluate(bare, {name: params[name] for name in bare.parameters}, inputs, state)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-12, atol=1e-14)
    for a, z in zip(found[1], expected[1], strict=True):
        np.testing.assert_allclose(a, z, rtol=1e-12, atol=1e-14)


def test_nothing_may_be_left_of_an_equation() -> None:
    empty = Cell("empty", {f: b + Parameter("d", "n"), s: f * s.prev})
    with pytest.raises(MalformedCell, match=r"→ fₜ = 0\n"):
        empty.without_biases()


# Activations


def test_with_activations() -> None:
    changed = cell("gru").with_activations({"s_tilde": relu, "z": "hard_sigmoid"})
    assert changed.equations[Vector("s_tilde")].activation == relu
    assert str(changed.equations[Vector("z")]).startswith("hard_sigmoid(")
    assert changed.equations[Vector("r")] == cell("gru").equations[Vector("r")]
    assert list(changed.equations) == list(cell("gru").equations)
    assert changed.with_activations({"s_tilde": tanh, "z": sigmoid}) == cell("gru")
    assert cell("gru").with_activations({}) == cell("gru")


def test_only_the_outermost_activation_is_exchanged() -> None:
    changed = cell("pseudo-lstm").with_activations({"s_tilde": relu})
    text = str(changed)
    assert "s̃ₜ = relu(W(oₜ ⊙ tanh(sₜ₋₁)) + U xₜ + b)" in text


def test_with_activations_of_the_wrong_equation() -> None:
    with pytest.raises(DeriveError) as info:
        cell("gru").with_activations({"stilde": relu})
    assert str(info.value) == (
        "gru: 'stilde' has no outermost activation; did you mean 's_tilde'? "
        "Equations that are an activation of something: r, z, s_tilde"
    )
    with pytest.raises(DeriveError, match=r"gru: 's' has no outermost activation.*: r, z, s_tilde$"):
        cell("gru").with_activations({"s": relu})
    with pytest.raises(DeriveError, match="unknown activation 'rel'; did you mean 'relu'"):
        cell("gru").with_activations({"s_tilde": "rel"})


@given(cell=cells(), phi=st.sampled_from([sigmoid, tanh, relu]), data=st.data())
def test_with_activations_on_any_cell(cell: Cell, phi: Any, data: st.DataObject) -> None:
    names = [v.name for v, e in cell.equations.items() if isinstance(e, derive.Activated)]
    assume(names)
    name = data.draw(st.sampled_from(names))
    changed = cell.with_activations({name: phi})
    before, after = cell.equations[cell.symbols[name]], changed.equations[cell.symbols[name]]
    assert (after.activation, after.argument) == (phi, before.argument)
    back = changed.with_activations({name: before.activation})
    assert back == cell
