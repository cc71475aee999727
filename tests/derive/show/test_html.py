"""The block that a notebook shows."""

import html
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given

import derive
from derive import Cell, State, cell, sigmoid
from derive.show.html import cell_html
from tests.strategies import cells

s = State("s")


@pytest.mark.parametrize("name", derive.catalogue())
def test_the_published_cells(name: str) -> None:
    block = ElementTree.fromstring(cell_html(cell(name)))
    assert block.tag == "div"
    assert [child.tag for child in block] == ["strong", "p"]
    assert block[0].text == cell(name).title
    assert block[0].tail == f"$$\n{cell(name).latex()}\n$$"  # what the browser hands to MathJax
    assert "".join(block[1].itertext()) == cell(name).reference


def test_titles_and_references_are_escaped() -> None:
    hostile = '<script>alert("1 & 2")</script>'
    text = cell_html(Cell("leak", {s: sigmoid(s.prev)}, title=hostile, reference=hostile))
    assert "<script" not in text
    assert text.count(html.escape(hostile)) == 2
    block = ElementTree.fromstring(text)
    assert block[0].text == hostile
    assert "".join(block[1].itertext()) == hostile


def test_without_title_the_name_and_without_reference_nothing() -> None:
    block = ElementTree.fromstring(cell_html(Cell("leak", {s: sigmoid(s.prev)})))
    assert [child.tag for child in block] == ["strong"]
    assert block[0].text == "leak"


@given(cells())
def test_any_cell(cell: Cell) -> None:
    block = ElementTree.fromstring(cell._repr_html_())
    assert block[0].tail == f"$$\n{cell.latex()}\n$$"
