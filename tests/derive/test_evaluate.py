"""The reference evaluator against loops written by hand from the article's text, one unit at a time."""

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sympy import Rational

import derive
from derive import (
    Cell,
    EvaluationError,
    Input,
    Parameter,
    State,
    Vector,
    cell,
    evaluate,
    mean,
    sigmoid,
    tanh,
    variance,
)
from derive.evaluate import step
from tests.strategies import cells, gated_cells, numbers, smooth_cells

Row = list[float]
Params = dict[str, np.ndarray]
s, x = State("s"), Input("x")
W, V, b = Parameter("W", "n", "n"), Parameter("V", "n", "n"), Parameter("b", "n")


# The article's equations in plain Python: lists of floats, math.tanh, no NumPy and nothing of the package.


def dot(matrix: np.ndarray, v: Row) -> Row:
    return [sum(float(w) * a for w, a in zip(row, v, strict=True)) for row in matrix]


def add(*vectors: Row) -> Row:
    return [sum(parts) for parts in zip(*vectors, strict=True)]


def times(u: Row, v: Row) -> Row:
    return [a * b for a, b in zip(u, v, strict=True)]


def squash(v: Row) -> Row:
    return [math.tanh(a) for a in v]


def logistic(v: Row) -> Row:
    return [1 / (1 + math.exp(-a)) for a in v]


def layer(p: Params, gate: str, read: Row, x: Row, peephole: Row | None = None) -> Row:
    suffix = f"_{gate}" if gate else ""
    total = add(dot(p["W" + suffix], read), dot(p["U" + suffix], x), [float(v) for v in p["b" + suffix]])
    return total if peephole is None else add(total, dot(p["P" + suffix], peephole))


def by_vanilla(p: Params, x: Row, state: list[Row]) -> tuple[Row, list[Row]]:
    new = squash(layer(p, "", state[0], x))
    return new, [new]


def by_prototype(p: Params, x: Row, state: list[Row]) -> tuple[Row, list[Row]]:
    (s,) = state
    i, o, f = (logistic(layer(p, gate, s, x)) for gate in "iof")
    candidate = squash(layer(p, "", times(o, s), x))
    new = add(times(f, s), times(i, candidate))
    return new, [new]


def by_normalized_prototype(p: Params, x: Row, state: list[Row]) -> tuple[Row, list[Row]]:
    new, _ = by_prototype(p, x, state)
    mu = sum(new) / len(new)
    var = sum((a - mu) ** 2 for a in new) / len(new)
    new = [a / math.sqrt(var + 1) for a in new]
    return new, [new]


def by_gru(p: Params, x: Row, state: list[Row]) -> tuple[Row, list[Row]]:
    (s,) = state
    r, z = (logistic(layer(p, gate, s, x)) for gate in "rz")
    candidate = squash(layer(p, "", times(r, s), x))
    new = [z[k] * s[k] + (1 - z[k]) * candidate[k] for k in range(len(s))]
    return new, [new]


def by_pseudo_lstm(p: Params, x: Row, state: list[Row], *diffs: int) -> tuple[Row, list[Row]]:
    (s,) = state
    o = logistic(layer(p, "o", squash(s), x))
    read = times(o, squash(s))
    i, f = (logistic(layer(p, gate, read if 2 in diffs else squash(s), x)) for gate in "if")
    candidate = squash(layer(p, "", read, x))
    new = add(times(f, s), times(i, candidate))
    return times(o, squash(new)) if 3 in diffs else squash(new), [new]


def by_shadow(p: Params, x: Row, state: list[Row], *diffs: int) -> tuple[Row, list[Row]]:
    h, c = state
    i, o, f = (logistic(layer(p, gate, h if 2 in diffs else squash(c), x)) for gate in "iof")
    candidate = squash(layer(p, "", h, x))
    new = add(times(f, c), times(i, candidate))
    shadow = times(o, squash(new))
    return shadow if 3 in diffs else squash(new), [shadow, new]


def by_peephole_lstm(p: Params, x: Row, state: list[Row]) -> tuple[Row, list[Row]]:
    h, c = state
    i, f = (logistic(layer(p, gate, h, x, peephole=c)) for gate in "if")
    new = add(times(f, c), times(i, squash(layer(p, "", h, x))))
    o = logistic(layer(p, "o", h, x, peephole=new))
    return times(o, squash(new)), [times(o, squash(new)), new]


BY_HAND: dict[str, Callable[[Params, Row, list[Row]], tuple[Row, list[Row]]]] = {
    "vanilla": by_vanilla,
    "prototype": by_prototype,
    "normalized-prototype": by_normalized_prototype,
    "gru": by_gru,
    "pseudo-lstm": by_pseudo_lstm,
    "pseudo-lstm-d1": lambda p, x, state: by_shadow(p, x, state, 1),
    "pseudo-lstm-d2": lambda p, x, state: by_pseudo_lstm(p, x, state, 2),
    "pseudo-lstm-d3": lambda p, x, state: by_pseudo_lstm(p, x, state, 3),
    "pseudo-lstm-d12": lambda p, x, state: by_shadow(p, x, state, 1, 2),
    "pseudo-lstm-d13": lambda p, x, state: by_shadow(p, x, state, 1, 3),
    "pseudo-lstm-d23": lambda p, x, state: by_pseudo_lstm(p, x, state, 2, 3),
    "lstm": lambda p, x, state: by_shadow(p, x, state, 1, 2, 3),
    "peephole-lstm": by_peephole_lstm,
}


def test_every_published_cell_is_written_by_hand() -> None:
    assert set(BY_HAND) == set(derive.catalogue())


@pytest.mark.parametrize("name", BY_HAND)
def test_against_the_article(name: str) -> None:
    params, inputs, state = numbers(cell(name), n=4, m=3, T=5, B=2, seed=11)
    outputs, final = evaluate(cell(name), params, inputs, state)
    for sequence in range(2):
        now = [v[sequence].tolist() for v in state]
        for t in range(5):
            out, now = BY_HAND[name](params, inputs[t, sequence].tolist(), now)
            np.testing.assert_allclose(outputs[t, sequence], out, rtol=1e-12, atol=1e-14)
        for k in range(len(now)):
            np.testing.assert_allclose(final[k][sequence], now[k], rtol=1e-12, atol=1e-14)


# Properties of any cell


@given(cell=st.one_of(cells(), gated_cells()), seed=st.integers(0, 99))
def test_a_batch_is_its_sequences(cell: Cell, seed: int) -> None:
    params, inputs, state = numbers(cell, T=3, B=2, seed=seed)
    outputs, final = evaluate(cell, params, inputs, state)
    for k in range(2):
        alone, end = evaluate(cell, params, inputs[:, k], tuple(v[k] for v in state))
        np.testing.assert_allclose(outputs[:, k], alone, rtol=1e-12, atol=1e-14)
        for one, many in zip(end, final, strict=True):
            np.testing.assert_allclose(many[k], one, rtol=1e-12, atol=1e-14)


@given(cell=st.one_of(cells(), gated_cells()), cut=st.integers(0, 4))
def test_a_sequence_can_be_cut_anywhere(cell: Cell, cut: int) -> None:
    params, inputs, state = numbers(cell, T=4)
    outputs, final = evaluate(cell, params, inputs, state)
    first, between = evaluate(cell, params, inputs[:cut], state)
    second, end = evaluate(cell, params, inputs[cut:], between)
    np.testing.assert_array_equal(np.concatenate([first, second]), outputs)
    for a, b in zip(end, final, strict=True):
        np.testing.assert_array_equal(a, b)


@given(cell=cells())
def test_no_state_is_a_state_of_zeros(cell: Cell) -> None:
    params, inputs, state = numbers(cell)
    left = evaluate(cell, params, inputs)
    right = evaluate(cell, params, inputs, tuple(np.zeros_like(v) for v in state))
    np.testing.assert_array_equal(left[0], right[0])
    for a, b in zip(left[1], right[1], strict=True):
        np.testing.assert_array_equal(a, b)


@given(cell=st.one_of(cells(), gated_cells()), batch=st.sampled_from([None, 1, 3]), steps=st.integers(0, 2))
def test_shapes_dtypes_and_untouched_arguments(cell: Cell, batch: int | None, steps: int) -> None:
    params, inputs, state = numbers(cell, n=3, m=2, T=steps, B=batch)
    for array in (*params.values(), inputs, *state):
        array.setflags(write=False)
    before = {name: array.copy() for name, array in params.items()}
    outputs, final = evaluate(cell, params, inputs, state)
    lead = () if batch is None else (batch,)
    assert outputs.shape == (steps, *lead, 3 if cell.output else 0)
    assert [v.shape for v in final] == [(*lead, 3)] * len(cell.states)
    assert {a.dtype for a in (outputs, *final)} == {np.dtype(np.float64)}
    assert params.keys() == before.keys()
    assert all(np.array_equal(params[name], before[name]) for name in params)


@given(cell=smooth_cells(), seed=st.integers(0, 99))
def test_complex_step_is_the_central_difference(cell: Cell, seed: int) -> None:
    params, inputs, state = numbers(cell, T=2, B=None, seed=seed)
    rng = np.random.default_rng(seed)
    name = str(rng.choice(list(params)))
    direction = rng.normal(size=params[name].shape)

    def total(step: complex) -> Any:
        outputs, final = evaluate(cell, params | {name: params[name] + step * direction}, inputs, state)
        return outputs.sum() + sum((v * np.arange(1, 4)).sum() for v in final)

    exact = total(1e-30j).imag / 1e-30
    h = 1e-5
    assert exact == pytest.approx((total(h) - total(-h)) / (2 * h), rel=1e-5, abs=1e-6)
    assert total(0.0).dtype == np.float64


@pytest.mark.parametrize("where", ["inputs", "state"])
def test_complex_inputs_and_states_stay_complex(where: str) -> None:
    params, inputs, state = numbers(cell("lstm"), B=None)
    base = evaluate(cell("lstm"), params, inputs, state)[0]
    if where == "inputs":
        inputs = inputs + 1e-30j
    else:
        state = (state[0] + 1e-30j, state[1])
    outputs, _ = evaluate(cell("lstm"), params, inputs, state)
    np.testing.assert_allclose(outputs.real, base, rtol=1e-14)
    assert np.abs(outputs.imag).max() > 0


def test_lists_integers_and_float32_become_float64() -> None:
    vanilla = cell("vanilla")
    params = {"W": [[1, 0], [0, 1]], "U": [[1], [2]], "b": np.float32([0.5, 0.5])}
    outputs, (final,) = evaluate(vanilla, params, [[1], [0]], ([0, 0],))
    first = np.tanh([1.5, 2.5])
    np.testing.assert_allclose(outputs, [first, np.tanh(first + 0.5)], rtol=1e-15)
    assert outputs.dtype == final.dtype == np.float64


def test_step_gives_every_vector_by_name() -> None:
    gru = cell("gru")
    params, inputs, state = numbers(gru, T=1)
    found = step(gru, params, inputs[0], state)
    assert list(found) == ["r", "z", "s_tilde", "s"]
    np.testing.assert_array_equal(found["s"], evaluate(gru, params, inputs, state)[0][0])
    expected = found["z"] * state[0] + (1 - found["z"]) * found["s_tilde"]
    np.testing.assert_allclose(found["s"], expected, rtol=1e-15)


# Corners


def test_without_parameters_the_state_gives_the_size() -> None:
    decay = Cell("decay", {s: s.prev / 2}, output=s)
    outputs, _ = evaluate(decay, {}, np.zeros((2, 0)), (np.array([4.0, 8.0]),))
    assert outputs.tolist() == [[2, 4], [1, 2]]
    with pytest.raises(EvaluationError, match="no parameter has the axis n; pass a state to give its size"):
        evaluate(decay, {}, np.zeros((2, 0)))


def test_what_reads_neither_input_nor_state_is_the_same_in_the_whole_batch() -> None:
    h, c = State("h"), State("c")
    constant = Cell("constant", {h: tanh(b), c: h.prev + c.prev})
    _, final = evaluate(constant, {"b": np.array([0.0, 1.0])}, np.zeros((3, 4, 0)))
    np.testing.assert_array_equal(final[0], np.broadcast_to(np.tanh([0.0, 1.0]), (4, 2)))
    np.testing.assert_array_equal(final[1], 2 * final[0])
    final[0][0, 0] = 7  # its own memory, not a view of one row
    assert final[0][1, 0] == 0


def test_a_linear_map_contracts_its_own_axis() -> None:
    """A memory of slots: A mixes slots, K changes the width, each wherever its axis stands."""
    M, q = State("M", "slots", "width"), Vector("q", "slots", "key")
    A, K, B = Parameter("A", "slots", "slots"), Parameter("K", "key", "width"), Parameter("B", "width", "key")
    memory = Cell("memory", {q: tanh(K @ (A @ M.prev)), M: M.prev + B @ q - mean(M.prev, "slots")}, output=q)
    rng = np.random.default_rng(0)
    sizes = {"slots": 2, "width": 3, "key": 4}
    params = {n: rng.normal(size=[sizes[a] for a in axes]) for n, axes in memory.parameters.items()}
    start = rng.normal(size=(5, 2, 3))
    outputs, (final,) = evaluate(memory, params, np.zeros((1, 5, 0)), (start,))
    read = np.tanh(np.einsum("kw,st,btw->bsk", params["K"], params["A"], start))
    np.testing.assert_allclose(outputs[0], read, rtol=1e-13)
    written = start + np.einsum("wk,bsk->bsw", params["B"], read) - start.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(final, written, rtol=1e-13)


def test_mean_variance_and_powers() -> None:
    norm = Cell("norm", {s: s.prev / (variance(s.prev) + 1) ** Rational(1, 2) + mean(s.prev) ** 2 / 4})
    _, (out,) = evaluate(norm, {}, np.zeros((1, 0)), (np.array([1.0, 2.0, 6.0]),))
    var = (4 + 1 + 9) / 3
    np.testing.assert_allclose(out, [v / math.sqrt(var + 1) + 9 / 4 for v in (1, 2, 6)], rtol=1e-15)


def test_sums_products_and_numbers() -> None:
    f = Vector("f")
    odd = Cell("odd", {f: sigmoid(b), s: 3 * f * s.prev - Rational(1, 2) * (1 - f) * (W @ (2 * s.prev)) + 1})
    params = {"W": [[0, 1], [2, 0]], "b": [0, 0]}
    _, (final,) = evaluate(odd, params, np.zeros((1, 0)), ([1, -2],))
    np.testing.assert_allclose(final, [1.5 * 1 - 0.25 * -4 + 1, 1.5 * -2 - 0.25 * 4 + 1], rtol=1e-15)


# Numbers that do not fit

GOOD = numbers(cell("lstm"), n=3, m=2, T=4, B=2)


def _spoilt(**changes: Any) -> tuple[Any, Any, Any]:
    params, inputs, state = GOOD
    params = {k: v for k, v in (params | changes.pop("params", {})).items() if v is not None}
    return params, changes.get("inputs", inputs), changes.get("state", state)


ONES = np.ones
ERRORS = {
    "a parameter is missing": (_spoilt(params={"W_i": None}), r"lstm: missing parameters \['W_i'\]"),
    "a parameter is unknown": (
        _spoilt(params={"W_j": ONES((3, 3))}),
        r"lstm: unknown parameters \['W_j'\]; did you mean '",
    ),
    "a name is wrong": (
        _spoilt(params={"b_i": None, "bi": ONES(3)}),
        r"lstm: missing parameters \['b_i'\], unknown parameters \['bi'\]; did you mean 'b_i'",
    ),
    "all are listed": (
        _spoilt(params={"W_i": None}),
        r"expected W_i \(n, n\), U_i \(n, m\), b_i \(n\), W_o ",
    ),
    "a matrix is transposed": (
        _spoilt(params={"U_o": ONES((2, 3))}),
        r"lstm: U_o has shape \(2, 3\), expected \(n=3, m=2\)",
    ),
    "a bias has two axes": (
        _spoilt(params={"b": ONES((3, 1))}),
        r"lstm: b has shape \(3, 1\), expected \(n=3\)",
    ),
    "the first matrix is not square": (
        _spoilt(params={"W_i": ONES((3, 4))}),
        r"lstm: W_i has shape \(3, 4\), expected \(n, n\)",
    ),
    "a parameter is a number": (_spoilt(params={"b": 0.0}), r"lstm: b has shape \(\), expected \(n=3\)"),
    "inputs without time": (
        _spoilt(inputs=ONES(2)),
        r"lstm: inputs have shape \(2,\), expected \(T, B, m\) or \(T, m\)",
    ),
    "inputs with four axes": (_spoilt(inputs=ONES((1, 1, 1, 2))), r"inputs have shape \(1, 1, 1, 2\)"),
    "inputs of another size": (
        _spoilt(inputs=ONES((4, 2, 5))),
        r"lstm: x has shape \(2, 5\), expected \(2, m=2\)",
    ),
    "unbatched inputs, batched state": (
        _spoilt(inputs=ONES((4, 2))),
        r"lstm: state h has shape \(2, 3\), expected \(n=3\)",
    ),
    "batched inputs, unbatched state": (
        _spoilt(state=(ONES(3), ONES(3))),
        r"lstm: state h has shape \(3,\), expected \(2, n=3\)",
    ),
    "another batch": (
        _spoilt(state=(ONES((2, 3)), ONES((1, 3)))),
        r"lstm: state c has shape \(1, 3\), expected \(2, n=3\)",
    ),
    "a state of another size": (
        _spoilt(state=(ONES((2, 3)), ONES((2, 4)))),
        r"lstm: state c has shape \(2, 4\), expected \(2, n=3\)",
    ),
    "one state of two": (
        _spoilt(state=(ONES((2, 3)),)),
        r"lstm: state is a tuple of 1, expected a tuple of \('h', 'c'\)",
    ),
    "a bare array": (
        _spoilt(state=ONES((2, 2, 3))),
        r"lstm: state is of type ndarray, expected a tuple of \('h', 'c'\)",
    ),
    "a number": (_spoilt(state=0), r"lstm: state is of type int, expected a tuple of \('h', 'c'\)"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_numbers_that_do_not_fit(case: str) -> None:
    arguments, message = ERRORS[case]
    with pytest.raises(EvaluationError, match=message) as info:
        evaluate(cell("lstm"), *arguments)
    assert isinstance(info.value, ValueError)
    assert not re.search(r"np\.|array\(", str(info.value))


def test_the_good_numbers_are_good() -> None:
    outputs, _ = evaluate(cell("lstm"), *_spoilt())
    assert outputs.shape == (4, 2, 3)
