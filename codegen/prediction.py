"""What is proved about a memory task before it is trained: whether the far past reaches the answer at all.

If the certified step brings two states closer by a factor ρ < 1, then two sequences that agree in their last
k steps end in states that differ by at most D·ρᵏ, D being the diameter of the box that states never leave:
the vanishing condition (‖γW‖ < 1 for the vanilla cell) as a statement about what can be told apart. With D·ρᵏ
small, neither an answer nor a gradient sees what is more than k steps back (Bengio, Simard and Frasconi,
"Learning long-term dependencies with gradient descent is difficult", IEEE Transactions on Neural Networks 5,
1994, theorem 4; Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", ICML
2013, section 2.1).

The proof is about the weights that training starts from. It excludes; it promises nothing: where ρ ≥ 1, a
task may be learned or not. And training must leave the weights for which it holds before it can solve the
task: without a gradient to lead it there, it does so late, or never.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from codegen.certify import Certificate, certify
from codegen.errors import ConfigError
from codegen.experiment import Experiment
from codegen.training.initialization import initialize
from codegen.training.tasks.generated import GeneratedTask
from derive.cell import Cell

FAINT = 1e-3
"""The difference between states, in units of the states, below which failure is predicted: a threshold, not a
theorem, since a readout can magnify and Adam rescales small gradients."""


@dataclass(frozen=True)
class Prediction:
    """What is left of the distant past, at most.

    Attributes:
        distance: steps from the first input that is needed to the answer.
        certificate: of the initial weights, in the norm in which less is left.
        trace: the most by which a unit of the last state can depend on anything so many steps back;
            infinite if nothing is proved.
    """

    distance: int
    certificate: Certificate
    trace: float

    @property
    def predicts_failure(self) -> bool:
        """Whether so little is left that learning should begin late or never: proved is how little, predicted
        that it is too little.
        """
        return self.trace < FAINT

    def __str__(self) -> str:
        if math.isinf(self.trace):
            return "nothing predicted: a step is not proved to contract, or a state not to grow"
        verdict = "failure predicted" if self.predicts_failure else "nothing predicted"
        return (
            f"{verdict}: a step contracts by ρ = {self.certificate.rate:.4g}, so that "
            f"what is {self.distance} steps back changes a state by {self.trace:.2g} at most"
        )


def predict(cell: Cell, params: Mapping[str, Any], distance: int, *, inputs: float = 1.0) -> Prediction:
    """What weights allow to be remembered over a distance, certified in float64 in the 2-norm and the ∞-norm.

    Args:
        params: arrays by their names in the equations.
        inputs: the largest |x|; 1 in all generated tasks.
    """
    found = [certify(cell, params, norm=norm, inputs=inputs, rigorous=False) for norm in (2, "inf")]
    predictions = [Prediction(distance, certificate, _trace(certificate, distance)) for certificate in found]
    return min(predictions, key=lambda p: (p.trace, p.certificate.rate))


def predict_experiment(experiment: Experiment) -> Prediction:
    """What the initial weights of an experiment allow; the model is left with those weights.

    Raises:
        ConfigError: the task is not one in which it is known how far back what is needed lies.
    """
    task, config = experiment.task, experiment.config
    if not isinstance(task, GeneratedTask):
        raise ConfigError(
            f"the task {config.task!r} has no distance over which it must remember; expected a generated one"
        )
    initialize(
        experiment.model, config.initialization, scale=config.scale, biases=config.biases, seed=config.seed
    )
    weights = experiment.layer.equation_parameters()
    params = {name: weight.detach().cpu().double().numpy() for name, weight in weights.items()}
    return predict(experiment.cell, params, task.distance)


def _trace(found: Certificate, distance: int) -> float:
    """The diameter of the box, in the certificate's norm, times what a change of size 1 comes to."""
    if not (found.bounded and found.contracts):
        return math.inf
    units = [found.sizes[found.cell.axes(state)[0]] for state in found.cell.states]
    per_unit = [math.sqrt(n) if found.norm == 2 else 1.0 for n in units]
    diameter = max(2 * limit * size for limit, size in zip(found.boxes.values(), per_unit, strict=True))
    return diameter * found.influence(distance)
