"""One training step of a stack of models: as it is written, and recorded as a CUDA graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from codegen.training.lockstep.stacked import StackedModel, largest
from codegen.training.model import LanguageModel, State, detach, tensors_of

WARMUP = 3  # eager steps before a recording: libraries choose their kernels, optimizers make their moments


class Step:
    """A step of all models: one forward and one backward pass, then each model's own clipping and optimizer.

    The gradient of the sum of the losses is each model's gradient of its own loss: the others' are zero.

    Args:
        stacked: the models as one.
        models: the same models, whose weights are views of the stack's.
        optimizers: one for each; their rates may differ.
        clip: the largest norm of each model's gradient; None for no clipping.
    """

    def __init__(
        self,
        stacked: StackedModel,
        models: Sequence[LanguageModel],
        optimizers: Sequence[torch.optim.Optimizer],
        clip: float | None,
    ) -> None:
        self.stacked, self.optimizers, self.clip = stacked, list(optimizers), clip
        self.named = [dict(model.named_parameters()) for model in models]
        self.trained = [name for name, weight in stacked.weights.items() if weight.requires_grad]

    def __call__(self, inputs: Tensor, targets: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Take the step; the state is as in `StackedModel.loss`.

        Returns:
            For each model its loss and the largest absolute value of its state, shape (K, 2), and the states,
            detached.
        """
        losses, state = self.stacked.loss(inputs, targets, state)
        weights = [self.stacked.weights[name] for name in self.trained]
        gradients = torch.autograd.grad(losses.sum(), weights, allow_unused=True)
        for name, gradient in zip(self.trained, gradients, strict=True):
            # Contiguous, as the fused optimizers walk through weights and gradients side by side in memory.
            rows = [None] * self.stacked.size if gradient is None else gradient.contiguous().unbind()
            for weights_of_one, row in zip(self.named, rows, strict=True):
                weights_of_one[name].grad = row
        for weights_of_one, optimizer in zip(self.named, self.optimizers, strict=True):
            if self.clip is not None:
                nn.utils.clip_grad_norm_(weights_of_one.values(), self.clip)
            optimizer.step()
        return torch.stack((losses.detach(), largest(state)), 1), detach(state)


class GraphedStep:
    """The same step with one launch instead of thousands, by a CUDA graph.

    A graph repeats what was recorded, in the same memory: inputs are copied into fixed tensors first, and the
    states that the graph reads it overwrites at its end. Before the recording some steps are made eagerly on
    a side stream, as PyTorch's notes on CUDA graphs ask for ("whole-network capture"); they are steps of the
    training. Eager, too, is the first step of each epoch, which has no state to read.
    """

    def __init__(self, step: Step) -> None:
        self.step = step
        self.eager_steps = 0
        self.side_stream = torch.cuda.Stream()
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, inputs: Tensor, targets: Tensor, state: State | None) -> tuple[Tensor, State]:
        """As `Step`; the states returned are overwritten by the next call."""
        if state is None or self.eager_steps < WARMUP:
            return self._eagerly(inputs, targets, state)
        if self.graph is None:
            self.graph = self._recorded(inputs, targets, state)
        self.inputs.copy_(inputs)
        self.targets.copy_(targets)
        _copy(state, self.state)
        self.graph.replay()
        return self.values.clone(), self.state

    def _eagerly(self, inputs: Tensor, targets: Tensor, state: State | None) -> tuple[Tensor, State]:
        self.eager_steps += 1
        self.side_stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.side_stream):
            found = self.step(inputs, targets, state)
        torch.cuda.current_stream().wait_stream(self.side_stream)
        return found

    def _recorded(self, inputs: Tensor, targets: Tensor, state: State) -> torch.cuda.CUDAGraph:
        self.inputs, self.targets = inputs.clone(), targets.clone()
        cloned = tuple(tensor.clone() for tensor in tensors_of(state))
        self.state = cloned[0] if isinstance(state, Tensor) else cloned
        graph = torch.cuda.CUDAGraph()
        with capturable(self.step.optimizers), torch.cuda.graph(graph):
            self.values, after = self.step(self.inputs, self.targets, self.state)
            _copy(after, self.state)
        return graph


def _copy(source: State, target: State) -> None:
    for new, old in zip(tensors_of(source), tensors_of(target), strict=True):
        if new is not old:
            old.copy_(new)


@contextmanager
def capturable(optimizers: Sequence[torch.optim.Optimizer]) -> Iterator[None]:
    """Within the block the optimizers may be recorded; outside of a recording torch would warn of it."""
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    before = [group["capturable"] for group in groups]
    try:
        for group in groups:
            group["capturable"] = True
        yield
    finally:
        for group, flag in zip(groups, before, strict=True):
            group["capturable"] = flag
