"""Plain text: what is printed means what the equation says, read back by a parser of its own."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from sympy import Rational

import derive
from derive import (
    ACTIVATIONS,
    Cell,
    Input,
    Parameter,
    State,
    Vector,
    cell,
    mean,
    relu,
    sigmoid,
    tanh,
    variance,
)
from derive.show.text import TextNotation, equation, spell, sympy_name, typeset
from derive.symbols import MeanMap, Quantity, affine_parameters
from tests.strategies import cells, gated_cells

s, h, c, x = State("s"), State("h"), State("c"), Input("x")
f, z, s_tilde = Vector("f"), Vector("z"), Vector("s_tilde")
W, U, b = affine_parameters()
P = Parameter("P", "n")


@pytest.mark.parametrize("name", derive.catalogue())
def test_golden(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"show/{name}.txt", f"{cell(name)}\n")


def test_an_lstm_reads_like_the_article() -> None:
    assert str(cell("lstm")).splitlines() == [
        "iₜ = σ(W_i hₜ₋₁ + U_i xₜ + b_i)",
        "oₜ = σ(W_o hₜ₋₁ + U_o xₜ + b_o)",
        "fₜ = σ(W_f hₜ₋₁ + U_f xₜ + b_f)",
        "c̃ₜ = tanh(W hₜ₋₁ + U xₜ + b)",
        "cₜ = fₜ ⊙ cₜ₋₁ + iₜ ⊙ c̃ₜ",
        "hₜ = oₜ ⊙ tanh(cₜ)",
        "output: hₜ",
    ]


SPELT = {
    "z ⊙ s + (1 - z) ⊙ s̃": (z * s.prev + (1 - z) * s_tilde, "zₜ ⊙ sₜ₋₁ + (1 - zₜ) ⊙ s̃ₜ"),
    "a read through a gate": (W @ (f * s.prev), "W(fₜ ⊙ sₜ₋₁)"),
    "a map of a sum": (W @ (s.prev - c.prev), "W(sₜ₋₁ - cₜ₋₁)"),
    "a map of a map": (W @ (W @ s.prev), "W(W sₜ₋₁)"),
    "a map of a mean": (W @ mean(s.prev), "W mean(sₜ₋₁)"),
    "a map of a square": (W @ s.prev**2, "W sₜ₋₁²"),
    "the square of a map": ((W @ s.prev) ** 2, "(W sₜ₋₁)²"),
    "a gated map": (f * (W @ s.prev), "fₜ ⊙ (W sₜ₋₁)"),
    "a peephole": (tanh(W @ h.prev + U @ x + P * c.prev + b), "tanh(W hₜ₋₁ + U xₜ + P ⊙ cₜ₋₁ + b)"),
    "a factor": (2 * f * s.prev, "2 fₜ ⊙ sₜ₋₁"),
    "a negative factor": (-2 * f * s.prev, "-2 fₜ ⊙ sₜ₋₁"),
    "a difference": (s.prev - 2 * f, "sₜ₋₁ - 2 fₜ"),
    "no minus in front": (f - s.prev, "fₜ - sₜ₋₁"),
    "a minus that must be": (-f - s.prev, "-sₜ₋₁ - fₜ"),
    "a minus before a product of sums": ((1 - f) * (1 - z) * -1, "-(1 - fₜ) ⊙ (1 - zₜ)"),
    "a number last": (s.prev + 1, "sₜ₋₁ + 1"),
    "a number first in a complement": (1 - f, "1 - fₜ"),
    "a fraction": (f * s.prev / 2, "fₜ ⊙ sₜ₋₁ / 2"),
    "a fraction of a product of sums": (
        (1 - f) * (1 - z) * 3 / 4,
        "3 (1 - fₜ) ⊙ (1 - zₜ) / 4",
    ),
    "a lone fraction": (s.prev + Rational(1, 2), "sₜ₋₁ + 1/2"),
    "a reciprocal": (1 / s.prev, "1 / sₜ₋₁"),
    "a quotient": (f / (2 * (s.prev**2 + 1)), "fₜ / (2 sₜ₋₁² + 2)"),
    "a root": (f / (variance(f) + 1) ** Rational(1, 2), "fₜ / √(mean((fₜ - mean(fₜ))²) + 1)"),
    "a power": (s.prev ** Rational(3, 2), "sₜ₋₁^(3/2)"),
    "a cube": (s.prev**3, "sₜ₋₁^3"),
    "a float": (0.1 * s.prev, "0.1 sₜ₋₁"),
    "a float that is no short decimal": ((0.1 + 0.2) * s.prev, "0.30000000000000004 sₜ₋₁"),
    "an irrational": (sympy.sqrt(2) * s.prev, "√(2) sₜ₋₁"),
    "a plain activation name": (relu(s.prev), "relu(sₜ₋₁)"),
}


@pytest.mark.parametrize("name", SPELT)
def test_spelling(name: str) -> None:
    expr, text = SPELT[name]
    assert TextNotation([f, z, s_tilde])(expr) == text
    assert Reader([f, z, s_tilde, s, s.prev, c.prev, h.prev, x, W, U, b, P])(text) == expr


def test_equation() -> None:
    assert equation(s, f * s.prev) == "sₜ = fₜ ⊙ sₜ₋₁"


def test_a_cell_without_output_says_nothing_of_it() -> None:
    assert str(Cell("leak", {s: s.prev / 2})) == "sₜ = sₜ₋₁ / 2"


def test_names() -> None:
    assert (sympy_name("s_tilde"), sympy_name("W_i"), sympy_name("tilde")) == ("stilde", "W_i", "tilde")
    assert [typeset(name) for name in ("s_tilde", "e_hat", "W_i", "gate")] == [
        "s\N{COMBINING TILDE}",
        "e\N{COMBINING CIRCUMFLEX ACCENT}",
        "W_i",
        "gate",
    ]


def test_whatever_it_is_it_can_be_spelt_in_an_error() -> None:
    assert spell(s.prev + sympy.sin(f)) == "sₜ₋₁ + sin(f)"
    assert spell([s]) == "[s]"
    assert spell(None) == "None"
    with pytest.raises(TypeError, match=r"sin\(f\) \(sin\) is no expression of a cell"):
        TextNotation()(sympy.sin(f))


class Reader:
    """Reads plain text back: sums, products (⊙ or a number in front), quotients, maps, powers, functions."""

    def __init__(self, quantities: Any) -> None:
        notation = TextNotation()
        self.names: dict[str, Quantity] = {notation(q): q for q in quantities if not isinstance(q, MeanMap)}
        self.functions: dict[str, Any] = {phi.text or phi.name: phi for phi in ACTIVATIONS.values()}
        self.functions |= {"mean": mean, "√": sympy.sqrt}
        words = sorted([*self.names, *self.functions], key=len, reverse=True)
        number = r"\d+/\d+|\d+(?:\.\d+)?(?:e-?\d+)?"
        self.token = re.compile(rf"\s*({'|'.join(map(re.escape, words))}|{number}|[()⊙+\-/²^])")

    def __call__(self, text: str) -> sympy.Expr:
        self.tokens = self.token.findall(text)
        assert "".join(self.tokens) == text.replace(" ", ""), text
        result = self.sum()
        assert not self.tokens, self.tokens
        return result

    def take(self, *wanted: str) -> bool:
        if self.tokens and self.tokens[0] in wanted:
            self.tokens.pop(0)
            return True
        return False

    def sum(self) -> sympy.Expr:
        total = -self.product() if self.take("-") else self.product()
        while self.tokens and self.tokens[0] in "+-":
            total = total - self.product() if self.take("-") else (self.take("+"), total + self.product())[1]
        return total

    def product(self) -> sympy.Expr:
        factors = [self.factor()]
        while self.tokens and self.tokens[0] not in "+-)":
            divided = self.take("/")
            self.take("⊙")
            factors.append(1 / self.factor() if divided else self.factor())
        return sympy.Mul(*factors)

    def factor(self) -> sympy.Expr:
        base = self.atom()
        if self.take("²"):
            return base**2
        return base ** self.atom() if self.take("^") else base

    def atom(self) -> sympy.Expr:
        word = self.tokens.pop(0)
        if word == "(":
            inside = self.sum()
            assert self.take(")")
            return inside
        if word in self.functions:
            return self.functions[word](self.atom())
        if word in self.names:
            q = self.names[word]
            return q @ self.factor() if len(q.axes) == 2 else q
        return sympy.Float(float(word)) if "." in word else Rational(word)


@given(st.one_of(cells(), gated_cells()))
def test_the_text_means_the_equation(cell: Cell) -> None:
    read = Reader(cell.symbols.values())
    lines = str(cell).splitlines()
    for line, (symbol, expr) in zip(lines, cell.equations.items(), strict=False):
        left, right = line.split(" = ")
        assert read(left) == symbol
        assert read(right) == expr
    assert lines[len(cell.equations) :] == ([f"output: {typeset(cell.output)}ₜ"] if cell.output else [])


def test_the_reader_can_tell_texts_apart() -> None:
    read = Reader([f, s.prev, W])
    assert read("fₜ ⊙ (W sₜ₋₁) / 2") == f * (W @ s.prev) / 2
    assert read("W(sₜ₋₁ / 2)") != read("W sₜ₋₁ / 2")
    assert read("-(1 - fₜ) ⊙ sₜ₋₁") == (1 - f) * s.prev * -1 != read("-1 - fₜ ⊙ sₜ₋₁")
    assert read("σ(fₜ)²") == sigmoid(f) ** 2
