"""What attempts amount to: one result a trial, whatever came before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from codegen.study.attempts import Attempt, State, results, standing, standings
from codegen.study.protocol import trial_key
from codegen.study.results import Outcome
from tests.codegen.study.trials import make_epochs, make_protocol


def attempts(*states: State, again: tuple[int, ...] = ()) -> list[Attempt]:
    return [Attempt(n, 10 + n, "k", state, again=n in again) for n, state in enumerate(states)]


W, R, OK, NO, BAD, CUT, SPARE = State  # in the order of their declaration


def test_nothing_yet() -> None:
    found = standing([], 2)
    assert (found.outcome, found.counted, found.open, found.begun) == (Outcome.UNFINISHED, None, (), 0)


def test_the_first_result_counts_once() -> None:
    found = standing(attempts(CUT, OK, OK, W), 2)
    assert found.outcome == Outcome.FINISHED
    assert found.counted is not None
    assert found.counted.number == 1
    assert [attempt.number for attempt in found.open] == [3]
    assert found.begun == 3


def test_divergence_is_a_result_and_interruption_is_none() -> None:
    assert standing(attempts(BAD, NO), 2).outcome == Outcome.DIVERGED
    assert standing(attempts(*[CUT] * 50), 2).outcome == Outcome.UNFINISHED


def test_failed_after_all_retries_until_given_another_chance() -> None:
    assert standing(attempts(BAD, CUT, BAD), 2).outcome == Outcome.UNFINISHED
    failed = standing(attempts(BAD, CUT, BAD, BAD), 2)
    assert failed.outcome == Outcome.FAILED
    assert failed.counted is not None
    assert failed.counted.number == 3
    assert standing(attempts(BAD, BAD, BAD, W, again=(3,)), 2).outcome == Outcome.UNFINISHED
    assert standing(attempts(BAD, BAD, BAD, BAD, BAD, BAD, again=(3,)), 2).outcome == Outcome.FAILED


def test_what_runs_is_gone_on_with() -> None:
    found = standing(attempts(CUT, W, W, R, SPARE), 2)
    assert [attempt.number for attempt in found.open] == [3, 1, 2]
    assert found.begun == 2


@given(st.lists(st.sampled_from(State), max_size=8), st.integers(0, 3), st.randoms())
def test_the_order_of_reading_is_nothing(states: list[State], retries: int, dice: object) -> None:
    given_ = attempts(*states)
    shuffled = list(given_)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    assert standing(shuffled, retries) == standing(given_, retries)
    finished = [attempt for attempt in given_ if attempt.state in (OK, NO)]
    if finished:
        assert standing(given_, retries).counted == finished[0]


def test_results_are_the_grid() -> None:
    protocol = make_protocol()
    points = list(protocol.points())
    epochs = make_epochs(points[1])
    found = standings(
        protocol,
        [
            Attempt(0, 0, trial_key(points[1]), OK, epochs, about={"host": "x"}),
            Attempt(1, 1, "of no point", OK),
            Attempt(2, 2, trial_key(points[2]), BAD, message="oh"),
        ],
    )
    trials = results(protocol, found).trials
    assert [trial.options for trial in trials] == points
    assert [trial.outcome for trial in trials[:3]] == ["unfinished", "finished", "unfinished"]
    assert (trials[1].epochs, trials[1].number, trials[1].about) == (epochs, 0, {"host": "x"})
    assert trials[2].message == "oh"
