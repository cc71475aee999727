"""The regularizer against Jacobians that are written out, step by step and row by row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.func import jacrev

import codegen
from codegen.errors import ConfigError
from codegen.training.gradients import Gradient, find_method
from codegen.training.gradients.blocks import Blocks
from codegen.training.gradients.constant_error import ErrorFlow
from codegen.training.gradients.exact import Exact
from codegen.training.model import LanguageModel, State, detach, tensors_of
from tests.codegen.training.gradients.resume import assert_resumes
from tests.codegen.training.gradients.slow import (
    CELLS,
    ROWS,
    Gradients,
    gradients_of,
    make_model,
    make_text,
    one_step,
    relative_error,
    windows,
)
from tests.codegen.training.standin import StandIn, make_config

TEXT = make_text(12)
WEIGHT = 3.0


@dataclass(frozen=True)
class Chain:
    """Steps through which errors go back: from the last of `steps` to the first; `asked` have errors."""

    steps: range
    asked: range


def step_of_a_row(model: LanguageModel, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """The output (n,) and the states (N,) after a step, of inputs (m,) and states (N,) side by side."""
    sizes = [model.decoder.in_features] * len(model.layer.cell.states)  # type: ignore[attr-defined]
    parts = tuple(part[None, None] for part in state.split(sizes))
    output, after = model.layer(x[None, None], parts if len(parts) > 1 else parts[0])
    return output[0, 0], torch.cat([tensor[0, 0] for tensor in tensors_of(after)])


def side_by_side(state: State, row: int) -> Tensor:
    return torch.cat([tensor[0, row] for tensor in tensors_of(state)]).detach()


def terms(model: LanguageModel, states: Sequence[State | None], chain: Chain, row: int) -> list[Tensor]:
    """(‖δ J‖ / ‖δ‖ − 1)² of every step of a chain that has a state before it; from the last to the first.

    `states[t]` is that before step t.
    """
    cell = model.layer.cell  # type: ignore[attr-defined]
    found, returning = [], torch.zeros(len(cell.states) * model.decoder.in_features, dtype=torch.float64)
    for step in reversed(chain.steps):
        before = states[step]
        if before is None:
            continue
        x, state = model.embedding(TEXT[step, row]).detach(), side_by_side(before, row)

        def output_of(state: Tensor, x: Tensor = x) -> Tensor:
            return step_of_a_row(model, x, state)[0]

        def state_of(state: Tensor, x: Tensor = x) -> Tensor:
            return step_of_a_row(model, x, state)[1]

        output = output_of(state).detach().requires_grad_()
        loss = model.criterion(output[None, None], TEXT[step + 1, row][None, None])
        (error,) = torch.autograd.grad(loss, output) if step in chain.asked else (torch.zeros_like(output),)
        delta = returning.clone()
        if cell.output in cell.states:
            first = cell.states.index(cell.output) * len(error)
            delta[first : first + len(error)] += error
        jacobian = jacrev(state_of)(state)
        if delta.any():
            found.append(((delta @ jacobian).norm() / delta.norm() - 1) ** 2)
        else:
            found.append(torch.zeros((), dtype=torch.float64))
        returning = (delta @ jacobian).detach()
        if cell.output not in cell.states:
            returning = returning + error @ jacrev(output_of)(state).detach()
    return found


def states_of(model: LanguageModel) -> list[State | None]:
    """Before each step of the text."""
    states: list[State | None] = [None]
    for step in range(len(TEXT) - 1):
        states.append(detach(one_step(model, TEXT, step, states[-1])[1]))
    return states


METHODS: dict[str, tuple[Callable[[float], Gradient], Callable[[int], list[Chain]]]] = {
    "one block": (
        lambda weight: Blocks(4, weight),
        lambda first: [Chain(range(first, first + 4), range(first, first + 4))],
    ),
    "short blocks": (
        lambda weight: Blocks(2, weight),
        lambda first: [Chain(range(t, t + 2), range(t, t + 2)) for t in (first, first + 2)],
    ),
    "overlapping blocks": (
        lambda weight: Blocks(7, weight),
        lambda first: [Chain(range(max(0, first - 3), first + 4), range(first, first + 4))],
    ),
    "exact": (
        lambda weight: Exact(3, weight),
        lambda first: [Chain(range(t - 2, t + 1), range(t, t + 1)) for t in range(first, first + 4)],
    ),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cell", [*CELLS, "pseudo-lstm-d3"])
def test_gradient(cell: str, method: str) -> None:
    """What the weight adds to the gradients of the layer alone, in the third window of four steps."""
    make, chains = METHODS[method]
    model = make_model(cell)
    *_, (plain, without) = windows(make(0.0), model, TEXT, 4, moving=False)
    *_, (taken, regularized) = windows(make(WEIGHT), model, TEXT, 4, moving=False)
    assert taken.loss.item() == pytest.approx(plain.loss.item(), rel=1e-12), "the loss is that of the task"
    found = {name: (regularized[name] - without[name]) / WEIGHT for name in regularized}

    states = states_of(model)
    slow = [term for chain in chains(8) for row in range(ROWS) for term in terms(model, states, chain, row)]
    torch.stack(slow).mean().backward()
    expected = {name: gradient for name, gradient in gradients_of(model).items() if gradient.any()}
    assert all(name.startswith("layer.") for name in expected)
    assert all(found[name].abs().max() < 1e-12 for name in found.keys() - expected.keys())
    assert relative_error({name: found[name] for name in expected}, expected) < 1e-10


@pytest.mark.parametrize("cell", [*CELLS, "pseudo-lstm-d3"])
def test_penalty(cell: str) -> None:
    """The number itself, of the second window; the first step of a text has no state before it."""
    model = make_model(cell)
    states = states_of(model)
    for first, last in ((4, 8), (0, 4)):
        flow = ErrorFlow(model.layer)
        outputs, state = flow(model.embed(TEXT[first:last]), states[first])
        model.criterion(outputs, TEXT[first + 1 : last + 1]).backward()
        steps = range(first, last)
        slow = [term for row in range(ROWS) for term in terms(model, states, Chain(steps, steps), row)]
        assert len(slow) == ROWS * (4 if first else 3)
        assert flow.penalty().item() == pytest.approx(torch.stack(slow).mean().item(), rel=1e-10)
        plain, expected = model.layer(model.embed(TEXT[first:last]), states[first])
        assert torch.allclose(outputs, plain, rtol=1e-12, atol=0)
        assert all(map(torch.allclose, tensors_of(state), tensors_of(expected)))


def test_errors_that_vanish_or_are_not_there() -> None:
    """An error too small to be squared in single precision has a ratio all the same; none counts as 0."""
    model = make_model("vanilla").float()
    ratios = []
    for scale in (1.0, 1e-30, 0.0):
        flow = ErrorFlow(model.layer)
        outputs, _ = flow(model.embed(TEXT[:3]), torch.zeros(1, ROWS, model.decoder.in_features))
        (scale * outputs.sum()).backward()
        found, exists = flow.ratios()
        assert bool(exists.all()) is (scale > 0)
        ratios.append(found)
        if not scale:
            model.zero_grad()
            penalty = flow.penalty()
            penalty.backward()
            assert penalty == 0
            assert all(not g.any() for g in gradients_of(model).values())
    assert torch.allclose(ratios[0], ratios[1], rtol=1e-5)


def test_a_text_of_one_step_has_nothing_to_keep() -> None:
    model = make_model("gru")
    ((_, found),) = windows(Blocks(1, WEIGHT), model, TEXT[:2], 1, moving=False)
    ((_, expected),) = windows(Blocks(1), model, TEXT[:2], 1, moving=False)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("backend", ["fused", "native"])
@pytest.mark.parametrize("cell", ["gru", "peephole-lstm", "pseudo-lstm-d3"])
def test_backends_agree(cell: str, backend: str) -> None:
    """Second derivatives of every backend are those of plain PyTorch."""
    availability = codegen.backends()[backend]
    if not availability.can_run:
        pytest.skip(availability.why)
    results: list[list[Gradients]] = []
    for name in ("eager", backend):
        model = make_model(cell, name)
        results.append([found for _, found in windows(Blocks(4, WEIGHT), model, TEXT, 4, moving=True)])
    for expected, found in zip(*results, strict=True):
        assert relative_error(found, expected) < 1e-10


def test_descent_keeps_errors_constant() -> None:
    """Steps down the regularizer alone bring the ratios towards 1."""
    model = make_model("vanilla")
    optimizer = torch.optim.Adam(model.layer.parameters(), 0.02)
    distances = []
    for _ in range(30):
        flow = ErrorFlow(model.layer)
        outputs, _ = flow(model.embed(TEXT[:-1]), None)
        model.criterion(outputs, TEXT[1:]).backward()
        model.zero_grad()
        penalty = flow.penalty()
        penalty.backward()
        optimizer.step()
        distances.append(penalty.item())
    assert distances[-1] < distances[0] / 2


def test_layers_that_cannot_be_regularized() -> None:
    text = make_text(4)
    layer = codegen.build("gru", 3, 4, backend="eager", bidirectional=True)
    with pytest.raises(ConfigError, match=r"constant-error regularizer .* bidirectional"):
        Blocks(4, 1.0)(LanguageModel(layer, 7, 3, 8), text[:-1], text[1:], None)
    with pytest.raises(ConfigError, match=r"a layer that tells its cell.*; this one is a StandIn"):
        Blocks(4, 1.0)(LanguageModel(StandIn(3, 4), 7, 3, 4), text[:-1], text[1:], None)


@pytest.mark.parametrize("gradient", ["blocks", "exact"])
def test_the_weight_reaches_the_gradient(gradient: str) -> None:
    made = find_method(gradient).make(make_config(gradient=gradient, constant_error=0.5))
    assert isinstance(made, Blocks | Exact)
    assert made.weight == 0.5


def test_resumes(tmp_path: Path) -> None:
    assert_resumes(tmp_path, gradient="exact", bptt=3, update_every=5, constant_error=0.5)
