"""Commands that need no torch: what they print, where, and with which exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import derive
from codegen.cli import run
from derive.claims import recheck_certificate
from derive.theorems import THEOREMS

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


def test_prove_prints_statement_assumptions_and_method(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["prove", "lstm"]) == 0
    printed = capsys.readouterr().out
    for claim in derive.prove("lstm"):
        assert f"{claim}\n    by {claim.method}" in printed


def test_prove_with_certificates_is_enough_for_a_recheck(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["prove", "gru", "--json", "--certificates"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert all(recheck_certificate(claim) for claim in document["claims"])


def test_prove_all_is_one_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    some = {name: THEOREMS[name] for name in ("A5", "B1")}  # all of them take half a minute
    monkeypatch.setattr("derive.theorems.THEOREMS", some)
    assert run(["prove", "--all"]) == 0
    cells, theorems = capsys.readouterr().out.split("\n\n")
    head, *rows = cells.splitlines()
    assert head.split()[:4] == ["cell", "carries", "morphs", "bounded"]
    assert [row.split()[0] for row in rows if row[0] not in " ✓"] == list(derive.catalogue())
    assert [row.split()[0] for row in theorems.splitlines()] == ["theorem", "A5", "B1"]
    assert "✗" not in theorems
    assert "?" not in theorems
    gru = next(row for row in rows if row.startswith("gru "))
    assert "s ✓ z=1" in gru
    assert "s ✓ [-1,1]" in gru
    assert "s ✗" in gru
    monkeypatch.setattr("derive.catalogue", lambda: ("vanilla", "gru"))
    assert run(["prove", "--all", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [entry["cell"] for entry in document["cells"]] == ["vanilla", "gru"]
    assert [entry["theorem"] for entry in document["theorems"]] == ["A5", "B1"]


def test_prove_a_theorem(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["prove", "--theorem", "b1"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("B1: Vanishing and exploding gradients of a vanilla network")
    assert "refuted" not in printed
    assert run(["prove", "--theorem", "B55"]) == 2
    assert "unknown theorem 'B55'; did you mean 'B5'?" in capsys.readouterr().err
    assert run(["prove", "gru", "--compare"]) == 2


def test_a_failed_recheck_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = derive.Claim("carries-s", "it carries", "proved", "none", certificate={}, verify=lambda: False)
    monkeypatch.setattr("derive.prove", lambda _: [broken])
    assert run(["prove", "gru"]) == 1
    printed = capsys.readouterr()
    assert "it carries" in printed.out
    assert "re-check failed: carries-s" in printed.err


def test_ctrl_c_leaves_what_was_proved(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = derive.prove

    def interrupted(cell: derive.Cell) -> list[derive.Claim]:
        if cell.name == "gru":
            raise KeyboardInterrupt
        return real(cell)

    monkeypatch.setattr("derive.prove", interrupted)
    assert run(["prove", "--all"]) == 130
    printed = capsys.readouterr()
    assert "prototype" in printed.out
    assert "gru" not in printed.out
    assert "interrupted" in printed.err


def test_rules_lists_every_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rules"]) == 0
    printed = capsys.readouterr().out
    assert all(rule.law in printed for rule in derive.RULES.values())


@pytest.mark.parametrize(
    "arguments",
    [
        ["path", "gru"],
        ["nope"],
        ["show", "gru", "--as", "music"],
        ["prove"],
        ["prove", "gru", "--all"],
        ["prove", "grru"],
    ],
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
