"""Search finds every published cell, by shortest derivations, and says when there is none."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import derive
from derive import Activation, Cell, NoPath, State, Vector
from derive.search import breadth_first, features, moves, prospects
from tests.strategies import gated_cells

STEPS = {
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


@pytest.mark.parametrize("name", derive.catalogue())
def test_every_published_cell_is_found_from_vanilla(name: str) -> None:
    found = derive.path("vanilla", name)
    assert found.start == derive.cell("vanilla")
    assert derive.equivalent(found.cell, name)
    assert len(found.steps) == STEPS[name]


def test_derivations_are_shortest() -> None:
    """Plain breadth-first search, which knows no estimate, meets the same cells at the same depth."""
    depth = {}
    for node in breadth_first(derive.cell("vanilla")):
        if len(node.moves()) > 2:
            break
        depth[node.cell] = len(node.moves())
    assert len(depth) > 5
    for cell, steps in depth.items():
        assert len(derive.path("vanilla", cell).steps) == steps


def test_a_goal_under_other_names_is_found() -> None:
    goal = derive.apply("rename", "gru", names={"s": "state", "r": "reset", "z": "update"}).after
    assert [step.rule.name for step in derive.path("prototype", goal).steps] == ["couple-forget-to-write"]


def test_an_option_that_only_the_goal_has_is_tried() -> None:
    goal = derive.apply("squash-reads", "prototype", activation="softsign").after
    (step,) = derive.path("prototype", goal).steps
    assert step.options == {"activation": "softsign"}


def test_variants_are_distinct_and_ordered() -> None:
    found = list(derive.variants("vanilla", max_steps=3))
    lengths = [len(d.steps) for d in found]
    assert lengths == sorted(lengths)
    assert lengths[0] == 0
    assert max(lengths) == 3
    assert not any(derive.equivalent(a.cell, b.cell) for i, a in enumerate(found[:12]) for b in found[:i])


@pytest.mark.parametrize(
    ("start", "goal", "message"),
    [
        ("gru", "vanilla", "no rule takes away what gru has more of than vanilla: 6 matrices, not 2"),
        ("normalized-prototype", "gru", "means"),
        ("vanilla", derive.cell("gru").with_activations({"s_tilde": "relu"}), "no rule takes away tanh"),
    ],
)
def test_no_path_says_why(start: str, goal: str | Cell, message: str) -> None:
    with pytest.raises(NoPath, match=message):
        derive.path(start, goal)


def test_the_search_gives_up_after_the_cells_it_may_look_at() -> None:
    with pytest.raises(NoPath, match="among the first 5 cells in reach"):
        derive.path("gru", "lstm", max_cells=5)


def test_a_goal_that_the_rules_do_not_reach() -> None:
    s, v = State("s"), Vector("v")
    W = derive.Parameter("W", "n", "n")
    goal = Cell("twice", {v: derive.tanh(W @ s.prev), s: derive.tanh(W @ v)}, output=s)
    start = Cell("once", {s: derive.tanh(W @ s.prev)}, output=s)
    with pytest.raises(NoPath):
        derive.path(start, goal)


@given(gated_cells())
@settings(max_examples=15)
def test_features_only_rise_but_for_what_a_rule_says_it_lowers(cell: Cell) -> None:
    before = features(cell)
    for (name, _), after in prospects(cell).next:
        lowers = derive.RULES[name].lowers
        for feature, count in features(after).items():
            assert count >= before[feature] - lowers.get(feature, 0), (name, feature)


@pytest.mark.parametrize("name", derive.catalogue())
def test_a_rule_does_the_work_of_one_rule(name: str) -> None:
    """What makes the estimate of the search no overestimate."""
    before = prospects(derive.cell(name))
    for (rule, _), after in before.next:
        assert len(prospects(after).done - before.done) <= 1, rule


@given(st.sampled_from(["softsign", "relu"]))
def test_moves_try_given_activations(kind: str) -> None:
    plain, more = moves(), moves({kind, "tanh"})
    assert more[: len(plain)] == plain
    assert [options for _, options in more[len(plain) :]] == [{"activation": kind}]
    assert Activation(kind).name == kind
