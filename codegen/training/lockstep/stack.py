"""Members at the same step of the same epoch, trained as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from codegen.training.lockstep.member import Member
from codegen.training.lockstep.stacked import StackedModel, evaluate, join, split
from codegen.training.lockstep.step import GraphedStep, Step
from codegen.training.tasks.language import LanguageTask


class Stack:
    """A batched model of several members, between two steps of their trainings.

    Args:
        members: all at the same position; their models' weights become views of the stack's.
        task: what they learn.
        interrupted: whether to save and stop.
    """

    def __init__(
        self, members: Sequence[Member], task: LanguageTask, interrupted: Callable[[], bool]
    ) -> None:
        self.members, self.task, self.interrupted = list(members), task, interrupted
        self.config = members[0].config
        models = [member.model for member in members]
        self.stacked = StackedModel(models)
        step = Step(self.stacked, models, [member.optimizer for member in members], self.config.clip)
        self.step = GraphedStep(step) if models[0].device.type == "cuda" else step
        carries = [member.carry for member in members if member.carry is not None]  # all, or none yet
        self.carry = join(carries) if carries else None
        for member in self.members:
            member.join(len(members))

    def train(self, until: tuple[int, int] | None) -> None:
        """Train to the end of the epoch, or to the position `until`, or until a member diverges."""
        epoch, first = self.members[0].position
        for step, (inputs, targets) in enumerate(self.task.batches(epoch, first), first + 1):
            values, self.carry = self.step(inputs, targets, self.carry)
            for member, its_values, its_carry in zip(
                self.members, values.unbind(), split(self.carry), strict=True
            ):
                with member.noting_divergence():
                    member.take(its_values, its_carry)
            if step % self.config.checkpoint_every == 0:
                self._save()
            self._answer_interrupt()
            if (epoch, step) == until or not self._all_active():
                break
        self._each(Member.drain)
        if self.members[0].progress.step == self.task.steps and self._all_active():
            self._close()

    def _close(self) -> None:
        """The end of an epoch."""
        shape = self.config.batch_size, self.config.bptt
        losses = evaluate(self.stacked, self.task.valid, *shape, on_batch=self._answer_interrupt)
        self.carry = None
        for member, valid in zip(self.members, losses, strict=True):
            with member.noting_divergence():
                member.close(valid)
        self._lap()

    def _save(self) -> None:
        self._each(Member.save)
        self._lap()

    def _lap(self) -> None:
        """What was done for one of them after the other is not the time of any one's training steps."""
        for member in self.members:
            member.lap()

    def _each(self, act: Callable[[Member], None]) -> None:
        for member in self.members:
            if member.active:
                with member.noting_divergence():
                    act(member)

    def _all_active(self) -> bool:
        return all(member.active for member in self.members)

    def _answer_interrupt(self) -> None:
        if self.interrupted():
            self._save()
            raise KeyboardInterrupt
