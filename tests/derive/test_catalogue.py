"""The catalogue: found by looking into the folder, parents first, and forgiving about names."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import derive
import derive.cells
from derive import Cell, UnknownCell
from derive.catalogue import ROOT, published

THIRTEEN = {
    "vanilla",
    "prototype",
    "normalized-prototype",
    "gru",
    "pseudo-lstm",
    "pseudo-lstm-d1",
    "pseudo-lstm-d12",
    "pseudo-lstm-d13",
    "pseudo-lstm-d2",
    "pseudo-lstm-d23",
    "pseudo-lstm-d3",
    "lstm",
    "peephole-lstm",
}


def test_the_names_that_stay_fixed() -> None:
    assert set(derive.catalogue()) >= THIRTEEN
    assert isinstance(derive.catalogue(), tuple)
    assert len(set(derive.catalogue())) == len(derive.catalogue())


def test_parents_come_first() -> None:
    order = derive.catalogue()
    assert order[0] == ROOT == "vanilla"
    for name, entry in published().items():
        assert entry.cell.name == name
        if name == ROOT:
            assert entry.parent == ""
        else:
            assert order.index(entry.parent) < order.index(name)


def test_every_file_is_a_cell_of_its_name() -> None:
    files = {p.stem.replace("_", "-") for p in Path(derive.cells.__file__).parent.glob("*.py")} - {"--init--"}
    assert files == set(derive.catalogue())


@pytest.mark.parametrize("name", sorted(THIRTEEN))
def test_each_says_what_it_is_and_where_it_was_published(name: str) -> None:
    entry = published()[name]
    assert entry.cell.title
    assert "Written Memories" in entry.cell.reference
    assert bool(entry.rules) == (name != ROOT)


SHADOWED = {"lstm", "peephole-lstm", "pseudo-lstm-d1", "pseudo-lstm-d12", "pseudo-lstm-d13"}
# The output is a vector of its own where it is not a state.
SQUASHED = {"pseudo-lstm", *(f"pseudo-lstm-d{diffs}" for diffs in ("1", "2", "3", "12", "23"))}


@pytest.mark.parametrize("name", sorted(THIRTEEN))
def test_states_input_and_output_are_the_articles(name: str) -> None:
    cell = derive.cell(name)
    assert cell.states == (("h", "c") if name in SHADOWED else ("s",))
    assert cell.inputs == ("x",)
    assert cell.output == ("y" if name in SQUASHED else cell.states[0])
    assert {"W", "U", "b"} <= set(cell.parameters)


def test_a_cell_is_made_once_and_a_cell_is_taken_as_it_is() -> None:
    gru = derive.cell("gru")
    assert derive.cell("gru") is gru
    mine = gru.replace(name="mine")
    assert derive.cell(mine) is mine


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("grü", "gru"),
        ("GRU", "gru"),
        ("lstn", "lstm"),
        ("peephole", "peephole-lstm"),
        ("vanila", "vanilla"),
    ],
)
def test_unknown_names(name: str, near: str) -> None:
    with pytest.raises(UnknownCell) as info:
        derive.cell(name)
    message = str(info.value)
    assert message.startswith(f"unknown cell {name!r}; did you mean {near!r}")
    assert message.endswith(f"? The catalogue: {', '.join(derive.catalogue())}")
    assert isinstance(info.value, KeyError)
    assert isinstance(info.value, derive.DeriveError)


def test_nothing_near() -> None:
    with pytest.raises(UnknownCell, match=r"^unknown cell 'qqq'\. The catalogue: vanilla, "):
        derive.cell("qqq")


NEW = """
from derive.catalogue import Published
from derive.cell import Cell
from derive.activations import relu
from derive.symbols import Input, State, affine_parameters

s, x = State("s"), Input("x")
W, U, b = affine_parameters()
PUBLISHED = Published(Cell("relu-net", {s: relu(W @ s.prev + U @ x + b)}, output=s), parent="gru")
"""


@pytest.fixture
def added_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "relu_net.py").write_text(NEW, encoding="utf-8")
    monkeypatch.setattr(derive.cells, "__path__", [*derive.cells.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    published.cache_clear()
    yield
    sys.modules.pop("derive.cells.relu_net", None)
    monkeypatch.undo()
    published.cache_clear()


def test_adding_a_file_is_enough(added_file: None) -> None:
    order = derive.catalogue()
    assert set(order) - THIRTEEN == {"relu-net"}
    assert order.index("relu-net") > order.index("gru")
    assert isinstance(derive.cell("relu-net"), Cell)
    assert derive.cell("relu-net").output == "s"
    with pytest.raises(UnknownCell, match="did you mean 'relu-net'"):
        derive.cell("relunet")


def test_and_it_is_gone_afterwards() -> None:
    assert "relu-net" not in derive.catalogue()
