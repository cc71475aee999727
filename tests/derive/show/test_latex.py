"""LaTeX in the article's notation: golden for the thirteen, well-balanced for all."""

import re
from collections.abc import Callable

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from sympy import Rational

import derive
from derive import ACTIVATIONS, Cell, Input, Parameter, State, Vector, cell, mean, sigmoid, tanh
from derive.show.latex import LatexNotation, equations_latex
from derive.symbols import affine_parameters
from tests.strategies import cells, gated_cells

s, x = State("s"), Input("x")
f, z, s_tilde = Vector("f"), Vector("z"), Vector("s_tilde")
W, U, b = affine_parameters()
COMMANDS = {
    *(rf"\{word}" for word in ("begin", "end", "left", "right", "frac", "sqrt", "odot", "cdot")),
    *(rf"\{word}" for word in ("tilde", "hat", "operatorname")),
    *(command for phi in ACTIVATIONS.values() for command in re.findall(r"\\[A-Za-z]+", phi.latex)),
}


def check(latex: str) -> None:
    """Brackets, environments and commands are in order."""
    closing = {")": r"\left(", "}": "{", "end": "begin"}
    stack: list[str] = []
    for token in re.findall(r"\\left\(|\\right\)|\\begin|\\end|[{}()]", latex):
        if token in (r"\left(", "{", r"\begin"):
            stack.append(token)
        elif token == r"\end":
            assert stack.pop() == r"\begin"
        else:
            assert token not in "()", f"a bracket that does not grow in {latex}"
            assert stack.pop() == closing[token[-1]], latex
    assert stack == []
    assert set(re.findall(r"\\[A-Za-z]+", latex)) <= COMMANDS
    assert not re.search(r"_\{[^{}]*\}_|\^\{[^{}]*\}\^|\\odot \\odot|\+ [+-]|- [+-]|  |nan|oo\b", latex)
    assert "[t-1]" not in latex
    assert latex.isascii()


@pytest.mark.parametrize(
    "wrong",
    [
        r"\left(x",
        "(x)",
        "{x",
        r"\left(x}\right)",
        r"s_{t}_{t}",
        r"\sin x",
        r"\begin{aligned}",
        "x + - y",
        "s[t-1]",
        "σ",
    ],
)
def test_the_check_can_fail(wrong: str) -> None:
    with pytest.raises((AssertionError, IndexError)):
        check(wrong)


@pytest.mark.parametrize("name", derive.catalogue())
def test_golden(name: str, golden: Callable[[str, str], None]) -> None:
    latex = cell(name).latex()
    check(latex)
    golden(f"show/{name}.tex", f"{latex}\n")


@pytest.mark.parametrize("name", sorted({*derive.catalogue()} - {"vanilla"}))
def test_gates_multiply_elementwise_and_candidates_wear_a_tilde(name: str) -> None:
    latex = cell(name).latex()
    assert r" \odot " in latex
    assert re.search(r"\\tilde\{[sc]\}_\{t\} &= \\tanh", latex)


@given(st.one_of(cells(), gated_cells()))
def test_any_cell(cell: Cell) -> None:
    latex = cell.latex()
    check(latex)
    lines = latex.splitlines()
    assert lines[0] == r"\begin{aligned}"
    assert lines[-1] == r"\end{aligned}"
    assert len(lines) == len(cell.equations) + 2
    assert all(line.count("&=") == 1 for line in lines[1:-1])
    assert all(line.endswith(r" \\") for line in lines[1:-2])


def test_gru() -> None:
    assert cell("gru").latex() == "\n".join(
        [
            r"\begin{aligned}",
            r"r_{t} &= \sigma\left(W_{r} s_{t-1} + U_{r} x_{t} + b_{r}\right) \\",
            r"z_{t} &= \sigma\left(W_{z} s_{t-1} + U_{z} x_{t} + b_{z}\right) \\",
            r"\tilde{s}_{t} &= \tanh\left(W \left(r_{t} \odot s_{t-1}\right) + U x_{t} + b\right) \\",
            r"s_{t} &= z_{t} \odot s_{t-1} + \left(1 - z_{t}\right) \odot \tilde{s}_{t}",
            r"\end{aligned}",
        ]
    )


SPELT = {
    "a name with a subscript": (Vector("h_1"), "h_{1,t}"),
    "a name with a number": (Vector("v12"), "v_{12,t}"),
    "the past of such a state": (State("h_1").prev, "h_{1,t-1}"),
    "a Greek name": (Vector("alpha"), r"\alpha_{t}"),
    "a matrix": (Parameter("W_i", "n", "n") @ s.prev, "W_{i} s_{t-1}"),
    "a mean": (mean(s.prev), r"\operatorname{mean}\left(s_{t-1}\right)"),
    "a fraction": (f * s.prev / 2, r"\frac{f_{t} \odot s_{t-1}}{2}"),
    "minus a fraction": (b - s.prev / 2, r"b - \frac{s_{t-1}}{2}"),
    "a factor": (3 * f * s.prev, r"3 f_{t} \odot s_{t-1}"),
    "a root": (s.prev / sympy.sqrt(f + 1), r"\frac{s_{t-1}}{\sqrt{f_{t} + 1}}"),
    "a power": ((1 - f) ** Rational(3, 2), r"\left(1 - f_{t}\right)^{\frac{3}{2}}"),
    "an inverse square": (1 / s.prev**2, r"\frac{1}{s_{t-1}^{2}}"),
    "a negative product": ((1 - f) * s.prev * -1, r"-\left(1 - f_{t}\right) \odot s_{t-1}"),
    "a gated map": (f * (W @ s.prev), r"f_{t} \odot \left(W s_{t-1}\right)"),
    "a number under a root": (sympy.sqrt(2) * s.prev, r"\sqrt{2} s_{t-1}"),
    "a float": (0.25 * sigmoid(f), r"0.25 \sigma\left(f_{t}\right)"),
}


@pytest.mark.parametrize("name", SPELT)
def test_spelling(name: str) -> None:
    expr, latex = SPELT[name]
    assert LatexNotation([f, z])(expr) == latex


def test_equations_latex_needs_no_cell() -> None:
    assert equations_latex({s: tanh(W @ s.prev)}) == (
        "\\begin{aligned}\ns_{t} &= \\tanh\\left(W s_{t-1}\\right)\n\\end{aligned}"
    )
