"""Train many models of one cell side by side, with the numbers that each would have had alone.

Seeds and learning rates differ, all else is the same: the models read the same batches in the same order, so
that each product of a step is one batched product for all of them, and on a GPU the whole step is one CUDA
graph. Every member keeps the run directory of a single run and can be finished by `train`, and a run begun
there can be taken up here. Sums are taken in another order, no more: the numbers agree to rounding (unless
torch is told to multiply in TF32, which rounds to 10 bits).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from os import PathLike
from pathlib import Path

from codegen.errors import ConfigError, Diverged
from codegen.training.config import TrainingConfig
from codegen.training.interrupt import deferred_interrupt
from codegen.training.lockstep.member import Member
from codegen.training.lockstep.stack import Stack
from codegen.training.log import EpochReport, StepReport
from codegen.training.loop import TrainingResult
from codegen.training.model import LanguageModel
from codegen.training.run import BEST, Measure
from codegen.training.tasks.language import LanguageTask

OWN = ("seed", "learning_rate")
"""The options in which members may differ; those of `codegen.study.protocol`, which does not import torch."""


@dataclass(frozen=True)
class Training:
    """What `train` would be given for one of the trainings.

    The model's layer should be written in torch's operations (`backend="eager"`), which can be batched.
    """

    model: LanguageModel
    config: TrainingConfig
    run_dir: str | PathLike[str]
    on_step: Callable[[StepReport], None] = lambda report: None
    on_epoch: Callable[[EpochReport], None] = lambda report: None
    measure: Measure | None = None


def train_in_lockstep(
    trainings: Sequence[Training], task: LanguageTask, *, resume: bool = True
) -> list[TrainingResult | Diverged]:
    """Train all of them, or go on from the checkpoints in their directories; the results in their order.

    As `train` for each, but one that diverges does not raise: it leaves the others, and its error stands in
    the place of its result. Where checkpoints are at different steps, as after a kill between two of them,
    those behind go first, and all go on together once they have caught up.

    Args:
        task: what they learn, on the models' device.

    Raises:
        ConfigError: the configurations differ in more than `OWN`, or want other gradients than by
            backpropagation through blocks, one an update.
        TrainingError: the sizes of a model, the task and the configuration differ.
        CheckpointError: a checkpoint is damaged or belongs to another run.
        KeyboardInterrupt: on Ctrl-C, once all checkpoints are written.
        OSError: a run directory cannot be written.
    """
    _check_alike([training.config for training in trainings])
    for training in trainings:
        task.check(training.model)
        Path(training.run_dir).mkdir(parents=True, exist_ok=True)
    with deferred_interrupt() as interrupted:
        members = [
            Member(
                training.model,
                task,
                training.config,
                Path(training.run_dir),
                interrupted=interrupted,
                on_step=training.on_step,
                on_epoch=training.on_epoch,
                measure=training.measure,
            )
            for training in trainings
        ]
        with ExitStack() as logs:
            for member in members:
                logs.enter_context(member.open_log(resume=resume))
            _train(members, task, interrupted)
    return [_result(member) for member in members]


def _train(members: Sequence[Member], task: LanguageTask, interrupted: Callable[[], bool]) -> None:
    stack: Stack | None = None
    while active := [member for member in members if member.active]:
        position = min(member.position for member in active)
        together = [member for member in active if member.position == position]
        ahead = [member.position for member in active if member.position > position]
        if stack is None or stack.members != together:
            stack = Stack(together, task, interrupted)
        stack.train(until=min(ahead, default=None))
        for member in stack.members:
            if not member.active:
                member.leave()


def _result(member: Member) -> TrainingResult | Diverged:
    if member.diverged is not None:
        return member.diverged
    history = tuple(member.progress.history)
    best = min(history, key=lambda report: report.valid.article)
    return TrainingResult(history, best, member.directory, member.directory / BEST, member.progress.seconds)


def _check_alike(configs: Sequence[TrainingConfig]) -> None:
    for config in configs[1:]:
        for field in fields(config):
            found, expected = getattr(config, field.name), getattr(configs[0], field.name)
            if field.name not in OWN and found != expected:
                raise ConfigError(
                    f"{field.name} is {found!r} in one configuration and {expected!r} in another; in "
                    f"lockstep only {' and '.join(OWN)} may differ: train the others apart"
                )
