"""The demonstration leaves everything that it promises."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

import codegen
from codegen.demo import CELLS, run_demo


def test_demo(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), soft_wrap=True, highlight=False)
    page = run_demo(tmp_path / "out", 1, console)
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    for name in CELLS:
        assert (tmp_path / "out" / f"{name}.py").read_text(encoding="utf-8") == codegen.emit(name)
        assert (tmp_path / "out" / f"{name}.svg").read_text(encoding="utf-8").startswith("<svg")
        assert (tmp_path / "out" / "runs" / name / "best.safetensors").exists()
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue()
    assert "What to do next" in printed
    assert printed.count("passed") == len(CELLS)
