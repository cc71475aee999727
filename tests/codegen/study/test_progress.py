"""The count of trials and the time left."""

from __future__ import annotations

import pytest

from codegen.study.attempts import Attempt, State, standings
from codegen.study.progress import duration, view
from codegen.study.protocol import trial_key
from codegen.study.results import Epoch
from tests.codegen.study.trials import make_protocol


def epochs(count: int, seconds: float) -> tuple[Epoch, ...]:
    return tuple(Epoch(n, 0.0, 0.0, 0.0, 0.0, n * seconds) for n in range(1, count + 1))


def test_counts_and_time() -> None:
    """GRU epochs take 10 s, vanilla ones 1 s; a finished trial has 4 on average, where 6 are allowed."""
    protocol = make_protocol(training={"epochs": 6})
    keys = {(p["cell"], p["learning_rate"], p["seed"]): trial_key(p) for p in protocol.points()}
    given = [
        (("vanilla", 0.01, 0), State.FINISHED, epochs(3, 1.0)),
        (("gru", 0.01, 0), State.FINISHED, epochs(5, 10.0)),
        (("vanilla", 0.001, 0), State.DIVERGED, epochs(1, 1.0)),
        (("gru", 0.001, 0), State.RUNNING, epochs(1, 10.0)),
        (("vanilla", 0.01, 1), State.RUNNING, epochs(6, 1.0)),
        (("gru", 0.01, 1), State.WAITING, ()),
    ]
    attempts = [Attempt(n, n, keys[point], state, done) for n, (point, state, done) in enumerate(given)]
    found = view(protocol, standings(protocol, attempts), workers=1)
    assert (found.finished, found.diverged, found.failed, found.waiting) == (2, 1, 0, 3)
    assert [(options["cell"], done) for options, done in found.running] == [("gru", 1), ("vanilla", 6)]
    # Left: gru 3 epochs and twice 4 of 10 s; vanilla one (it is past the average) and 4 of 1 s; 2 workers.
    assert found.seconds_left == pytest.approx(((3 + 4 + 4) * 10 + (1 + 4) * 1) / 2)
    assert str(found) == "3 of 8 trials done, 1 diverged, 2 running, about 58 s left"


def test_no_less_than_the_longest_trial() -> None:
    protocol = make_protocol(training={"epochs": 6})
    (first, *_) = protocol.points()
    running = Attempt(0, 0, trial_key(first), State.RUNNING, epochs(1, 2.0))
    found = view(protocol, standings(protocol, [running]), workers=100)
    assert found.seconds_left == pytest.approx(6 * 2.0)


def test_nothing_known_yet() -> None:
    protocol = make_protocol()
    assert view(protocol, standings(protocol, [])).seconds_left is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(41.2, "41 s"), (720, "12 min"), (11_100, "3 h 5 min"), (187_000, "2 days 4 h")],
)
def test_duration(seconds: float, words: str) -> None:
    assert duration(seconds) == words
