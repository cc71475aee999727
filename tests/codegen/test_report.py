"""The HTML page: whole, self-contained, and about what was measured."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

import codegen
import derive
from codegen.report import Trained, curves_svg, equations_svg, report_html
from codegen.training import EpochReport, Loss


def trained(name: str) -> Trained:
    history = [
        EpochReport(epoch, Loss(100.0 - epoch, 20), Loss(50.0 - epoch, 10), 3.5, 1000.0, 1.0, True)
        for epoch in (1, 2)
    ]
    report = codegen.CheckReport(name, "eager", (codegen.Comparison("values", 1e-16, 1e-10),))
    return Trained(derive.cell(name), derive.derivation(name), report, codegen.emit(name), history)


@pytest.mark.parametrize("name", derive.catalogue())
def test_equations_of_every_cell_are_typeset(name: str) -> None:
    svg = equations_svg(derive.cell(name))
    assert len(ElementTree.fromstring(svg)) > 0
    assert svg == equations_svg(derive.cell(name))


def test_the_page_shows_what_was_measured_and_loads_nothing() -> None:
    page = report_html("Title & more", "Introduction.", [trained("gru"), trained("lstm")])
    assert "Title &amp; more" in page
    assert "4.8000" in page  # nats a word: 48 over 10 batches
    assert "gru, eager backend: passed" in page
    assert page.count("<figure>") == 1 + 2 * 2
    loads = re.findall(r'(?:src|href)="(?!#)([^"]*)"', page)
    assert not [link for link in loads if not link.startswith("data:")]


def test_a_failed_check_is_shown_as_failed() -> None:
    item = trained("gru")
    failed = codegen.CheckReport("gru", "eager", (codegen.Comparison("values", 1.0, 1e-10),))
    page = report_html("t", "i", [Trained(item.cell, item.derivation, failed, item.source, item.history)])
    assert "class='bad'" in page


def test_curves_have_one_line_a_cell() -> None:
    svg = curves_svg([trained("gru"), trained("lstm")])
    assert svg.count('id="line2d') >= 2
    ElementTree.fromstring(svg)
