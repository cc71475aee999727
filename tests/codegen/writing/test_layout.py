"""Lines that the formatter leaves alone."""

import subprocess
import sys

import pytest

from codegen.writing.layout import WIDTH, concatenated, joined, listed, returned, unpacked
from derive.counts import polynomial, size

MANY = [f"a_long_name_{k}" for k in range(9)]


@pytest.mark.parametrize(
    "lines",
    [
        listed("call(", ["a", "b"], ")", 0),
        listed("call(", MANY, ")", 0),
        listed("call(", [], ")", 0),
        concatenated("w =", ["a", "b"], 0),
        concatenated("w =", MANY, 0),
        unpacked(["a"], "call()", 0),
        unpacked(["a", "b"], "call()", 0),
        unpacked(MANY, "call()", 0),
    ],
)
@pytest.mark.parametrize("width", [WIDTH, 120])
def test_the_formatter_changes_nothing(lines: list[str], width: int) -> None:
    text = "\n".join(lines) + "\n"
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", str(width), "-"]
    assert subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout == text
    assert max(map(len, lines)) <= WIDTH


def test_returns() -> None:
    assert returned(["a", "b"], 0) == ["return a, b"]
    assert returned(MANY, 0)[0] == "return ("


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["i", "o", "f"], "iof"),
        (["i", "f", "s_tilde"], "if_s_tilde"),
        (["c_tilde", "o"], "c_tilde_o"),
        (["i"], "i"),
    ],
)
def test_joined(names: list[str], expected: str) -> None:
    assert joined(names) == expected


def test_polynomials_read_as_on_paper() -> None:
    n, m, k = size(("n",)), size(("m",)), size(("slots",))
    assert polynomial(4 * n**2 + 4 * n * m + n) == "4n² + 4nm + n"
    assert polynomial(n * 0) == "0"
    assert polynomial(3 * n * k) == "3n·slots"
