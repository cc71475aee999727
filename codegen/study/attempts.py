"""What the attempts at a trial amount to: pure functions, so that every machine comes to the same answer.

A trial of the grid may be begun many times: a worker is killed, an error is retried. Each beginning is an
attempt, with a number of its own in the storage. Nothing is counted twice because the counted attempt of a
trial is a function of them all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from codegen.study.places import run_name
from codegen.study.protocol import Protocol, trial_key
from codegen.study.results import Epoch, Outcome, Results, Trial


class State(StrEnum):
    """How far an attempt is."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    DIVERGED = "diverged"
    FAILED = "failed"  # an error of the trial's own
    INTERRUPTED = "interrupted"  # stopped, killed, a full disk, an error beside others: the next one goes on
    SUPERFLUOUS = "superfluous"  # never begun: another attempt at the same trial was there


_SETTLED = {State.FINISHED: Outcome.FINISHED, State.DIVERGED: Outcome.DIVERGED}
_OPEN = (State.WAITING, State.RUNNING)


@dataclass(frozen=True)
class Attempt:
    """One attempt, as the storage has it.

    Attributes:
        number: in the study, from 0 in the order of their making.
        trial_id: what Optuna's storage knows it by.
        key: of the trial it is an attempt at: see `trial_key`.
        state: how far it is.
        epochs: those finished so far, earlier attempts' included where their checkpoint was taken up.
        message: why it failed, diverged or was interrupted.
        owner: the place where it runs or ran: see `places`.
        about: where the numbers are from: see `Trial`.
        again: whether it was made to give a failed trial another chance.
    """

    number: int
    trial_id: int
    key: str
    state: State
    epochs: tuple[Epoch, ...] = ()
    message: str = ""
    owner: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    again: bool = False


@dataclass(frozen=True)
class Standing:
    """What the attempts at one trial amount to.

    Attributes:
        outcome: of the trial.
        counted: the attempt that says so, or the latest of an unfinished trial; None if there is none.
        open: those that wait or run, the one to go on with first.
        begun: how many there were, those that wait and those that were never begun left out.
    """

    outcome: Outcome
    counted: Attempt | None
    open: tuple[Attempt, ...]
    begun: int


def standing(attempts: Sequence[Attempt], retries: int) -> Standing:
    """Of the attempts at one trial.

    The lowest-numbered one that came to a result counts: were there two, trained by a worker that had been
    given up for dead and by its successor, they would be equal anyway. A trial has failed after
    `retries` + 1 errors, counted from the last time that it was given another chance.
    """
    attempts = sorted(attempts, key=lambda attempt: attempt.number)
    open_ = sorted(
        (attempt for attempt in attempts if attempt.state in _OPEN),
        key=lambda attempt: (attempt.state != State.RUNNING, attempt.number),
    )
    begun = sum(attempt.state not in (State.WAITING, State.SUPERFLUOUS) for attempt in attempts)
    for attempt in attempts:
        if attempt.state in _SETTLED:
            return Standing(_SETTLED[attempt.state], attempt, tuple(open_), begun)
    chance = max((position for position, attempt in enumerate(attempts) if attempt.again), default=0)
    errors = [attempt for attempt in attempts[chance:] if attempt.state == State.FAILED]
    if len(errors) > retries:
        return Standing(Outcome.FAILED, errors[-1], tuple(open_), begun)
    latest = open_[0] if open_ else attempts[-1] if attempts else None
    return Standing(Outcome.UNFINISHED, latest, tuple(open_), begun)


def standings(protocol: Protocol, attempts: Iterable[Attempt]) -> dict[str, Standing]:
    """By key, in the grid's order; attempts at what is not in the grid are left out."""
    by_key: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        by_key[attempt.key].append(attempt)
    keys = [trial_key(point) for point in protocol.points()]
    return {key: standing(by_key[key], protocol.retries) for key in keys}


def results(protocol: Protocol, found: Mapping[str, Standing]) -> Results:
    """The records that the report is made of."""

    def trial(options: dict[str, Any]) -> Trial:
        one = found[trial_key(options)]
        attempt = one.counted
        if attempt is None:
            return Trial(options, one.outcome)
        return Trial(
            options=options,
            outcome=one.outcome,
            epochs=attempt.epochs,
            number=attempt.number,
            attempts=one.begun,
            message="" if one.outcome == Outcome.FINISHED else attempt.message,
            run_directory=run_name(options),
            about=attempt.about,
        )

    return Results(protocol, tuple(trial(options) for options in protocol.points()))
