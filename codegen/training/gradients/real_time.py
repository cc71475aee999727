"""Real-time recurrent learning: errors meet derivatives that were carried forward, and nothing is truncated.

Williams and Zipser, 1989, "A learning algorithm for continually running fully recurrent neural networks"; in
subgroups of units, Zipser, 1989, "A subgrouping strategy that reduces complexity and speeds up learning in
recurrent networks". The derivatives and their price are those of `derive.learning.Sensitivities`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from codegen.errors import ConfigError
from codegen.training.gradients.base import Method, Taken
from codegen.training.gradients.past import state_from
from codegen.training.model import Model, State, largest, tensors_of
from codegen.training.tasks import LANGUAGE
from derive.cell import Cell
from derive.learning import Sensitivities

if TYPE_CHECKING:
    from codegen.training.config import TrainingConfig

Array: TypeAlias = np.ndarray[Any, Any]

_VECTORS_ONLY = (
    "real-time recurrent learning carries the derivatives by the layer's weights, not those by an embedding "
    "below it; expected a task whose inputs are vectors, or the gradient 'blocks'"
)


@dataclass(frozen=True)
class RealTime:
    """The gradient of a batch with the derivatives ∂(state)/∂(weights) carried in float64; a `Gradient`.

    Where the state is carried from batch to batch, so are they: an error is not cut off at the start of its
    batch but reaches back to the start of the text, along the weights that there were.

    Attributes:
        groups: subgroups of units, 1 to n; 1 is exact.

    Raises:
        ConfigError: the model has an embedding, or its layer is not one cell in one direction, made by
            `codegen.build`, with a fixed initial state.
        DeriveError: the cell cannot be parted into so many groups.
    """

    groups: int = 1

    def __call__(self, model: Model, inputs: Tensor, targets: Tensor, carry: State | None) -> Taken:
        """Backpropagate each error to the layer's output of its step, and meet the derivatives there."""
        cell, params = _equations(model)
        carried = () if carry is None else tensors_of(carry)
        state = carried[:-1]  # the last are the derivatives
        with torch.no_grad():
            x = model.embed(inputs)
            outputs, last = model.layer(x, state_from(state))
        outputs.requires_grad_()
        loss = model.criterion(outputs, targets)
        loss.backward()
        assert outputs.grad is not None

        past = tuple(_numbers(tensor)[0] for tensor in state) or None
        run = Sensitivities(cell, params, x.shape[1], self.groups, past)
        if carried:
            run.carried = _numbers(carried[-1])
        _add_to_gradients(model, carried_forward(run, _numbers(x), _numbers(outputs.grad)))
        packed = torch.from_numpy(run.carried).to(x.device)
        return Taken(loss.detach(), (*tensors_of(last), packed), largest(last))


def carried_forward(run: Sensitivities, inputs: Array, errors: Array) -> dict[str, Array]:
    """The gradient by each parameter.

    Args:
        run: before the first of the steps; afterwards it is behind the last.
        inputs: shape (T, B, m).
        errors: the derivatives of the loss by the outputs, shape (T, B, n).
    """
    total = {name: np.zeros(value.shape) for name, value in run.params.items()}
    for x, error in zip(inputs, errors, strict=True):
        run.step(x)
        if error.any():  # most tasks ask at few steps
            for name, part in run.gradient(error).items():
                total[name] += part
    return total


def _equations(model: Model) -> tuple[Cell, dict[str, Array]]:
    """The cell of the model's layer and its parameters, once the derivatives by them are all it takes."""
    if model.embedding is not None:
        raise ConfigError(_VECTORS_ONLY)
    cell = getattr(model.layer, "cell", None)
    if not isinstance(cell, Cell):
        raise ConfigError(
            f"a {type(model.layer).__name__} has no equations to differentiate; "
            "expected a layer made by codegen.build"
        )
    named = model.layer.equation_parameters()
    weights, known = (sum(t.numel() for t in ts) for ts in (model.layer.parameters(), named.values()))
    if weights != known:
        raise ConfigError(
            f"the layer has {weights} weights, of which its equations have {known}; real-time recurrent "
            "learning takes one layer in one direction with fixed initial states"
        )
    return cell, {name: _numbers(tensor) for name, tensor in named.items()}


def _add_to_gradients(model: Model, found: Mapping[str, Array]) -> None:
    layer: Any = model.layer  # one of codegen.build's, by `_equations`
    for weight in layer.parameters():
        if weight.requires_grad and weight.grad is None:
            weight.grad = torch.zeros_like(weight)
    for name, grad in layer.equation_parameters(grad=True).items():
        if grad is not None:
            grad += torch.from_numpy(found[name]).to(grad)


def _numbers(tensor: Tensor) -> Array:
    return tensor.detach().double().cpu().numpy()


def make(config: TrainingConfig) -> RealTime:
    """Exact, or in `config.groups` subgroups."""
    if config.task == LANGUAGE:
        raise ConfigError(f"task is {config.task!r}: {_VECTORS_ONLY}")
    if config.constant_error:
        raise ConfigError(
            f"constant_error is {config.constant_error:g}: the regularizer acts on errors on their way back, "
            "and here none goes back; expected 0, or the gradient 'blocks' or 'exact'"
        )
    if config.groups > config.hidden_size:
        raise ConfigError(
            f"groups is {config.groups}; expected from 1 (exact) to the number of units, {config.hidden_size}"
        )
    return RealTime(config.groups)


METHOD = Method(
    "real-time",
    "derivatives carried forward, no truncation; small states, vectors only",
    make,
    truncates=False,
    reads=("groups",),
)
