"""Truncated gradients the slow and obvious way: a graph of its own for every error, one step at a time."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from codegen import build
from codegen.training.gradients import Gradient, Taken
from codegen.training.model import LanguageModel, State, detach

CELLS = ("vanilla", "lstm", "gru", "normalized-prototype", "peephole-lstm", "pseudo-lstm-d1")
VOCABULARY, INPUTS, UNITS, ROWS = 7, 3, 4, 2

Gradients = dict[str, Tensor]


def make_model(cell: str, backend: str = "eager") -> LanguageModel:
    """Of float64 weights, large enough for errors to matter some steps back; biases are not zero."""
    layer = build(cell, INPUTS, UNITS, backend=backend, dtype=torch.float64)
    model = LanguageModel(layer, VOCABULARY, INPUTS, UNITS).double()
    set_weights(model, 0)
    return model


def set_weights(model: LanguageModel, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator, dtype=torch.float64) * 0.8)


def make_text(steps: int, seed: int = 0) -> Tensor:
    """Tokens (steps + 1, rows): the last are targets alone."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(VOCABULARY, (steps + 1, ROWS), generator=generator)


def gradients_of(model: LanguageModel) -> Gradients:
    """What has been added up, which then is zero again."""
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


def windows(
    gradient: Gradient, model: LanguageModel, text: Tensor, window: int, *, moving: bool
) -> Iterator[tuple[Taken, Gradients]]:
    """What `gradient` gives on the windows of a text; if `moving`, of other weights in each."""
    carry: State | None = None
    for first in range(0, len(text) - 1, window):
        set_weights(model, first if moving else 0)
        inputs, targets = text[first : first + window], text[first + 1 : first + window + 1]
        taken = gradient(model, inputs, targets, carry)
        carry = taken.carry
        assert all(not tensor.requires_grad for tensor in ([carry] if isinstance(carry, Tensor) else carry))
        yield taken, gradients_of(model)


def windows_slowly(
    start_of: Callable[[int, int], int],
    model: LanguageModel,
    text: Tensor,
    window: int,
    *,
    moving: bool,
    rerun: bool,
) -> Iterator[tuple[Tensor, Gradients]]:
    """The loss and the gradients of each window.

    Args:
        start_of: the step to whose beginning the error of a step goes back, given the window's first step and
            that step.
        rerun: whether the states between are those of the weights of the last window that ran over them;
            otherwise they are remembered as the run that led to their step's own error gave them.
    """
    states: dict[int, State | None] = {0: None}  # before a step
    for first in range(0, len(text) - 1, window):
        set_weights(model, first if moving else 0)
        if rerun:
            for step in range(start_of(first, first), first + window):
                states[step + 1] = detach(one_step(model, text, step, states[step])[1])
        total = torch.zeros((), dtype=torch.float64)
        for step in range(first, first + window):
            start = start_of(first, step)
            state = states[start]
            for earlier in range(start, step + 1):
                output, state = one_step(model, text, earlier, state)
            assert state is not None
            if not rerun:
                states[step + 1] = detach(state)
            error = model.criterion(output, text[step + 1 : step + 2]) / window
            error.backward()
            total += error.detach()
        yield total, gradients_of(model)


def one_step(model: LanguageModel, text: Tensor, step: int, state: State | None) -> tuple[Tensor, State]:
    """The output (1, B, n) and the state after a step."""
    return model.layer(model.embedding(text[step : step + 1]), state)


def relative_error(found: Gradients, expected: Gradients) -> float:
    """The largest difference in any weight, relative to the largest gradient of its kind."""
    assert found.keys() == expected.keys()
    pairs = [(found[name] - expected[name], expected[name]) for name in expected]
    return max(
        (error.abs().max() / scale.abs().max()).item() for error, scale in pairs if error.any() or scale.any()
    )
