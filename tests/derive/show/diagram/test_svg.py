"""The finished SVG: what is written where, and that it is the same everywhere."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from derive import Parameter, State, UnknownCell, catalogue, cell
from derive.show.diagram import diagram
from tests.derive.show.diagram.pictures import SVG, groups, parse, spelt, svg_of

ROOT = Path(__file__).resolve().parents[4]
CELLS = catalogue()


@pytest.mark.parametrize("name", CELLS)
def test_svg_is_well_formed_and_self_contained(name: str) -> None:
    svg = svg_of(name)
    root = parse(svg)
    assert root.tag == f"{SVG}svg"
    left, top, w, h = map(float, root.attrib["viewBox"].split())
    assert (left, top) == (0, 0)
    assert 150 < w < 900
    assert 100 < h < 500
    assert "href" not in svg
    assert "url(" not in svg
    assert root.findtext(f"{SVG}title") == cell(name).title
    assert root.findtext(f"{SVG}desc") == str(cell(name))


@pytest.mark.parametrize("name", CELLS)
def test_every_vector_is_named_once(name: str) -> None:
    subject = cell(name)
    found = list(groups(parse(svg_of(name))))
    for symbol in subject.equations:
        ends = [("past", f"{spelt(symbol)}−1"), ("new", spelt(symbol))] if isinstance(symbol, State) else []
        inside = [] if ends else [("output" if symbol.name == subject.output else "block", spelt(symbol))]
        if symbol.name == "a":  # a vector that no block computes is named on its wire
            inside = [("tag", "at")]
        named = [(kinds[0], labels) for kinds, vector, labels in found if vector == symbol.name]
        assert sorted(kind for kind, _ in named) == sorted(kind for kind, _ in [*ends, *inside])
        for kind, text in [*ends, *inside]:
            assert text in dict(named)[kind]
    assert [labels for kinds, _, labels in found if "input" in kinds] == [["xt", "input"]]


@pytest.mark.parametrize("name", CELLS)
def test_parameters_stand_in_the_block_of_their_equation(name: str) -> None:
    subject = cell(name)
    blocks = [(vector, labels) for kinds, vector, labels in groups(parse(svg_of(name))) if "block" in kinds]
    written = Counter(label for _, labels in blocks for label in labels)
    for parameter in subject.parameters:
        assert written[spelt(subject.symbols[parameter])] == 1, parameter
    for symbol, expr in subject.equations.items():
        rows = {spelt(p) for p in expr.atoms(Parameter)}
        assert not rows or any(
            rows <= set(labels) for vector, labels in blocks if vector in (symbol.name, "")
        )


@pytest.mark.parametrize("name", CELLS)
def test_output_is_marked(name: str) -> None:
    subject = cell(name)
    marked = [vector for _, vector, labels in groups(parse(svg_of(name))) if "output" in labels]
    assert marked == [subject.output]


def test_legend_explains_what_is_there_and_nothing_else() -> None:
    legend = parse(svg_of("vanilla")).findall(f"{SVG}g")[-1]
    assert ["".join(t.itertext()) for t in legend.iter(f"{SVG}text")] == [
        "read of the past",
        "this step",
        "candidate",
    ]
    legend = parse(svg_of("lstm")).findall(f"{SVG}g")[-1]
    words = ["carry", "read of the past", "this step", "gate", "candidate"]
    assert ["".join(t.itertext()) for t in legend.iter(f"{SVG}text")] == words


def test_names_and_cells_are_taken() -> None:
    assert diagram("gru") == diagram(cell("gru"))
    with pytest.raises(UnknownCell, match="gru"):
        diagram("grü")


def test_same_bytes_in_every_process() -> None:
    code = "from derive.show.diagram import diagram; print(diagram('peephole-lstm'), end='')"
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
            stdout=subprocess.PIPE,
        )
        for seed in ("1", "2")
    ]
    assert {run.communicate()[0].decode() for run in runs} == {svg_of("peephole-lstm")}


def test_layout_library_is_loaded_late() -> None:
    code = "import derive.show.diagram, sys; print('graphlay' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_golden(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"show/{name}.svg", svg_of(name))
