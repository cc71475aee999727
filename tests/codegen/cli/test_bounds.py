"""The commands jacobian and bound."""

import pytest

from codegen.cli import run


def test_jacobian(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["jacobian", "vanilla"]) == 0
    assert capsys.readouterr().out == "∂sₜ/∂sₜ₋₁ = diag(1 - sₜ²) W\n"
    assert run(["jacobian", "lstm", "--of", "c", "--wrt", "c"]) == 0
    assert capsys.readouterr().out == "∂cₜ/∂cₜ₋₁ = diag(fₜ)\n"
    assert run(["jacobian", "lstm", "--of", "c", "--wrt", "c", "--latex"]) == 0
    assert r"\operatorname{diag}(f_{t})" in capsys.readouterr().out


def test_jacobian_of_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["jacobian", "lstm", "--of", "q"]) == 2
    assert "lstm computes no 'q'" in capsys.readouterr().err


def test_bound(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bound", "vanilla"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "‖J‖∞ ≤ ‖W‖",
        "  assuming any x",
        "  assuming s in [-1, 1], where it stays",
        "contracts if ‖W‖ < 1",
    ]
    assert run(["bound", "gru"]) == 0
    assert "no condition for contraction on this box" in capsys.readouterr().out
    assert run(["bound", "gru", "--inputs", "1"]) == 0
    assert "contracts if z̄·‖W_z‖·(sup s̃ + 1) + ‖W‖·(r̄ + ‖W_r‖/4) < 1" in capsys.readouterr().out
    assert run(["bound", "gru", "--latex"]) == 0
    assert r"\sup_{" in capsys.readouterr().out


def test_bound_in_no_norm(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bound", "gru", "--norm", "3"]) == 2
    assert "norm='3'; expected 2 or 'inf'" in capsys.readouterr().err
