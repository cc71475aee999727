"""The book of a study: which trials there are, who has which, and what came of them.

It is kept in Optuna's storage, so that its tools show it: an attempt at a trial of the grid is a trial of
Optuna's. What makes it safe:

* To look what is to do, to make attempts for it and to take one is done under one lock.
* A taken attempt has a sign of life before it is RUNNING: Optuna never calls silent one that had none.
* Who shares our locks is dead when its lock is free, and not before. Others are dead when they were silent
  for the grace while the storage answered us: an outage, or a suspend, silences the living as well.
* An attempt ends once (Optuna refuses a second end), and which attempt counts is a function of all of them.
* Whatever is written down last (COMPLETE, after the numbers) makes it valid; before that it is done again,
  from the checkpoint, with the same numbers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from codegen.errors import ConfigError, DataError
from codegen.study.attempts import Attempt, Standing, State, results, standings
from codegen.study.places import RunLock, place, run_name
from codegen.study.protocol import CELL, Options, Protocol, differences, may_go_beside, trial_key
from codegen.study.records import DIED, attempt_of, distributions
from codegen.study.results import Epoch, Outcome, Results
from codegen.study.storage import Storage


class CellChanged(ConfigError):
    """A cell's equations are not those that the study was begun with: nobody can go on with it so."""


@dataclass(frozen=True)
class Claim:
    """An attempt that is ours, and the lock on its folder.

    Attributes:
        trial_id, number: of the attempt.
        options: of the trial.
        lock: on the run directory.
        epochs: finished by earlier attempts.
    """

    trial_id: int
    number: int
    options: Options
    lock: RunLock
    epochs: tuple[Epoch, ...]


class Ledger:
    """A study's book in an open storage.

    Args:
        directory: of the study on this machine; the run directories are in it.

    Raises:
        ConfigError: the storage has a study of this name that is another one.
        StorageError: the storage refuses.
    """

    def __init__(self, storage: Storage, protocol: Protocol, directory: Path) -> None:
        self.storage, self.protocol, self.directory = storage, protocol, directory
        directory.mkdir(parents=True, exist_ok=True)
        self.place = place(directory)
        self._points = {trial_key(point): point for point in protocol.points()}
        storage.persistently(self._open)

    def _open(self) -> None:
        import optuna

        with self.storage.exclusive(self.protocol.name):
            self._study = optuna.create_study(
                storage=self.storage.optuna, study_name=self.protocol.name, load_if_exists=True
            )
            self._id = self.storage.optuna.get_study_id_from_name(self.protocol.name)
            known = self._study.user_attrs.get("protocol")
            if known is not None:
                differing = differences(Protocol.from_dict(known), self.protocol)
                if differing:
                    raise ConfigError(
                        f"{self.storage} has another study {self.protocol.name!r}: {'; '.join(differing)}. "
                        "A study can be given more values in its grid, and nothing else that changes its "
                        "numbers: put it back, or give this one another name"
                    )
            if known != self.protocol.as_dict():
                self._study.set_user_attr("protocol", self.protocol.as_dict())

    def require_data(self, sha256: str | None) -> None:
        """Let all machines train on the same text.

        Raises:
            DataError: the study was begun with another one.
        """
        if sha256 is None:
            return
        known = self._first("data_sha256", sha256)
        if known != sha256:
            raise DataError(
                f"the data here (SHA-256 {sha256[:12]}…) are not those that the study {self.protocol.name!r} "
                f"was begun with ({known[:12]}…): give the same files, or the study another name"
            )

    def _require_cell(self, name: str, sha256: str) -> None:
        known = self._first(f"cell_sha256 {name}", sha256)
        if known != sha256:
            raise CellChanged(
                f"the study {self.protocol.name!r} was begun with other equations of the cell {name!r} "
                f"(SHA-256 {known[:12]}…) than are given now ({sha256[:12]}…), and its numbers are theirs: "
                "put them back, or give the study another name"
            )

    def _first(self, attribute: str, value: str) -> str:
        """What was written first under a name of the study, by whatever machine: `value`, if nothing was."""

        def write() -> str:
            with self.storage.exclusive(self.protocol.name):
                known: str | None = self._study.user_attrs.get(attribute)
                if known is None:
                    self._study.set_user_attr(attribute, value)
                return known or value

        return self.storage.persistently(write)

    def attempts(self) -> list[Attempt]:
        """All of the study's, by number."""
        return [
            attempt_of(trial)
            for trial in self.storage.optuna.get_all_trials(self._id, deepcopy=False)
            if "key" in trial.user_attrs
        ]

    def standings(self) -> dict[str, Standing]:
        """Where every trial of the grid stands; nothing is changed."""
        return self.storage.persistently(self.look)

    def look(self) -> dict[str, Standing]:
        """The same, from a storage that answers at once."""
        return standings(self.protocol, self.attempts())

    def results(self) -> Results:
        """The records that the report is made of, of trials that have none of their epochs yet as well."""
        return results(self.protocol, self.standings())

    def complete(self) -> bool:
        """Whether no trial is left that could still come to a result."""
        return all(one.outcome != Outcome.UNFINISHED for one in self.standings().values())

    def claim(self, beside: Options | None = None) -> Claim | None:
        """Take the next trial that waits for somebody; None if there is none at the moment.

        Trials whose workers are dead are put back first.

        Args:
            beside: only a trial that differs from these options in nothing but seed and learning rate.
        """
        return self.storage.persistently(partial(self._claim, beside))

    def _claim(self, beside: Options | None) -> Claim | None:
        claim = None
        try:
            with self.storage.exclusive(self.protocol.name):
                self._give_up_the_dead()
                claim = self._take_next(beside)
        except BaseException:
            if claim is not None:  # the server went as we left; with its lock free, it is put back
                claim.lock.release()
            raise
        return claim

    def _take_next(self, beside: Options | None) -> Claim | None:
        found = self.look()
        if self._make_attempts(found):
            found = self.look()
        for key, one in found.items():
            options = self._points[key]
            if beside is not None and not may_go_beside(options, beside):
                continue
            if one.outcome == Outcome.UNFINISHED and one.open and one.open[0].state == State.WAITING:
                claim = self._take(one.open[0], options)
                if claim is not None:
                    return claim
        return None

    def _take(self, attempt: Attempt, options: Options) -> Claim | None:
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        lock = RunLock.take(self.directory / run_name(options))
        if lock is None:  # somebody that was given up for dead is still at it
            return None
        storage, trial_id = self.storage.optuna, attempt.trial_id
        try:
            storage.record_heartbeat(trial_id)
            storage.set_trial_user_attr(trial_id, "owner", self.place)
            if storage.set_trial_state_values(trial_id, TrialState.RUNNING):
                return Claim(trial_id, attempt.number, options, lock, attempt.epochs)
        except UpdateFinishedTrialError:
            pass  # the server took the lock from us, and somebody else was faster
        except BaseException:
            lock.release()
            raise
        lock.release()
        return None

    def _give_up_the_dead(self) -> None:
        """End the attempts whose workers died: seen by their lock on this machine, by silence elsewhere."""
        silent = self.storage.silent_trials(self._id)
        for attempt in self.attempts():
            if attempt.state != State.RUNNING:
                continue
            if attempt.owner != self.place:
                if attempt.trial_id in silent:
                    self._end(attempt.trial_id, State.INTERRUPTED, DIED)
            elif attempt.key in self._points:
                lock = RunLock.take(self.directory / run_name(self._points[attempt.key]))
                if lock is not None:
                    try:
                        self._end(attempt.trial_id, State.INTERRUPTED, DIED)
                    finally:
                        lock.release()

    def _make_attempts(self, found: Mapping[str, Standing]) -> bool:
        """See to it that an unfinished trial has one attempt that waits or runs; whether any was missing."""
        missing = [key for key, one in found.items() if one.outcome == Outcome.UNFINISHED and not one.open]
        for key in missing:
            self._make(key, found[key].counted)
        for one in found.values():
            keep = 1 if one.outcome == Outcome.UNFINISHED else 0
            for attempt in one.open[keep:]:
                if attempt.state == State.WAITING:
                    self._end(attempt.trial_id, State.SUPERFLUOUS, "another attempt was there")
        return bool(missing)

    def _make(self, key: str, before: Attempt | None, *, again: bool = False) -> None:
        import optuna

        options = self._points[key]
        numeric = distributions(self.protocol)
        template = optuna.trial.create_trial(
            state=optuna.trial.TrialState.WAITING,
            params={name: options[name] for name in numeric},
            distributions=numeric,
            user_attrs={
                **{name: value for name, value in options.items() if name not in numeric},
                "key": key,
                "epochs": [] if before is None else [asdict(epoch) for epoch in before.epochs],
                "again": again,
            },
        )
        self.storage.optuna.create_new_trial(self._id, template)

    def retry_failed(self) -> int:
        """Give every failed trial another chance; how many there were."""

        def make() -> int:
            with self.storage.exclusive(self.protocol.name):
                found = self.look()
                failed = [key for key, one in found.items() if one.outcome == Outcome.FAILED]
                for key in failed:
                    self._make(key, found[key].counted, again=True)
                return len(failed)

        return self.storage.persistently(make)

    def begin(self, claim: Claim, about: Mapping[str, Any]) -> None:
        """Write down where the numbers will be from.

        Raises:
            CellChanged: the study was begun with other equations of the cell.
        """
        if (sha256 := about.get("cell_sha256")) is not None:
            self._require_cell(str(claim.options[CELL]), sha256)
        self._write(lambda: self.storage.optuna.set_trial_user_attr(claim.trial_id, "about", dict(about)))

    def epochs(self, claim: Claim, epochs: tuple[Epoch, ...]) -> None:
        """Write down the epochs so far; the last one is new."""
        storage, last = self.storage.optuna, epochs[-1]

        def write() -> None:
            storage.set_trial_user_attr(claim.trial_id, "epochs", [asdict(epoch) for epoch in epochs])
            storage.set_trial_intermediate_value(claim.trial_id, last.epoch, last.valid_sum)

        self._write(write)

    def end(self, claim: Claim, state: State, message: str = "", epochs: tuple[Epoch, ...] = ()) -> None:
        """Write down what came of it, with all its epochs if it came to a result.

        Without effect if the attempt was given up for dead in the meantime.
        """

        def write() -> None:
            if epochs:
                records = [asdict(epoch) for epoch in epochs]
                self.storage.optuna.set_trial_user_attr(claim.trial_id, "epochs", records)
            values = [min(epoch.valid_sum for epoch in epochs)] if state == State.FINISHED else None
            self._end(claim.trial_id, state, message, values)

        self._write(write)

    def interrupt(self, claim: Claim, message: str) -> None:
        """Write down that it stopped, if the storage takes it at once; if not, its lock will tell."""
        self.storage.attempt(lambda: self._end(claim.trial_id, State.INTERRUPTED, message))

    def beat(self, claim: Claim) -> bool:
        """A sign of life; whether the attempt is still ours, as far as known.

        One that the storage misses is made up for by the next.
        """
        storage, mine = self.storage.optuna, True

        def beat() -> None:
            nonlocal mine
            storage.record_heartbeat(claim.trial_id)
            mine = not storage.get_trial(claim.trial_id).state.is_finished()

        self.storage.attempt(beat)
        return mine

    def _write(self, action: Callable[[], None]) -> None:
        from optuna.exceptions import UpdateFinishedTrialError

        def write() -> None:
            # Given up for dead in the meantime; or written just before the connection broke.
            with contextlib.suppress(UpdateFinishedTrialError):
                action()

        self.storage.persistently(write)

    def _end(self, trial_id: int, state: State, message: str, values: list[float] | None = None) -> None:
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        ends = {State.FINISHED: TrialState.COMPLETE, State.DIVERGED: TrialState.PRUNED}
        storage = self.storage.optuna
        with contextlib.suppress(UpdateFinishedTrialError):  # somebody else ended it; once is enough
            if state not in ends:
                storage.set_trial_user_attr(trial_id, "ended", state.value)
            storage.set_trial_user_attr(trial_id, "message", message)
            storage.set_trial_state_values(trial_id, ends.get(state, TrialState.FAIL), values)
