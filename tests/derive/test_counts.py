"""What a cell costs: against torch's formulas, by hand, and against a counter that runs the equations."""

from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import given

import derive
from derive import Cell, Input, Parameter, State, Vector, identity, mean, sigmoid, tanh
from derive.counts import counts, polynomial, size
from derive.evaluate import value
from derive.symbols import Activated, Linear, MeanMap, Quantity, affine_parameters
from tests.strategies import cells, numbers

n, m = (sympy.Symbol(name, positive=True, integer=True) for name in "nm")
s, x = State("s"), Input("x")
W, U, b = affine_parameters()


@pytest.mark.parametrize(
    ("name", "layers"),
    [("vanilla", 1), ("gru", 3), ("lstm", 4), ("prototype", 4), ("normalized-prototype", 4)],
)
def test_parameters_are_torch_s(name: str, layers: int) -> None:
    """torch's RNN, GRU and LSTM hold 1, 3 and 4 times n(n + m) weights, and twice the biases."""
    assert counts(derive.cell(name)).parameters == sympy.expand(layers * (n * n + n * m + n))
    assert counts(derive.cell(name)).multiply_adds == sympy.expand(layers * (n * n + n * m))


def test_peepholes_cost_three_matrices() -> None:
    extra = counts(derive.cell("peephole-lstm")).parameters - counts(derive.cell("lstm")).parameters
    assert extra == 3 * n**2
    diagonal = derive.apply("add-peepholes", "lstm", form="diagonal").after
    assert counts(diagonal).parameters - counts(derive.cell("lstm")).parameters == 3 * n
    assert counts(diagonal).multiply_adds == counts(derive.cell("lstm")).multiply_adds


def test_vanilla_by_hand() -> None:
    """tanh(W s + U x + b): n² + nm multiply-adds, two additions, one tanh."""
    found = counts(derive.cell("vanilla"))
    assert (found.multiply_adds, found.elementwise, found.activations) == (n**2 + n * m, 2 * n, n)


def test_lstm_by_hand() -> None:
    """Four sums of three; f ⊙ c + i ⊙ c̃ is three; o ⊙ tanh(c) is one; three σ and two tanh."""
    found = counts(derive.cell("lstm"))
    assert (found.elementwise, found.activations) == ((4 * 2 + 3 + 1) * n, 5 * n)


def test_gru_by_hand() -> None:
    """Three sums of three; r ⊙ s; z ⊙ s + (1 - z) ⊙ s̃ is four."""
    found = counts(derive.cell("gru"))
    assert (found.elementwise, found.activations) == ((3 * 2 + 1 + 4) * n, 3 * n)


def test_what_stands_twice_is_computed_once() -> None:
    f = Vector("f")
    twice = Cell("twice", {f: sigmoid(W @ tanh(s.prev)), s: f * s.prev + U @ x + W @ tanh(s.prev)}, output=s)
    found = counts(twice)
    assert found.multiply_adds == n**2 + n * m
    assert found.activations == 2 * n


def test_what_costs_nothing() -> None:
    bare = Cell("bare", {s: identity(W @ s.prev)}, output=s)
    found = counts(bare)
    assert (found.elementwise, found.activations) == (0, 0)


def test_a_mean_is_no_matrix_product() -> None:
    centred = Cell("centred", {s: W @ (s.prev - mean(s.prev))}, output=s)
    found = counts(centred)
    assert found.multiply_adds == n**2
    assert found.parameters == n**2


def test_other_axes() -> None:
    memory = State("memory", "slots", "width")
    V = Parameter("V", "slots", "slots")
    cell = Cell("matrix", {memory: tanh(V @ memory.prev)}, output=memory)
    slots, width = (sympy.Symbol(a, positive=True, integer=True) for a in ("slots", "width"))
    found = counts(cell)
    assert (found.parameters, found.multiply_adds) == (slots**2, slots**2 * width)
    assert found.activations == slots * width
    assert size(()) == 1


class Counter:
    """Evaluates expressions unit by unit and counts what it does."""

    def __init__(self, env: dict[Any, Any]) -> None:
        self.env = env
        self.products = self.elementwise = self.activations = 0
        self.known: dict[Any, Any] = {}

    def __call__(self, expr: Any) -> Any:
        if isinstance(expr, Quantity):
            return self.env[expr]
        if expr.is_Number:
            return float(expr)
        if expr not in self.known:
            self.known[expr] = self.compute(expr)
        return self.known[expr]

    def compute(self, expr: Any) -> Any:
        if isinstance(expr, Linear):
            vector = np.asarray(self(expr.vector))
            if isinstance(expr.map, MeanMap):
                self.elementwise += vector.size
                return np.full(vector.shape, vector.mean())
            rows = []
            for row in self.env[expr.map]:
                total = 0.0
                for weight, entry in zip(row, vector, strict=True):
                    total += weight * entry
                    self.products += 1
                rows.append(total)
            return np.array(rows)
        if isinstance(expr, Activated):
            argument = self(expr.argument)
            if expr.activation.name != "identity":
                self.activations += np.size(argument)
            return expr.activation.numpy(np.asarray(argument))
        if expr.is_Pow:
            base = self(expr.base)
            self.elementwise += np.size(base)
            return base ** float(expr.exp)
        minus = expr.is_Mul and -1 in expr.args  # a subtraction, no product
        parts = [self(arg) for arg in expr.args if not (minus and arg == -1)]
        result = parts[0]
        for part in parts[1:]:
            result = result + part if expr.is_Add else result * part
            self.elementwise += np.size(result)
        return -result if minus else result


@given(cells())
def test_the_counts_are_what_evaluation_does(cell: Cell) -> None:
    params, inputs, state = numbers(cell, n=5, m=3, B=None)
    env = {cell.symbols[name]: params[name] for name in cell.parameters}
    env |= {cell.symbols[name]: inputs[0] for name in cell.inputs}
    env |= {State(q, *cell.axes(q)).prev: p for q, p in zip(cell.states, state, strict=True)}
    counter = Counter(env)
    with np.errstate(all="ignore"):
        for symbol, expr in cell.equations.items():
            env[symbol] = counter(expr)
            np.testing.assert_allclose(env[symbol], value(expr, env), rtol=1e-9)
    found = counts(cell)
    at = {n: 5, m: 3}
    assert found.multiply_adds.subs(at) == counter.products
    assert found.activations.subs(at) == counter.activations
    assert found.parameters.subs(at) == sum(p.size for p in params.values())
    assert found.elementwise.subs(at) == counter.elementwise


def test_as_text() -> None:
    assert str(counts(derive.cell("lstm"))) == (
        "4n² + 4nm + 4n parameters; a step: 4n² + 4nm multiply-adds, "
        "12n elementwise operations, 5n activations"
    )
    assert polynomial(sympy.Integer(0)) == "0"
    assert polynomial(n**12 * m + n + 3) == "n¹²m + n + 3"
