"""``cellwright emit --plan``: the table, its numbers, its JSON, and what is refused."""

import io
import json
import re

import pytest
import sympy
from rich.console import Console

import derive
from codegen.cli import run
from codegen.cli.plan import WIDTH, in_kibi, in_steps, in_thousands, sizes_from, stages_of, table
from codegen.stages import B, T
from derive.counts import counts
from tests.codegen.unusual_cells import UNUSUAL

n, m = sympy.symbols("n m", positive=True, integer=True)
SIZES = "n=250,m=200,B=30,T=20"


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["emit", *arguments]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["emit", *arguments]) == 2
    found = capsys.readouterr()
    assert found.out == ""
    return found.err


@pytest.mark.parametrize("backend", ["eager", "fused", "native"])
def test_golden(backend: str, golden) -> None:
    """The GRU's table; trailing spaces are the table's own and of no interest."""
    buffer = io.StringIO()
    Console(file=buffer, width=WIDTH, highlight=False).print(table(stages_of(derive.cell("gru"), backend)))
    lines = [line.rstrip() for line in buffer.getvalue().splitlines()]
    golden(f"plans/gru_{backend}.txt", "\n".join(lines) + "\n")


def test_the_command_prints_that_table(capsys: pytest.CaptureFixture[str], golden) -> None:
    for backend in ("eager", "fused", "native"):
        lines = [
            line.rstrip() for line in printed(capsys, "gru", "--plan", "--backend", backend).splitlines()
        ]
        golden(f"plans/gru_{backend}.txt", "\n".join(lines) + "\n")


def test_numbers_are_the_polynomials_at_the_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("lstm", "--plan", "--backend", "fused", "--json")
    symbols = json.loads(printed(capsys, *arguments))
    numbers = json.loads(printed(capsys, *arguments, "--sizes", SIZES))
    assert numbers["sizes"] == {"n": 250, "m": 200, "B": 30, "T": 20}
    at = {"n": 250, "m": 200, "B": 30, "T": 20}

    def value(text: str) -> int:
        return int(sympy.sympify(text).subs(at))

    assert {k: value(v) for k, v in symbols["total"].items()} == numbers["total"]
    compared = 0
    for one, other in zip(symbols["groups"], numbers["groups"], strict=True):
        for left, right in zip(one["stages"], other["stages"], strict=True):
            for field in ("multiply_adds", "elementwise", "activations", "bytes_read", "bytes_written"):
                assert value(left[field]) == right[field]
                compared += right[field] > 0
    assert compared > 20
    forward = sum(s["multiply_adds"] for g in numbers["groups"] if not g["way_back"] for s in g["stages"])
    assert forward == counts(derive.cell("lstm")).multiply_adds.subs({n: 250, m: 200}) * 30 * 20


def test_shares_add_up_and_intensity_is_their_quotient() -> None:
    stages = stages_of(derive.cell("gru"), "native")
    sizes = sizes_from(SIZES, stages)
    buffer = io.StringIO()
    Console(file=buffer, width=220, highlight=False).print(table(stages, sizes))
    first, second = buffer.getvalue().split("\ntotal ")
    shares = [re.findall(r" (\d+\.\d) +(\d+\.\d) +\d+\.\d *$", line) for line in first.splitlines()]
    found = [tuple(map(float, pair)) for line in shares for pair in line]
    assert len(found) > 10
    for column in zip(*found, strict=True):
        assert sum(column) == pytest.approx(100, abs=0.05 * len(found))
    whole = stages.total()
    flop = 2 * whole.counts.multiply_adds + whole.counts.elementwise + whole.counts.activations
    intensity = float((flop / (4 * (whole.read + whole.written))).subs(sizes))
    last = next(line for line in second.splitlines() if line.startswith("all "))
    assert last.split()[-3:] == ["100.0", "100.0", f"{intensity:.1f}"]


def test_json_is_one_document_with_every_stage(capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(printed(capsys, "gru", "--plan", "--json", "--backend", "fused"))
    assert (document["cell"], document["backend"], document["form"]) == ("gru", "fused", "loop")
    assert document["stored"][0]["name"] == "s"
    assert document["stored"][0]["bytes"] == "4*B*T*n"
    assert {s["kind"] for g in document["groups"] for s in g["stages"]} == {
        "product",
        "elementwise",
        "gradient",
        "sum",
    }


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ("n=250,m=250,B=30", "T missing; expected also T=…"),
        ("n=250,m=250,B=30,T=0", "'T=0' is no size; expected such as n=250"),
        ("n=250,m=250,B=30,T", "'T' is no size"),
        ("n=250,m=250,B=30,T=30,k=2", "gru has no size 'k'"),
        ("n=-1", "'n=-1' is no size"),
    ],
)
def test_sizes_that_are_none(sizes: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in refused(capsys, "gru", "--plan", "--sizes", sizes)


def test_options_that_do_not_go_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert "go with --plan" in refused(capsys, "gru", "--json")
    assert "go with --plan" in refused(capsys, "gru", "--sizes", SIZES)
    assert "-o gru.txt goes with the source" in refused(capsys, "gru", "--plan", "-o", "gru.txt")
    assert "unknown backend 'nope'" in refused(capsys, "gru", "--plan", "--backend", "nope")


def test_a_cell_without_input_takes_an_m_all_the_same() -> None:
    found = stages_of(next(c for c in UNUSUAL if c.name == "no-input"), "fused")
    assert sizes_from("n=3,m=2,B=4,T=5", found) == {n: 3, B: 4, T: 5}


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (0, ""),
        (12 * n, "12n"),
        (8 * n**2 * T + 12 * n * T * B, "12n·TB + 8n²·T"),
        (4 * T * B * m + 12 * n * T * B + 3 * n * m, "(12n + 4m)·TB + 3nm"),
    ],
)
def test_polynomials_by_their_growth(expr: sympy.Expr, text: str) -> None:
    assert in_steps(sympy.sympify(expr)) == text


def test_amounts() -> None:
    assert [in_thousands(k) for k in (0, 7, 999, 1000, 168_750_000)] == ["", "7", "999", "1.0 k", "168.8 M"]
    assert [in_kibi(k) for k in (0, 7, 1024, 3 * 2**20)] == ["", "7 B", "1.0 KiB", "3.0 MiB"]
