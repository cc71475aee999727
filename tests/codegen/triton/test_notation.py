"""Formulas as Triton source, evaluated with NumPy in Triton's place."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sympy
from sympy.codegen.cfunctions import expm1, log1p

from codegen.errors import Unsupported
from codegen.triton.notation import FUNCTIONS, TritonNotation
from derive import ACTIVATIONS, Vector, mean, tanh
from derive.symbols import Activated

a, b = Vector("a"), Vector("b")
TL = SimpleNamespace(
    abs=np.abs, exp=np.exp, log=np.log, sqrt=np.sqrt, maximum=np.maximum, minimum=np.minimum, where=np.where
)
VALUES = np.array([-7.0, -3.0, -2.5, -0.1, 0.0, 0.3, 2.0, 3.5, 40.0])
OTHERS = np.linspace(0.5, 2.0, len(VALUES))


def evaluated(text: str) -> Any:
    own = {"sigmoid": lambda v: 0.5 + 0.5 * np.tanh(v / 2), "tanh": np.tanh, "power": np.power}
    return eval(text, {"tl": TL, "log1p": np.log1p, "expm1": np.expm1, "a": VALUES, "b": OTHERS} | own)


def spelt(expr: sympy.Expr) -> str:
    return TritonNotation([a, b], {a: "a", b: "b"})(expr)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str) -> None:
    text = spelt(2 * Activated(ACTIVATIONS[name], a - b))
    np.testing.assert_allclose(evaluated(text), 2 * ACTIVATIONS[name].numpy(VALUES - OTHERS), atol=1e-15)


@pytest.mark.parametrize(
    ("expr", "right"),
    [
        (a * sympy.Rational(1, 3) - 1, VALUES / 3 - 1),
        (1 / (b + 1) ** 2, 1 / (OTHERS + 1) ** 2),
        (b ** sympy.Rational(-1, 2), OTHERS**-0.5),
        (b ** sympy.Rational(2, 3), OTHERS ** (2 / 3)),
        (a**3 * (1 - b), VALUES**3 * (1 - OTHERS)),
        (sympy.Heaviside(a, 0) * sympy.Heaviside(1 - b, 0), (VALUES > 0) * (1.0 - OTHERS > 0)),
        (sympy.Max(a, b, 0), np.maximum(np.maximum(VALUES, OTHERS), 0)),
        (sympy.Min(1, a), np.minimum(1, VALUES)),
        (-expm1(-b) + log1p(b), -np.expm1(-OTHERS) + np.log1p(OTHERS)),
        (sympy.sqrt(2) * tanh(1) * a, np.sqrt(2) * np.tanh(1) * VALUES),
    ],
)
def test_formulas(expr: sympy.Expr, right: Any) -> None:
    np.testing.assert_allclose(evaluated(spelt(expr)), right, rtol=1e-14)


def test_what_is_no_formula_of_a_kernel_is_refused() -> None:
    with pytest.raises(Unsupported, match="means as statements"):
        spelt(mean(a))
    with pytest.raises(Unsupported, match="sin of sin"):
        spelt(sympy.sin(a))


def test_every_function_that_formulas_call_is_defined() -> None:
    for name in ("sigmoid", "tanh", "log1p", "expm1", "power"):
        assert f"def {name}(a" in FUNCTIONS
