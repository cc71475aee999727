"""A trial that is a training of a language model or of a memory task: what a study's workers run."""

from __future__ import annotations

import hashlib
import math
import platform
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from importlib import metadata
from typing import Any, cast

import torch

from codegen.computing import matmul_precision
from codegen.errors import Diverged
from codegen.experiment import (
    REDUCTIONS,
    Experiment,
    looked_at,
    open_corpus,
    option_defaults,
    prepare,
    train_command,
)
from codegen.prediction import predict_experiment
from codegen.study.protocol import CELL, OWN, Options, Protocol
from codegen.study.results import Epoch, Outcome
from codegen.study.worker import Assignment, Ended, Observer
from codegen.training import Corpus, EpochReport, LanguageModel, LanguageTask, StepReport, TrainingResult
from codegen.training.lockstep import LOCKSTEP_SIZE, Training, lockstep_choice, train_in_lockstep
from codegen.training.run import Measure
from codegen.training.tasks import LANGUAGE
from codegen.training.tasks.generated import GeneratedTask
from derive import Cell


class TrainingRunner:
    """Trains the points of a protocol's grid.

    Args:
        data: a folder with the three files, `embedded`, or None for what the protocol or the environment
            variable CELLWRIGHT_PTB names.
        find_cell: the cell of a name, catalogue or FILE.py.
        device: where to train.
        tf32: whether a GPU may multiply in TF32.
        choice: whether so many trials should go in lockstep on a device, and why.
    """

    def __init__(
        self,
        protocol: Protocol,
        data: str | None,
        find_cell: Callable[[str], Cell],
        device: str = "cpu",
        tf32: bool = False,
        choice: Callable[[str, int], tuple[bool, str]] = lockstep_choice,
    ) -> None:
        self.protocol, self.find_cell, self.device, self.choice = protocol, find_cell, device, choice
        self.tf32 = tf32
        self.source = data if data is not None else protocol.data.source

    @cached_property
    def corpus(self) -> Corpus | None:
        """The text, read once for all trials; None if no trial reads any."""
        tasks = self.protocol.grid.get("task", (self.protocol.training.get("task", LANGUAGE),))
        if LANGUAGE not in tasks:
            return None
        return open_corpus(self.source, **self.reduction)

    @property
    def reduction(self) -> dict[str, int]:
        """How the protocol makes the text smaller."""
        asked = {name: getattr(self.protocol.data, name) for name in REDUCTIONS}
        return {name: size for name, size in asked.items() if size is not None}

    @property
    def data_sha256(self) -> str | None:
        return None if self.corpus is None else self.corpus.checksum

    def together(self, options: Options) -> int:
        """As many as fit in one stack, where the device gains by it and the training can be batched."""
        training = option_defaults(options) | dict(self.protocol.training) | dict(options)
        alike = math.prod(len(self.protocol.grid.get(name, ("the same",))) for name in OWN)
        batched = all(training[name] == value for name, value in _BATCHED.items())
        chosen, _ = self.choice(self.device, alike)
        return min(alike, LOCKSTEP_SIZE) if chosen and batched and training["backend"] in _TORCH else 1

    def run(self, assignments: Sequence[Assignment]) -> Sequence[Ended]:
        """Train one point, or some in lockstep: see `codegen.study.worker.TrialRunner`."""
        with matmul_precision(self.tf32):
            return self._together(assignments) if len(assignments) > 1 else [self._alone(assignments[0])]

    def _together(self, assignments: Sequence[Assignment]) -> list[Ended]:
        beside = {"in_lockstep": len(assignments)}
        experiments = [self._prepare(each, {"backend": "eager"}, beside) for each in assignments]
        trainings = []
        for experiment, assignment in zip(experiments, assignments, strict=True):
            on_step, on_epoch = _told(assignment.observer)
            model, measure = cast(LanguageModel, experiment.model), self._measure(experiment)
            trainings.append(
                Training(model, experiment.config, assignment.directory, on_step, on_epoch, measure)
            )
        ended = train_in_lockstep(trainings, cast(LanguageTask, experiments[0].task))
        return [_ended(result) for result in ended]

    def _alone(self, assignment: Assignment) -> Ended:
        experiment = self._prepare(assignment, {}, {})
        on_step, on_epoch = _told(assignment.observer)
        try:
            result = experiment.train(
                assignment.directory,
                on_step=on_step,
                on_epoch=on_epoch,
                measure=self._measure(experiment),
            )
        except Diverged as error:
            return _ended(error)
        return _ended(result)

    def _prepare(
        self, assignment: Assignment, changes: Mapping[str, Any], also: Mapping[str, Any]
    ) -> Experiment:
        given = {**self.protocol.training, **assignment.options, **changes}
        name = str(given.pop(CELL))
        training = looked_at(given)
        experiment = prepare(self.find_cell(name), training, data=self.corpus, device=self.device)
        command = train_command(name, training | self.reduction)
        precision = {"tf32": True} if self.tf32 else {}
        assignment.observer.begin(
            {
                **about(experiment, self.device),
                **precision,
                **also,
                **_predicted(experiment),
                "command": command,
            }
        )
        return experiment

    def _measure(self, experiment: Experiment) -> Measure | None:
        return experiment.diagnostics() if self.protocol.diagnostics else None


# What a training must be to go in lockstep: see `train_in_lockstep`.
_BATCHED = {"task": LANGUAGE, "gradient": "blocks", "update_every": None, "constant_error": 0.0}
_TORCH = ("auto", "eager")


def _predicted(experiment: Experiment) -> dict[str, Any]:
    """What is proved of the initial weights, where it is known how far back the task reaches."""
    if not isinstance(experiment.task, GeneratedTask):
        return {}
    prediction = predict_experiment(experiment)
    return {"prediction": str(prediction), "predicts_failure": prediction.predicts_failure}


def _told(observer: Observer) -> tuple[Callable[[StepReport], None], Callable[[EpochReport], None]]:
    """An observer as trainings call it: after each step, after each epoch."""
    return lambda report: observer.step(), lambda report: observer.epoch(epoch_of(report))


def _ended(result: TrainingResult | Diverged) -> Ended:
    if isinstance(result, Diverged):
        return Ended(Outcome.DIVERGED, _epochs(result.history), str(result))
    return Ended(Outcome.FINISHED, _epochs(result.history))


def about(experiment: Experiment, device: str) -> dict[str, Any]:
    """Where a trial's numbers are from."""
    return {
        "cellwright": metadata.version("cellwright"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "backend": experiment.backend,
        "why": experiment.why,
        "device": device,
        "host": socket.gethostname(),
        "cell_sha256": _equations_sha256(experiment.cell),
        "data_sha256": experiment.data_sha256,
    }


def _equations_sha256(cell: Cell) -> str:
    """A checksum of what the cell computes; its title and its reference may be put better."""
    return hashlib.sha256(repr(cell.replace(title="", reference="")).encode()).hexdigest()


def epoch_of(report: EpochReport) -> Epoch:
    """A study's record of an epoch; the share of right answers, where there is one, among the measured."""
    correct = {} if report.valid.correct is None else {"correct": report.valid.correct}
    return Epoch(
        epoch=report.epoch,
        train=report.train.nats,
        valid=report.valid.nats,
        valid_sum=report.valid.article,
        max_state=report.max_state,
        seconds=report.seconds,
        measured={**report.measured, **correct},
    )


def _epochs(history: Iterable[Any]) -> tuple[Epoch, ...]:
    return tuple(epoch_of(report) for report in history)
