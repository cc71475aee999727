"""What is proved of a memory task before its training, against what weights do and what training gives."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import derive
from codegen.errors import ConfigError
from codegen.experiment import Experiment, prepare
from codegen.prediction import FAINT, predict, predict_experiment
from tests.codegen.training.standin import make_corpus

SMALL = {"length": 30, "bptt": 30, "hidden_size": 8, "batch_size": 16, "initialization": "orthogonal"}


def adding(cell: str, **options: Any) -> Experiment:
    return prepare(derive.cell(cell), {"task": "adding", "backend": "eager", **SMALL, **options})


def weights_of(experiment: Experiment) -> dict[str, Any]:
    views = experiment.layer.equation_parameters()
    return {name: view.double().numpy() for name, view in views.items()}


def test_one_unit_by_hand() -> None:
    """s' = tanh(w s + u x + b): the box is [-1, 1], and a step contracts by |w|."""
    params = {"W": [[0.5]], "U": [[1.0]], "b": [0.0]}
    found = predict(derive.cell("vanilla"), params, 8)
    assert found.certificate.rate == pytest.approx(0.5)
    assert found.trace == pytest.approx(2 * 0.5**8)
    assert not found.predicts_failure
    assert predict(derive.cell("vanilla"), params, 12).predicts_failure
    assert str(found) == (
        "nothing predicted: a step contracts by ρ = 0.5, "
        "so that what is 8 steps back changes a state by 0.0078 at most"
    )


def test_without_a_proof_nothing_is_excluded() -> None:
    params = {"W": [[1.5]], "U": [[1.0]], "b": [0.0]}
    found = predict(derive.cell("vanilla"), params, 10_000)
    assert found.trace == np.inf
    assert not found.predicts_failure
    assert str(found) == "nothing predicted: a step is not proved to contract, or a state not to grow"


@pytest.mark.parametrize("cell", ["vanilla", "gru", "lstm", "pseudo-lstm"])
def test_no_two_sequences_are_further_apart(cell: str) -> None:
    """Ones or zeros before, the same numbers in the last steps: the states differ by less than the trace."""
    experiment = adding(cell, scale=0.2, forget_bias=-2.0)
    predict_experiment(experiment)
    params = weights_of(experiment)
    rng = np.random.default_rng(0)
    for distance in (1, 3, 9):
        found = predict(experiment.cell, params, distance)
        past = np.stack([np.ones((20, 2)), np.zeros((20, 2))], axis=1)
        same = np.repeat(rng.random((distance, 1, 2)), 2, axis=1)
        _, states = derive.evaluate(experiment.cell, params, np.concatenate((past, same)))
        apart = max(float(np.abs(state[0] - state[1]).max()) for state in states)
        assert 0 < apart < found.trace < np.inf


def test_the_vanishing_condition_decides_for_the_vanilla_cell() -> None:
    """‖W‖ < 1 in the 2-norm, as `derive.bound` has it, is where traces are finite."""
    for scale, vanishes in ((0.7, True), (0.98, True), (1.02, False)):
        experiment = adding("vanilla", scale=scale)
        found = predict_experiment(experiment)
        assert bool(derive.bound(experiment.cell).holds(weights_of(experiment))) is vanishes
        assert (found.trace < np.inf) is vanishes
        if vanishes:
            assert found.trace == pytest.approx(2 * 8**0.5 * scale**15, rel=1e-5)


def test_a_text_has_no_distance() -> None:
    experiment = prepare(
        derive.cell("gru"), {"hidden_size": 4, "embedding_size": 4, "bptt": 5}, data=make_corpus()
    )
    with pytest.raises(ConfigError, match="the task 'language' has no distance"):
        predict_experiment(experiment)


def test_what_is_excluded_fails_and_a_gated_cell_learns(tmp_path: Path) -> None:
    """Thirty steps; the vanilla cell starts from ‖W‖ = 0.5, the GRU with gates that keep for thirty steps.

    Who cannot see the first of the two numbers is left with a variance of 1/12, who sees neither with 1/6.
    """
    pace = {"learning_rate": 0.03, "clip": 1.0, "epoch_steps": 50, "epochs": 5, "patience": 5}
    vanilla = adding("vanilla", scale=0.5, **pace)
    found = predict_experiment(vanilla)
    assert found.predicts_failure
    assert found.trace < FAINT
    result = vanilla.train(tmp_path / "vanilla")
    assert len(result.history) == 5
    assert result.best.valid.nats > 1 / 12

    gru = adding("gru", memory=30.0, **pace)
    assert not predict_experiment(gru).predicts_failure
    result = gru.train(tmp_path / "gru")
    assert len(result.history) < 5, "training ends when the task is solved"
    assert result.best.valid.nats < 0.01
    assert not predict(gru.cell, weights_of(gru), found.distance).predicts_failure
