"""Gradients of a sample's loss: by complex step in the evaluator, by autograd and differences in torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from codegen.checking.sample import Array, Sample
from codegen.layer import RecurrentLayer

COMPLEX_STEP = 1e-30
DIFFERENCE = 1e-5
"""About the cube root of float64's precision: the best step of central differences."""


@dataclass(frozen=True)
class Gradients:
    """∂loss by parameter name, by the inputs, and by each initial state."""

    parameters: dict[str, Array]
    inputs: Array
    state: tuple[Array, ...]

    def pairs(self, other: Gradients) -> list[tuple[Array, Array]]:
        """Everything beside everything of the other."""
        named = [(self.parameters[name], other.parameters[name]) for name in other.parameters]
        return [*named, (self.inputs, other.inputs), *zip(self.state, other.state, strict=True)]


Loss = Callable[[dict[str, Array], Array, tuple[Array, ...]], Any]


def by_complex_step(sample: Sample) -> Gradients:
    """Exact to rounding: Im f(x + ih) / h has no cancellation."""
    return _entry_by_entry(
        sample, lambda loss, set_to: set_to(1j * COMPLEX_STEP, loss).imag / COMPLEX_STEP, sample.loss, complex
    )


def by_differences(sample: Sample, layer: RecurrentLayer) -> Gradients:
    """(f(x + h) - f(x - h)) / 2h of the generated code's own values."""

    def loss(parameters: dict[str, Array], inputs: Array, state: tuple[Array, ...]) -> float:
        with torch.no_grad():
            return float(torch_loss(sample, layer, parameters, inputs, state).loss)

    def quotient(loss: Loss, set_to: Callable[[Any, Loss], Any]) -> Any:
        return (set_to(DIFFERENCE, loss) - set_to(-DIFFERENCE, loss)) / (2 * DIFFERENCE)

    return _entry_by_entry(sample, quotient, loss, float)


def _entry_by_entry(sample: Sample, quotient: Callable[..., Any], loss: Loss, kind: type) -> Gradients:
    """Perturb one number after the other."""
    parameters: dict[str, Array] = {name: np.array(v, kind) for name, v in sample.parameters.items()}
    inputs: Array = np.array(sample.inputs, kind)
    state: tuple[Array, ...] = tuple(np.array(s, kind) for s in sample.state)

    def gradient(array: Array) -> Array:
        found = np.zeros(array.shape)
        for index in np.ndindex(*array.shape):

            def set_to(change: Any, loss: Loss, index: Any = index) -> Any:
                kept = array[index]
                array[index] = kept + change
                result = loss(parameters, inputs, state)
                array[index] = kept
                return result

            found[index] = quotient(loss, set_to)
        return found

    return Gradients(
        {n: gradient(v) for n, v in parameters.items()}, gradient(inputs), tuple(gradient(s) for s in state)
    )


@dataclass(frozen=True)
class Run:
    """One run of a layer on a sample: tensors that remember where they come from."""

    loss: Tensor
    parameters: dict[str, Tensor]
    inputs: Tensor
    state: tuple[Tensor, ...]
    output: Tensor
    last: tuple[Tensor, ...]

    def gradients(self) -> Gradients:
        """By autograd; what the loss does not depend on has gradient zero."""
        leaves = [*self.parameters.values(), self.inputs, *self.state]
        found = torch.autograd.grad(self.loss, leaves, allow_unused=True)
        arrays = [
            array(torch.zeros_like(leaf) if g is None else g) for leaf, g in zip(leaves, found, strict=True)
        ]
        count = len(self.parameters)
        return Gradients(
            dict(zip(self.parameters, arrays, strict=False)), arrays[count], tuple(arrays[count + 1 :])
        )


def torch_loss(
    sample: Sample,
    layer: RecurrentLayer,
    parameters: dict[str, Array],
    inputs: Array,
    state: tuple[Array, ...],
) -> Run:
    """The sample's loss by the generated code, in the layer's dtype, on its device."""
    like = tensor_like(layer)
    leaves = {name: like(v).requires_grad_() for name, v in parameters.items()}
    x = like(inputs).requires_grad_()
    initial = tuple(like(s).requires_grad_() for s in state)
    named = {f"l0.cell.{name}": leaf for name, leaf in leaves.items()}
    output, last = torch.func.functional_call(layer, named, (x, as_state(initial)))
    lasts = tuple(s[0] for s in as_tuple(last))
    loss = (like(sample.out_weight) * output).sum()
    loss = loss + sum((like(w) * s).sum() for w, s in zip(sample.state_weight, lasts, strict=True))
    return Run(loss, leaves, x, initial, output, lasts)


def run(sample: Sample, layer: RecurrentLayer) -> Run:
    """The sample as it is."""
    return torch_loss(sample, layer, sample.parameters, sample.inputs, sample.state)


def tensor_like(layer: RecurrentLayer) -> Callable[[Array], Tensor]:
    """A function that makes tensors of the layer's dtype and device."""
    like = next(layer.parameters(), torch.empty((), dtype=torch.float64))
    return lambda value: torch.tensor(value, dtype=like.dtype, device=like.device)


def as_state(values: tuple[Tensor, ...]) -> Any:
    """(B, n) each as what a one-layer layer takes: (1, B, n), alone or in a tuple."""
    found = tuple(v.unsqueeze(0) for v in values)
    return found[0] if len(found) == 1 else found


def as_tuple(state: Any) -> tuple[Tensor, ...]:
    return (state,) if isinstance(state, Tensor) else tuple(state)


def array(tensor: Tensor) -> Array:
    return tensor.detach().to("cpu", torch.float64).numpy()
