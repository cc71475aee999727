"""What the tests of pictures and pages share."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from codegen.study.reporting import panels


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are drawn, kept for inspection instead of being written as SVG, which is slow."""
    kept: list[Figure] = []

    def keep(figure: Figure) -> str:
        kept.append(figure)
        return "<svg></svg>"

    monkeypatch.setattr(panels, "svg", keep)
    return kept
