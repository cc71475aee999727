"""Formulas as torch text: brackets where they are needed and nowhere else, and the right numbers."""

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from codegen.writing.notation import TorchNotation
from derive import Rational, Vector, hard_sigmoid, identity, mean, relu, sigmoid, softsign, tanh, variance
from derive.evaluate import value

a, b, c = (Vector(name) for name in "abc")
NAMES = {v: v.name for v in (a, b, c)}


def text(expr: sympy.Expr) -> str:
    return TorchNotation((a, b, c), NAMES)(expr)


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        (a * b + c, "a * b + c"),
        ((1 - a) * b, "(1 - a) * b"),
        (-a, "-a"),
        (a - b * c, "a - b * c"),
        (a / 2, "a / 2"),
        (a**2, "a.square()"),
        ((a + b) ** 2, "(a + b).square()"),
        (a**3, "torch.pow(a, 3)"),
        (a / b, "a / b"),
        (a / (b * c), "a / (b * c)"),
        ((b + 1) ** Rational(1, 2), "torch.sqrt(b + 1)"),
        ((b + 1) ** Rational(-1, 2), "torch.rsqrt(b + 1)"),
        (2 ** Rational(1, 2) * a, "1.4142135623730951 * a"),
        (tanh(a + b), "torch.tanh(a + b)"),
        (identity(a + b) * c, "c * (a + b)"),
        (hard_sigmoid(a) * c, "c * (F.relu6(a + 3) / 6)"),
        (mean(a + b) - c, "(a + b).mean(-1, keepdim=True) - c"),
        (a / (variance(a) + 1), "a / (a.var(-1, correction=0, keepdim=True) + 1)"),
    ],
    ids=str,
)
def test_text(expr: sympy.Expr, expected: str) -> None:
    assert text(expr) == expected


LEAVES = st.sampled_from([a, b, c, sympy.Integer(2), Rational(1, 3), Rational(-5, 4)])
ACTIVATIONS = st.sampled_from([tanh, sigmoid, relu, softsign, identity, hard_sigmoid])
FORMULAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: pair[0] + pair[1]),
        st.tuples(inner, inner).map(lambda pair: pair[0] - pair[1]),
        st.tuples(inner, inner).map(lambda pair: pair[0] * pair[1]),
        st.tuples(ACTIVATIONS, inner).map(lambda pair: pair[0](pair[1])),
        inner.map(lambda v: (v**2 + 1) ** Rational(-1, 2)),
        inner.map(lambda v: (v**2 + 2) ** Rational(1, 2)),
        inner.map(lambda v: 1 / (v**2 + 1)),
        inner.map(lambda v: v**3),
        inner.map(lambda v: a - mean(v * a + b)),
        inner.map(lambda v: a / (variance(v + b) + 1)),
    ),
    max_leaves=8,
)


@given(FORMULAS)
def test_the_text_computes_what_the_formula_says(expr: sympy.Expr) -> None:
    rng = np.random.default_rng(0)
    numbers = {v: rng.normal(size=(2, 3)) for v in (a, b, c)}
    tensors = {v.name: torch.tensor(n) for v, n in numbers.items()}
    found = eval(text(expr), {"torch": torch, "F": F}, tensors)
    expected = np.broadcast_to(value(expr, numbers), (2, 3))
    found = torch.as_tensor(found, dtype=torch.float64).expand(2, 3).numpy()
    assert np.allclose(found, expected, rtol=1e-10, atol=1e-10)
