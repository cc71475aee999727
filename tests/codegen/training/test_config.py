"""Hyperparameters: the article's by default, and refused where they make no sense."""

import dataclasses
import json
from typing import Any

import pytest

from codegen.errors import ConfigError
from codegen.training.config import TrainingConfig


def test_defaults_are_the_articles() -> None:
    config = TrainingConfig(cell="pseudo-lstm")
    assert (config.batch_size, config.bptt, config.hidden_size, config.embedding_size) == (30, 30, 250, 250)
    assert (config.epochs, config.patience, config.clip, config.initialization) == (20, 2, None, "article")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        *(
            (name, 0, f"{name} is 0; expected a whole number from 1 up")
            for name in ("batch_size", "bptt", "epochs")
        ),
        ("hidden_size", 2.5, "hidden_size is 2.5"),
        ("patience", -1, "patience is -1"),
        ("checkpoint_every", 0, "checkpoint_every is 0"),
        ("seed", -1, "seed is -1"),
        ("learning_rate", 0.0, "learning_rate is 0.0; expected a positive number"),
        ("learning_rate", float("nan"), "learning_rate is nan"),
        ("clip", -1.0, "clip is -1.0; expected a positive number, or 0 for no clipping"),
        ("clip", float("inf"), "clip is inf; expected a positive number"),
        ("biases", {"b_f": float("inf")}, "expected finite numbers"),
        ("update_every", 0, "update_every is 0; expected a whole number from 1 up, or None"),
        ("constant_error", -1.0, "constant_error is -1.0; expected 0 or a positive number"),
        ("scale", float("nan"), "scale is nan"),
        ("gradient", "block", r"no gradient 'block'; did you mean 'blocks'\?"),
        ("task", "ading", "no task 'ading'; did you mean 'adding'"),
        (
            "groups",
            2,
            "groups is 2, which the gradient 'blocks' does not look at; expected 1, or .*real-time",
        ),
        (
            "initialization",
            "glorat",
            r"no initialization 'glorat' \(nearest: 'glorot'\); there are: article, glorot",
        ),
    ],
)
def test_refusals(name: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainingConfig(cell="gru", **{name: value})


def test_no_clipping_has_one_name() -> None:
    """So that a run goes on, whichever of the two it is given."""
    assert TrainingConfig(cell="gru", clip=0.0) == TrainingConfig(cell="gru", clip=None)
    assert TrainingConfig(cell="gru", clip=0.0).clip is None


def test_survives_json() -> None:
    config = TrainingConfig(cell="gru", learning_rate=0.1 + 0.2, biases={"b_z": 1.0}, clip=5.0)
    assert TrainingConfig(**json.loads(json.dumps(config.as_dict()))) == config


def test_is_frozen_also_against_the_callers_mapping() -> None:
    biases = {"b_f": 1.0}
    config = TrainingConfig(cell="lstm", biases=biases)
    biases["b_f"] = 2.0
    assert config.biases == {"b_f": 1.0}
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.seed = 1  # type: ignore[misc]
