"""Commands that need no torch: what they print, where, and with which exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import derive
from codegen.cli import run

OWN_CELL = """
from derive import Cell, Input, State, affine_parameters, relu

s, x = State("s"), Input("x")
W, U, b = affine_parameters()
cell = Cell("own", {s: relu(W @ s.prev + U @ x + b)}, output=s)
"""


def test_list_names_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["list"]) == 0
    words = capsys.readouterr().out.split()
    assert set(derive.catalogue()) <= set(words)


def test_show_prints_equations_shapes_and_costs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", "gru"]) == 0
    printed = capsys.readouterr().out
    assert str(derive.cell("gru")) in printed
    assert "W_r (n, n)" in printed
    assert "3n² + 3nm + 3n parameters" in printed
    assert "Cho et al." in printed


def test_show_as_python_rebuilds_the_cell(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", "lstm", "--as", "python"]) == 0
    assert eval(capsys.readouterr().out, vars(derive)) == derive.cell("lstm")


def test_show_writes_a_diagram(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "gru.svg"
    assert run(["show", "gru", "--diagram", str(target)]) == 0
    assert target.read_text(encoding="utf-8") == derive.diagram("gru")
    assert run(["show", "gru", "--diagram", str(tmp_path / "no" / "gru.svg")]) == 2
    assert "no/gru.svg" in capsys.readouterr().err or not (tmp_path / "no").exists()


def test_an_unknown_cell_is_a_usage_error_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", "grru"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "did you mean 'gru'" in printed.err
    assert "Traceback" not in printed.err


def test_debug_shows_the_traceback() -> None:
    with pytest.raises(derive.UnknownCell):
        run(["show", "grru", "--debug"])


def test_a_file_that_declares_a_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN_CELL)
    assert run(["show", str(file)]) == 0
    assert "sₜ = relu(W sₜ₋₁ + U xₜ + b)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\n", "declares no Cell"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("raise SystemExit(0)\n", "SystemExit"),
        ("import derive\na, b = derive.cell('gru'), derive.cell('lstm')\n", "declares 2 cells (gru, lstm)"),
        (None, "no such file"),
    ],
)
def test_a_file_that_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str | None, message: str
) -> None:
    file = tmp_path / "own.py"
    if source is not None:
        file.write_text(source)
    assert run(["show", str(file)]) == 2
    assert message in capsys.readouterr().err


def test_derive_finds_the_derivation_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN_CELL.replace("relu", "tanh"))
    assert run(["derive", str(file)]) == 0
    assert capsys.readouterr().out.startswith("vanilla")
    file.write_text(OWN_CELL)
    assert run(["derive", str(file)]) == 1
    assert "no rule takes away tanh" in capsys.readouterr().err


def test_derive_prints_every_step_with_law_change_counts_and_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["derive", "lstm"]) == 0
    printed = capsys.readouterr().out
    for step in derive.derivation("lstm").steps:
        assert step.rule.law in printed
        assert step.rule.reason in printed
    assert "+ hₜ = oₜ ⊙ tanh(sₜ)" in printed
    assert "4n² + 4nm + 4n parameters" in printed


def test_path_finds_and_does_not_find(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["path", "prototype", "gru"]) == 0
    assert "couple-forget-to-write" in capsys.readouterr().out
    assert run(["path", "gru", "vanilla"]) == 1
    assert "no derivation from gru to vanilla" in capsys.readouterr().err


def test_prove_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["prove", "gru", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["cell"] == "gru"
    assert {"name", "statement", "assumptions", "status", "method"} == set(document["claims"][0])
    assert {c["status"] for c in document["claims"]} <= {"proved", "refuted", "unknown"}


def test_rules_lists_every_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rules"]) == 0
    printed = capsys.readouterr().out
    assert all(rule.law in printed for rule in derive.RULES.values())


@pytest.mark.parametrize(
    "arguments", [["path", "gru"], ["nope"], ["show", "gru", "--as", "music"], ["prove"]]
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    assert capsys.readouterr().err


def test_every_command_has_help_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    commands = [
        "list",
        "show",
        "derive",
        "path",
        "prove",
        "rules",
        "emit",
        "check",
        "backends",
        "train",
        "demo",
    ]
    for command in commands:
        assert run([command, "--help"]) == 0
        assert f"Example: cellwright {command}" in capsys.readouterr().out


def test_symbolic_commands_do_not_import_torch() -> None:
    code = "import sys; from codegen.cli import run; sys.exit(run(['show', 'gru']) or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
