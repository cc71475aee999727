"""Numbers to check with: small, reproducible, and away from the kinks of activations that have such."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from codegen.errors import CodegenError
from derive.cell import Cell
from derive.evaluate import evaluate, step, value
from derive.symbols import Activated, Previous

Array = np.ndarray[Any, Any]

UNITS, FEATURES, OTHERS = 3, 2, 4
STEPS, BATCH = 4, 2
MARGIN = 1e-3
"""How far every argument of an activation stays from a kink: far beyond the steps of finite differences."""
TRIES = 200


@dataclass(frozen=True)
class Sample:
    """Parameters, inputs (T, B, m), initial states (B, n), and weights of the loss, all float64.

    The loss is ⟨out_weight, outputs⟩ + Σ ⟨state_weight, last state⟩: its gradient reaches everything.
    """

    cell: Cell
    sizes: dict[str, int]
    parameters: dict[str, Array]
    inputs: Array
    state: tuple[Array, ...]
    out_weight: Array
    state_weight: tuple[Array, ...]

    def values(self) -> tuple[Array, tuple[Array, ...]]:
        """Outputs and last state, by the evaluator."""
        return evaluate(self.cell, self.parameters, self.inputs, self.state)

    def vectors(self) -> dict[str, Array]:
        """Every vector at every step, by the evaluator: (T, B, n)."""
        steps = list(self._steps())
        shapes = {name: (*self.inputs.shape[:2], self.sizes[self.cell.axes(name)[0]]) for name in steps[0]}
        return {
            name: np.stack([np.broadcast_to(s[name], shapes[name][1:]) for s in steps]) for name in shapes
        }

    def _steps(self) -> Iterator[dict[str, Array]]:
        state = self.state
        for x in self.inputs:
            found = step(self.cell, self.parameters, x, state)
            state = tuple(found[name] for name in self.cell.states)
            yield found

    def loss(self, parameters: dict[str, Array], inputs: Array, state: tuple[Array, ...]) -> Any:
        """The loss by the evaluator; complex arguments are kept complex."""
        outputs, last = evaluate(self.cell, parameters, inputs, state)
        return np.sum(self.out_weight * outputs) + sum(
            np.sum(w * s) for w, s in zip(self.state_weight, last, strict=True)
        )

    def distance_to_kinks(self) -> float:
        """The smallest distance of an activation's argument to one of its kinks; infinite without kinks."""
        kinked = [
            (node.argument, float(kink))
            for expr in self.cell.equations.values()
            for node in expr.atoms(Activated)
            for kink in node.activation.kinks
        ]
        if not kinked:
            return np.inf
        env: dict[Any, Any] = {self.cell.symbols[name]: v for name, v in self.parameters.items()}
        found, state = [], self.state
        for x, vectors in zip(self.inputs, self._steps(), strict=True):
            env |= {self.cell.symbols[name]: x for name in self.cell.inputs}
            env |= {Previous(n, *self.cell.axes(n)): s for n, s in zip(self.cell.states, state, strict=True)}
            env |= {self.cell.symbols[name]: v for name, v in vectors.items()}
            found += [_nearest(value(argument, env) - kink) for argument, kink in kinked]
            state = tuple(vectors[name] for name in self.cell.states)
        return min(found)


def _nearest(distances: Array) -> float:
    """The smallest distance that is not zero.

    Exactly zero is what another activation inside has clipped; it stays so when the numbers move a little.
    """
    apart = np.abs(distances)[distances != 0]
    return float(np.min(apart, initial=np.inf))


def draw(cell: Cell, seed: int, steps: int = STEPS, batch: int = BATCH) -> Sample:
    """A sample whose activations are all away from their kinks; raises CodegenError if none can be found."""
    for attempt in range(TRIES):
        sample = _draw(cell, np.random.default_rng((seed, attempt)), steps, batch)
        if sample.distance_to_kinks() > MARGIN:
            return sample
    raise CodegenError(
        f"{cell.name}: {TRIES} samples all touch a kink of an activation; gradients cannot be compared there"
    )


def _draw(cell: Cell, rng: np.random.Generator, steps: int, batch: int) -> Sample:
    axes = {axis for quantity in cell.symbols.values() for axis in quantity.axes}
    sizes = {"n": UNITS, "m": FEATURES if cell.inputs else 0}
    sizes |= {axis: OTHERS + k for k, axis in enumerate(sorted(axes - {"n", "m"}))}
    if cell.inputs:
        sizes["m"] = sizes[cell.axes(cell.inputs[0])[0]]
    parameters = {
        name: rng.uniform(-1, 1, [sizes[a] for a in axes]) for name, axes in cell.parameters.items()
    }
    shapes = [(batch, sizes[cell.axes(name)[0]]) for name in cell.states]
    features = sizes[cell.axes(cell.output)[0]] if cell.output else 0
    return Sample(
        cell,
        sizes,
        parameters,
        inputs=rng.normal(size=(steps, batch, sizes["m"])),
        state=tuple(0.5 * rng.normal(size=shape) for shape in shapes),
        out_weight=rng.normal(size=(steps, batch, features)),
        state_weight=tuple(rng.normal(size=shape) for shape in shapes),
    )
