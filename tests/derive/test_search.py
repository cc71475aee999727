"""Search: shortest derivations, what is out of reach, and the properties that the search relies on."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings

import derive
from derive import RULES, Cell, Input, NoPath, State, mean, relu, tanh
from derive.search import breadth_first, features, moves, path, profile, prospects, towards, variants
from derive.symbols import affine_parameters
from tests.reparameterized import disguise
from tests.strategies import cells, gated_cells

s, x = State("s"), Input("x")
W, U, b = affine_parameters()
VANILLA = derive.cell("vanilla")

LENGTHS = {
    "vanilla": 0,
    "prototype": 4,
    "gru": 5,
    "normalized-prototype": 5,
    "pseudo-lstm": 5,
    "pseudo-lstm-d1": 6,
    "pseudo-lstm-d2": 6,
    "pseudo-lstm-d3": 6,
    "pseudo-lstm-d12": 7,
    "pseudo-lstm-d13": 7,
    "pseudo-lstm-d23": 7,
    "lstm": 8,
    "peephole-lstm": 9,
}


def test_all_thirteen() -> None:
    assert LENGTHS.keys() == set(derive.catalogue())
    for name, length in LENGTHS.items():
        found = path("vanilla", name)
        assert len(found.steps) == length, name
        assert found.start == VANILLA
        assert derive.equivalent(found.cell, name)
        assert "rename" not in [step.rule.name for step in found.steps]


def test_no_shorter_one_was_written_down() -> None:
    """The article's own derivations take at least as many steps, renaming not counted."""
    for name, length in LENGTHS.items():
        rules = [step.rule.name for step in derive.derivation(name).steps]
        assert len(rules) - rules.count("rename") == length


@pytest.mark.parametrize(
    ("start", "goal", "steps"),
    [
        ("prototype", "gru", ["couple-forget-to-write"]),
        ("pseudo-lstm", "pseudo-lstm-d2", ["gate-gate-reads"]),
        ("pseudo-lstm-d1", "lstm", ["gate-gate-reads", "gate-output"]),
        ("lstm", "peephole-lstm", ["add-peepholes"]),
    ],
)
def test_from_cell_to_cell(start: str, goal: str, steps: list[str]) -> None:
    assert sorted(step.rule.name for step in path(start, goal).steps) == steps


def test_nothing_to_do() -> None:
    for name in ("vanilla", "gru", "lstm"):
        assert path(name, name).steps == ()
    assert path(derive.cell("gru"), disguise(derive.cell("gru"), 5).cell).steps == ()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("goal", ["gru", "pseudo-lstm-d1", "lstm"])
def test_a_goal_in_disguise(goal: str, seed: int) -> None:
    other = disguise(derive.cell(goal), seed).cell
    found = path("vanilla", other)
    assert len(found.steps) == LENGTHS[goal]
    assert derive.equivalent(found.cell, other)


def test_goals_with_options() -> None:
    torch_gru = derive.apply("reset-after", "gru", bias=True).after
    assert path("gru", torch_gru).steps[0].options == {"bias": True}
    diagonal = derive.apply("add-peepholes", "lstm", form="diagonal").after
    assert path("lstm", diagonal).steps[0].options == {"form": "diagonal"}
    rectified = derive.apply("squash-reads", "prototype", activation="relu").after
    assert path("prototype", rectified).steps[0].options == {"activation": "relu"}
    assert len(path("vanilla", rectified).steps) == 5


# shortest


def shortest(start: Cell, goal: Cell, most: int) -> int | None:
    """The same by plain breadth-first search, without an estimate and without bounds."""
    for node in breadth_first(start):
        length = len(node.moves())
        if length > most:
            return None
        if derive.equivalent(node.cell, goal):
            return length
    return None


def test_shortest_like_breadth_first() -> None:
    """Every cell within two steps of some starts: the search with an estimate is as short as the plain one."""
    for start in ("vanilla", "pseudo-lstm-d23", "lstm"):
        for found in variants(start, max_steps=2):
            goal = found.cell
            assert len(path(start, goal).steps) == len(found.steps) == shortest(found.start, goal, 2)


def test_variants() -> None:
    found = list(variants("vanilla", max_steps=3))
    assert [len(d.steps) for d in found] == sorted(len(d.steps) for d in found)
    assert found[0].steps == ()
    assert [d.steps[0].rule.name for d in found[1:2]] == ["write-incrementally"]
    assert len(found) > 10
    for a, b_ in itertools.combinations([d.cell for d in found], 2):
        assert not derive.equivalent(a, b_)


def test_breadth_first_can_be_kept_within_bounds() -> None:
    within = list(breadth_first(VANILLA, lambda cell: len(cell.parameters) <= 6))
    assert 1 < len(within) < 60
    assert all(len(node.cell.parameters) <= 6 for node in within)


# out of reach


@pytest.mark.parametrize(
    ("start", "goal", "why"),
    [
        ("peephole-lstm", "lstm", r"none of the \d+ cells in reach equals it"),
        ("lstm", "gru", "no rule takes away what lstm has more of than gru: 2 states, not 1"),
        ("normalized-prototype", "lstm", "1 means, not 0"),
        ("vanilla", Cell("rectified", {s: relu(W @ s.prev + U @ x + b)}, output=s), "takes away tanh"),
        (
            "vanilla",
            Cell("unbiased", {s: tanh(W @ s.prev + U @ x)}, output=s),
            "no rule takes away|none of the",
        ),
        (
            "vanilla",
            Cell("centred", {s: tanh(W @ s.prev + U @ x + b) - mean(W @ s.prev)}, output=s),
            r"cells in reach",
        ),
        ("vanilla", Cell("leaky", {s: s.prev / 2 + tanh(W @ s.prev + U @ x + b)}, output=s), "in reach"),
    ],
)
def test_no_path(start: str, goal: Any, why: str) -> None:
    name = goal if isinstance(goal, str) else goal.name
    with pytest.raises(NoPath, match=rf"no derivation from {start} to {name}.*({why})"):
        path(start, goal)


def test_the_search_gives_up() -> None:
    with pytest.raises(NoPath, match="no derivation from vanilla to lstm among the first 3 cells in reach"):
        path("vanilla", "lstm", max_cells=3)


@pytest.mark.slow
def test_the_whole_reach_of_the_gru_has_no_lstm() -> None:
    """What was coupled stays coupled."""
    with pytest.raises(
        NoPath, match=r"no derivation from gru to lstm: none of the \d+ cells in reach equals it"
    ):
        path("gru", "lstm")


def test_unknown_cells() -> None:
    with pytest.raises(derive.UnknownCell, match="did you mean 'lstm'"):
        path("vanilla", "lstn")


# what the search relies on


def applications(cell: Cell) -> Iterator[tuple[str, Cell]]:
    for (name, _), after in prospects(cell).next:
        yield name, after


def check_work(cell: Cell) -> int:
    """Each rule does the work of one rule at most, its own, and takes away no more than it says."""
    done, have = prospects(cell).done, features(cell)
    seen = 0
    for name, after in applications(cell):
        seen += 1
        assert len(prospects(after).done - done) <= 1, (name, str(cell))
        now = features(after)
        for feature, count in have.items():
            spare = RULES[name].lowers.get(feature, 0)
            assert now[feature] >= count - spare, (name, feature, str(cell))
    return seen


def test_a_rule_does_the_work_of_one_rule_in_the_catalogue() -> None:
    assert sum(check_work(derive.cell(name)) for name in derive.catalogue()) > 60


@settings(max_examples=12)
@given(gated_cells())
def test_a_rule_does_the_work_of_one_rule_on_gated_cells(cell: Cell) -> None:
    assert check_work(cell)


@settings(max_examples=12)
@given(cells())
def test_features_only_fall_as_told_on_any_cell(cell: Cell) -> None:
    have = features(cell)
    for name, after in applications(cell):
        now = features(after)
        spare = RULES[name].lowers
        assert all(now[feature] >= count - spare.get(feature, 0) for feature, count in have.items()), name


def test_only_coupling_takes_away() -> None:
    assert {name for name in RULES if RULES[name].lowers} == {"couple-forget-to-write"}


def test_features_by_hand() -> None:
    assert features(derive.cell("lstm")) == {
        "states": 2,
        "means": 0,
        "matrices": 8,
        "diagonals": 0,
        "biases": 4,
    }
    diagonal = derive.apply("add-peepholes", "lstm", form="diagonal").after
    assert features(diagonal)["diagonals"] == 3
    assert features(derive.cell("normalized-prototype"))["means"] == 1


@settings(max_examples=12)
@given(gated_cells())
def test_a_profile_has_no_names_and_no_signs(cell: Cell) -> None:
    for seed in range(2):
        assert profile(disguise(cell, seed).cell) == profile(cell)


@pytest.mark.parametrize("name", derive.catalogue())
def test_what_is_done_does_not_depend_on_names(name: str) -> None:
    """The estimate compares what is done to a goal and on the way, so names may not matter to it."""
    cell = derive.cell(name)
    names = {old: f"v{at}" for at, old in enumerate(v.name for v in cell.equations)}
    renamed = derive.apply("rename", cell, names=names).after
    assert prospects(renamed).done == prospects(cell).done
    assert [move for move, _ in prospects(renamed).next] == [move for move, _ in prospects(cell).next]


def test_the_estimate_is_none_too_high() -> None:
    """On the way to a goal, no cell misses more of the goal's rules than there are steps left."""
    for name in ("gru", "lstm", "peephole-lstm"):
        wanted = prospects(derive.cell(name)).done
        found = path("vanilla", name)
        way = [found.start, *(step.after for step in found.steps)]
        for left, cell in zip(range(len(way) - 1, -1, -1), way, strict=True):
            assert len(wanted - prospects(cell).done) <= left


def test_few_cells_are_looked_at() -> None:
    """The estimate leads nearly straight to an LSTM: eight steps, a dozen cells."""
    wanted = derive.cell("lstm")
    for looked_at, node in enumerate(towards(VANILLA, wanted), 1):
        if profile(node.cell) == profile(wanted) and derive.equivalent(node.cell, wanted):
            break
    assert looked_at <= 30


def test_moves() -> None:
    found = [(rule.name, options) for rule, options in moves()]
    assert ("normalize-state", {"center": True}) in found
    assert not any(name == "rename" for name, _ in found)
    assert ("gate-write", {}) in found
