"""An experiment, ready to run: a cell, a layer and a model of it, a task, and all that decides the numbers.

`cellwright train`, the demonstration and every trial of a study are made here, so that the same options mean
the same training everywhere.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from os import PathLike
from types import MappingProxyType
from typing import Any

import torch

import derive
from codegen.building import build
from codegen.diagnostics import diagnostics, sequence_diagnostics
from codegen.errors import ConfigError
from codegen.layer import RecurrentLayer
from codegen.training import (
    Corpus,
    EpochReport,
    LanguageModel,
    LanguageTask,
    StepReport,
    TrainingConfig,
    TrainingResult,
    data_directory,
    embedded_corpus,
    load_corpus,
    reduced_corpus,
    train,
)
from codegen.training.gradients import find_method, methods
from codegen.training.model import Model
from codegen.training.run import Measure
from codegen.training.tasks import LANGUAGE, Task, find_task, tasks
from derive import Cell
from derive.errors import nearest
from derive.initialization import memory_biases

EMBEDDED = "embedded"

# What an experiment is told besides the fields of TrainingConfig.
_OTHERS: Mapping[str, Any] = {"backend": "auto", "forget_bias": 1.0, "memory": None}
_DECIDED_HERE = ("cell", "backend")
REDUCTIONS = ("train_tokens", "valid_tokens", "test_tokens", "vocabulary")
"""How a corpus is made smaller: see :func:`~codegen.training.reduced_corpus`."""


def option_defaults(options: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """Every option of `prepare` and its default: the article's value, or what suits the task in `options`."""
    own = {
        field.name: {} if field.default is MISSING else field.default
        for field in fields(TrainingConfig)
        if field.name not in _DECIDED_HERE
    }
    defaults = {**own, **_OTHERS}
    chosen = defaults | dict(options)
    if chosen["task"] == LANGUAGE:
        return defaults
    return {**defaults, **find_task(chosen["task"]).defaults(chosen["length"])}


def _readers() -> dict[str, tuple[str, tuple[str, ...]]]:
    """What only some trainings look at: the option that decides it, and for which of its values they do."""
    own = {name for method in methods().values() for name in method.reads}
    return {
        **dict.fromkeys(("data", *REDUCTIONS, "embedding_size", "update_every"), ("task", (LANGUAGE,))),
        **dict.fromkeys(("length", "epoch_steps"), ("task", tuple(tasks()))),
        "bptt": ("gradient", tuple(name for name, method in methods().items() if method.truncates)),
        **{field: ("gradient", tuple(n for n, m in methods().items() if field in m.reads)) for field in own},
    }


def unread(options: Mapping[str, Any]) -> dict[str, str]:
    """The options that are given and not looked at by their training, each with a complaint.

    Args:
        options: as for `prepare`; `REDUCTIONS` and `data` may be among them. One that is None is not given.

    Raises:
        ConfigError: no such task or gradient, or sequences too short for the task.
    """
    chosen = option_defaults(options) | dict(options)
    find_method(chosen["gradient"])  # for its complaint
    found = {}
    for name, (decider, readers) in _readers().items():
        if options.get(name) is not None and chosen[decider] not in readers:
            found[name] = (
                f"{name} is {options[name]!r}, which the {decider} {chosen[decider]!r} does not look at; "
                f"leave it out, or choose the {decider} {' or '.join(map(repr, readers))}"
            )
    return found


def looked_at(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options without those that are `unread`."""
    ignored = unread(options)
    return {name: value for name, value in options.items() if name not in ignored}


def refuse_unread(options: Mapping[str, Any]) -> None:
    """Raise a ConfigError for the first of the `unread` options."""
    for complaint in unread(options).values():
        raise ConfigError(complaint)


def configuration(cell: str, options: Mapping[str, Any]) -> TrainingConfig:
    """What options say by themselves: all of a configuration but what depends on the cell's equations.

    Those give the biases of the gates, and the backend that runs the layer.

    Raises:
        ConfigError: an unknown option, with the nearest, or a value outside its range.
    """
    defaults = option_defaults(options)
    for name in options:
        if name not in defaults:
            known = ", ".join(sorted(defaults))
            raise ConfigError(f"no training option {name!r}{nearest(name, defaults)} There are: {known}")
    chosen = defaults | dict(options)
    others = {name: chosen.pop(name) for name in _OTHERS}
    if not math.isfinite(others["forget_bias"]):
        raise ConfigError(f"forget_bias is {others['forget_bias']!r}; expected a finite number")
    memory = others["memory"]
    if memory is not None and not (math.isfinite(memory) and memory > 1):
        raise ConfigError(f"memory is {memory!r}; expected a finite number of steps above 1")
    return TrainingConfig(cell=cell, **chosen)


@dataclass(frozen=True)
class Experiment:
    """What `prepare` made.

    Attributes:
        cell: the cell as declared.
        options: as given; the rest at their defaults.
        config: what is recorded and compared on resume.
        model, task: what is trained, and on what.
        layer: the recurrent layer in the model.
    """

    cell: Cell
    options: Mapping[str, Any]
    config: TrainingConfig
    model: Model
    task: Task[Any]
    layer: RecurrentLayer

    @property
    def backend(self) -> str:
        """Which backend runs the layer."""
        return self.layer.options.backend

    @property
    def why(self) -> str:
        """Why that one."""
        return self.layer.options.why

    @property
    def data_sha256(self) -> str | None:
        """The checksum of the text; None for a generated task."""
        return self.task.identity.get("data_sha256")

    @property
    def command(self) -> str:
        """The `cellwright train` line that repeats it, but for where the data are."""
        return train_command(self.cell.name, self.options)

    def diagnostics(self) -> Measure:
        """What theory speaks of, measured after every epoch: see :mod:`codegen.diagnostics`."""
        if isinstance(self.task, LanguageTask):
            return diagnostics(self.layer.cell, self.task.valid)
        inputs, _ = next(self.task.batches(1))
        return sequence_diagnostics(self.layer.cell, inputs[:, :1])

    def train(
        self,
        run_dir: str | PathLike[str],
        *,
        on_step: Callable[[StepReport], None] | None = None,
        on_epoch: Callable[[EpochReport], None] | None = None,
        measure: Measure | None = None,
        resume: bool = True,
    ) -> TrainingResult:
        """Run it, or go on with it: see :func:`codegen.training.train`."""
        return train(
            self.model,
            self.task,
            self.config,
            run_dir,
            on_step=on_step,
            on_epoch=on_epoch,
            measure=measure,
            resume=resume,
        )


def prepare(
    cell: Cell,
    options: Mapping[str, Any],
    *,
    data: str | PathLike[str] | Corpus | None = None,
    device: str | torch.device = "cpu",
) -> Experiment:
    """Build layer, model and task.

    Args:
        options: fields of :class:`~codegen.training.TrainingConfig`, and `backend` (asked for: a name or
            `auto`), `forget_bias` (the initial bias of the forget gates, which are found in the equations),
            `memory` (steps that the gates keep a state at first; replaces `forget_bias`).
        data: a folder of the three files, `embedded`, a corpus, or None for what CELLWRIGHT_PTB names. Not
            looked at by tasks that generate their data.

    Raises:
        ConfigError: an unknown option, with the nearest, a value outside its range, or an option that the
            task or the gradient does not look at.
        DataError: no data, or too few.
    """
    config = configuration(cell.name, options)
    refuse_unread(options)
    chosen = option_defaults(options) | dict(options)
    biases = {**_gate_biases(cell, chosen["forget_bias"], chosen["memory"]), **config.biases}
    kind = None if config.task == LANGUAGE else find_task(config.task)
    size = config.embedding_size if kind is None else kind.input_size
    layer = build(cell, size, config.hidden_size, backend=chosen["backend"], device=device)
    config = replace(config, biases=biases, backend=layer.options.backend)
    task: Task[Any]
    model: Model
    if kind is None:
        corpus = open_corpus(data)
        task = LanguageTask(corpus, config, device)
        model = LanguageModel(layer, len(corpus.vocabulary), size, config.hidden_size)
    else:
        task = kind.make_task(config, torch.device(device))
        model = kind.make_model(layer, config)
    return Experiment(cell, dict(options), config, model.to(device), task, layer)


def train_command(cell: str, options: Mapping[str, Any]) -> str:
    """The `cellwright train` line of some options, `REDUCTIONS` among them; those at their defaults are left
    out, and those that are not looked at.
    """
    defaults, ignored = option_defaults(options) | dict.fromkeys(REDUCTIONS), unread(options)
    words = ["cellwright", "train", cell]
    for name, value in options.items():
        if name == "biases":
            for vector, bias in value.items():
                words += ["--bias", f"{vector}={bias}"]
        elif value != defaults[name] and name not in ignored:
            # None, where it is no default, is that of clip
            words += [f"--{name.replace('_', '-')}", "0" if value is None else str(value)]
    return shlex.join(words)


def open_corpus(data: str | PathLike[str] | Corpus | None, **reduction: int | None) -> Corpus:
    """The corpus that `data` names, as in `prepare`, made smaller by `REDUCTIONS`.

    Raises:
        DataError: there is none, or it is smaller than it is to be made.
    """
    if not isinstance(data, Corpus):
        data = embedded_corpus() if data == EMBEDDED else load_corpus(data_directory(data))
    return reduced_corpus(data, **reduction)


def _gate_biases(cell: Cell, forget_bias: float, memory: float | None) -> dict[str, float]:
    if memory is None:
        return derive.forget_biases(cell, forget_bias)
    return {name: float(value) for name, value in memory_biases(cell, memory).items()}
