"""The page of a study: whole, self-contained, the same every time, and honest about what it lacks."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from codegen.study.reporting import write_report
from codegen.study.reporting.csv_export import epochs_csv, trials_csv
from codegen.study.reporting.report import report_html
from codegen.study.results import Outcome
from tests.codegen.study.synthetic import study

VOID = {"meta", "link", "br", "img"}


class Structure(HTMLParser):
    """The ids of a page, its elements, and those that are not closed in their order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.wrong: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


@pytest.fixture(scope="module")
def page() -> str:
    return report_html(study((0.003,), ("pseudo-lstm", "lstm"), 3, epochs=3))


def test_the_page_is_well_formed_and_its_ids_are_unique(page: str) -> None:
    found = Structure(page)
    assert found.wrong == []
    assert found.open == []
    assert len(found.ids) == len(set(found.ids)) > 50
    assert found.tags.count("svg") == found.tags.count("figure") == 6
    assert found.attributes.count(("role", "img")) == 6


def test_the_page_loads_nothing(page: str) -> None:
    found = Structure(page)
    links = [value for name, value in found.attributes if name in ("src", "href", "xlink:href", "action")]
    assert links
    assert all(link.startswith("#") for link in links)
    assert all(name.startswith("xmlns") for name, value in found.attributes if "://" in value)
    assert not re.search(r"url\((?!#)|@import|<script|<link", page)


def test_every_reference_has_its_target(page: str) -> None:
    targets = set(Structure(page).ids)
    assert set(re.findall(r'href="#([^"]+)"', page)) <= targets
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= targets


def test_text_is_escaped(page: str) -> None:
    assert "Eight cells, four &lt;learning rates&gt;" in page
    assert "a table &amp; its footnotes" in page
    assert "no space left on &lt;disk&gt;" in page


def test_the_page_is_the_same_every_time(page: str) -> None:
    assert page == report_html(study((0.003,), ("pseudo-lstm", "lstm"), 3, epochs=3))


def test_golden_page(golden: Callable[[str, str], None], figures: list[Figure]) -> None:
    """All but the pictures, which another version of matplotlib may draw otherwise."""
    results = study((0.003, 0.001), seeds=3)
    golden("study/report.html", report_html(results))


def test_files_are_written_where_they_are_wanted(tmp_path: Path, figures: list[Figure]) -> None:
    results = study((0.001,), ("lstm",), 2)
    path = write_report(results, tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "report.html"
    assert path.read_text(encoding="utf-8") == report_html(results)
    assert (path.parent / "trials.csv").read_text() == trials_csv(results)
    assert (path.parent / "epochs.csv").read_text() == epochs_csv(results)
    assert len(list(path.parent.iterdir())) == 3


def test_what_makes_trials_incomparable_is_said_first(figures: list[Figure]) -> None:
    results = study((0.001,), ("lstm",), 3)
    first = replace(results.trials[0], about={**results.trials[0].about, "data_sha256": "other"})
    last = replace(results.trials[-1], outcome=Outcome.UNFINISHED)
    shown = report_html(replace(results, trials=(first, results.trials[1], last)))
    assert "The study is not complete: 1 of 3 trials are to come." in shown
    assert "The trials did not all read the same data." in shown
    assert "other (1 of 3 trials)" in shown
    assert "not of the same version" not in shown


def test_a_task_that_is_not_language_knows_no_words(figures: list[Figure]) -> None:
    results = study((0.001,), ("pseudo-lstm", "lstm"), 3)
    protocol = replace(results.protocol, training={"task": "adding"}, published=None)
    shown = report_html(replace(results, protocol=protocol))
    assert "mean squared error" in shown
    assert not re.search("nats|perplexity|a word", shown, re.IGNORECASE)


def test_a_study_that_has_not_begun_has_a_page(figures: list[Figure]) -> None:
    results = study((0.001,), ("pseudo-lstm", "lstm"), 2)
    waiting = tuple(
        replace(trial, outcome=Outcome.UNFINISHED, epochs=(), number=None, about={})
        for trial in results.trials
    )
    shown = report_html(replace(results, trials=waiting))
    assert "4 of 4 trials are to come" in shown
    assert Structure(shown).wrong == []
