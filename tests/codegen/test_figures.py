"""Figures as SVG: the same bytes every time, and ids that do not meet on one page."""

from __future__ import annotations

import builtins
import re
from typing import Any
from xml.etree import ElementTree

import pytest

from codegen.errors import ConfigError
from codegen.figures import inline_svg, new_figure, svg


def drawn() -> str:
    """A figure with text, a line and a clip path."""
    figure = new_figure(2, 2)
    figure.subplots().plot([0, 1], [1, 0], marker="o")
    return svg(figure)


def test_the_same_bytes_every_time_without_date_and_version() -> None:
    assert drawn() == drawn()
    assert not re.search("metadata|Matplotlib v|dc:date", drawn())


def test_two_pictures_on_a_page_share_no_id_and_refer_to_their_own() -> None:
    one, other = (inline_svg(drawn(), name, "A line.") for name in ("one", "other"))
    ids = [set(re.findall(r'\bid="([^"]+)"', text)) for text in (one, other)]
    assert len(ids[0]) == len(ids[1]) > 10
    assert not ids[0] & ids[1]
    for text, there in zip((one, other), ids, strict=True):
        used = re.findall(r'(?:href="|url\()#([^")]+)', text)
        assert len(used) > 5
        assert set(used) <= there


def test_the_title_is_read_out_and_escaped() -> None:
    tree = ElementTree.fromstring(inline_svg(drawn(), "p", 'a < b & "c"'))
    assert tree[0].text == 'a < b & "c"'
    assert (tree.get("role"), tree.get("aria-labelledby")) == ("img", tree[0].get("id"))


def test_without_matplotlib_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return original(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ConfigError, match=r"cellwright\[report\]"):
        new_figure(1, 1)
