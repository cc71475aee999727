"""How Optuna's storage holds a study: its parameters, and an attempt as an Optuna trial."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codegen.study.attempts import Attempt, State
from codegen.study.protocol import Protocol
from codegen.study.results import Epoch

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

DIED = "its worker died or gave no sign of life"


def distributions(protocol: Protocol) -> dict[str, BaseDistribution]:
    """The numbers of the grid as Optuna's parameters.

    Texts are attributes instead: Optuna fixes the choices of a text parameter for a study's whole life, and a
    grid may grow.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, BaseDistribution] = {}
    for name, values in protocol.grid.items():
        numbers: list[Any] = [value for value in values if not isinstance(value, str)]
        if len(numbers) < len(values):
            continue
        if isinstance(numbers[0], bool):
            found[name] = CategoricalDistribution([False, True])
        elif isinstance(numbers[0], int):
            found[name] = IntDistribution(min(numbers), max(numbers))
        else:
            found[name] = FloatDistribution(min(numbers), max(numbers))
    return found


def attempt_of(trial: FrozenTrial) -> Attempt:
    """The attempt that an Optuna trial holds.

    Optuna itself fails trials that gave no sign of life, and says no more about it.
    """
    attributes = trial.user_attrs
    state = _STATES.get(trial.state.name, State.INTERRUPTED)
    if state == State.INTERRUPTED and "ended" in attributes:
        state = State(attributes["ended"])
    return Attempt(
        number=trial.number,
        trial_id=trial._trial_id,
        key=attributes["key"],
        state=state,
        epochs=tuple(Epoch(**epoch) for epoch in attributes["epochs"]),
        message=attributes.get("message", DIED if state == State.INTERRUPTED else ""),
        owner=attributes.get("owner", ""),
        about=attributes.get("about", {}),
        again=attributes["again"],
    )


_STATES = {
    "WAITING": State.WAITING,
    "RUNNING": State.RUNNING,
    "COMPLETE": State.FINISHED,
    "PRUNED": State.DIVERGED,
}
