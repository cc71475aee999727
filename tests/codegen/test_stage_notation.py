"""Statements as lines of text."""

import pytest
import sympy

from codegen.loop import Mean, Transposed
from codegen.plan import Assignment, Part, Product
from codegen.stage_notation import StageNotation
from derive import Parameter, State, Vector, sigmoid, tanh

s, a, c, x_a, x_c = State("s"), Vector("a"), Vector("c_tilde"), Vector("x_a"), Vector("x_c")
W, V, b = Parameter("W", "n", "n"), Parameter("V", "n", "n"), Parameter("b", "n")
BARE = Product(s.prev, (Part(a, a, W), Part(c, c, V)))
ADDED = Product(s.prev, (Part(a, a, W, addend=x_a), Part(c, c, V, addend=x_c)))
BIASED = Product(s.prev, (Part(a, a, W, biases=(b,)),))
WHOLE = Product(s.prev * tanh(a), (Part(a, a, W),))
text = StageNotation()


@pytest.mark.parametrize(
    ("statement", "line"),
    [
        (BARE, "a, c̃ = [W; V] sₜ₋₁"),
        (ADDED, "a, c̃ = [W; V] sₜ₋₁ + (x_a, x_c)"),
        (BIASED, "a = W sₜ₋₁ + b"),
        (WHOLE, "a = W (sₜ₋₁ ⊙ tanh(a))"),
        (Transposed(Vector("d_s"), ADDED, (a, c)), "d_s = [W; V]ᵀ (a, c̃)"),
        (Transposed(Vector("d_s"), BIASED, (a,)), "d_s = Wᵀ a"),
        (Mean(a, s * c), "a = mean(c̃ ⊙ s)"),
        (Assignment(a, sigmoid(c) * s.prev), "a = sₜ₋₁ ⊙ σ(c̃)"),
        (Assignment(a, sympy.S.Zero), "a = 0"),
        (Assignment(a, sympy.Heaviside(c, 0) * s), "a = [c̃ > 0] ⊙ s"),
        (Assignment(a, (1 - sympy.Abs(c)) ** 2), "a = (1 - |c̃|)²"),
        (Assignment(a, sympy.exp(-c)), "a = exp(-c̃)"),
    ],
)
def test_statements(statement: object, line: str) -> None:
    assert text.statement(statement) == [line]


def test_gradients_of_what_all_steps_share() -> None:
    assert text.gradient(ADDED, (x_a, x_c)) == "[d_W; d_V] = Σ (x_a, x_c) sₜ₋₁ᵀ"
    assert text.gradient(WHOLE, (x_a,)) == "d_W = Σ x_a (sₜ₋₁ ⊙ tanh(a))ᵀ"
    assert text.total(b, a + c) == "d_b = Σ (a + c̃)"
    assert text.transposed(BIASED, (a,)) == "d(sₜ₋₁) = Wᵀ a"
