"""Where training starts: named schemes for the initial weights.

A scheme is one entry of `INITIALIZATIONS`. It draws every matrix: the embedding, the layer's, and the
softmax's. Vectors (biases, peepholes) start at 0. Which is which follows from shapes alone.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import torch
from torch import Tensor, nn

from codegen.errors import ConfigError, TrainingError
from codegen.training.model import Model
from codegen.training.rng import seeded

Draw: TypeAlias = Callable[[Tensor, int], object]


@dataclass(frozen=True)
class Initialization:
    """A way to draw initial weights.

    Attributes:
        summary: one line for `--help`.
        draw: fills a matrix in place, given the matrix and its fan-in; None leaves all to torch's defaults.
    """

    summary: str
    draw: Draw | None


def _unit_variance_uniform(matrix: Tensor, fan_in: int) -> None:
    bound = math.sqrt(3 / fan_in)  # of variance bound²/3 = 1/fan_in
    nn.init.uniform_(matrix, -bound, bound)


INITIALIZATIONS: Mapping[str, Initialization] = MappingProxyType(
    {
        "article": Initialization(
            "uniform on ±√(3/fan_in), TensorFlow's default in 2016",
            _unit_variance_uniform,
        ),
        "glorot": Initialization(
            "uniform on ±√(6/(fan_in + fan_out)) of each matrix by itself (Glorot and Bengio, 2010)",
            lambda matrix, _: nn.init.xavier_uniform_(matrix),
        ),
        "orthogonal": Initialization(
            "orthonormal rows or columns (Saxe, McClelland and Ganguli, 2014)",
            lambda matrix, _: nn.init.orthogonal_(matrix),
        ),
        "torch": Initialization("PyTorch's defaults for each module", None),
    }
)


def find_initialization(name: str) -> Initialization:
    """The scheme of that name.

    Raises:
        ConfigError: there is none; the message names the nearest.
    """
    try:
        return INITIALIZATIONS[name]
    except KeyError:
        raise ConfigError(f"no initialization {name!r}{_nearest(name, INITIALIZATIONS)}") from None


def initialize(
    model: Model,
    scheme: str = "article",
    *,
    scale: float = 1.0,
    biases: Mapping[str, float] = MappingProxyType({}),
    seed: int = 0,
) -> None:
    """Set all weights of a model, in place, from the seed alone.

    The fan-in is V for the embedding (as TensorFlow has it, a product with a one-hot vector), n + m for each
    of the layer's matrices (TensorFlow's basic LSTM has one matrix for inputs and state), n for the softmax.

    Args:
        scale: a factor on the layer's matrices: with orthogonal ones, the norm of each.
        biases: the value of every element of the named vectors, such as `{"b_f": 1.0}` for a forget gate
            that starts open; names as in `layer.equation_parameters()`.

    Raises:
        ConfigError: no such scheme, or `biases` names what is not a vector of the layer.
        TrainingError: the layer has weights besides `equation_parameters()`, which would stay as they are.
    """
    draw = find_initialization(scheme).draw
    weights = model.layer.equation_parameters()
    _check_biases(biases, weights)
    with torch.no_grad(), seeded(seed, model.device):
        if draw is None:
            for module in (model.embedding, model.layer, model.decoder):
                if module is not None:
                    module.reset_parameters()
        else:
            _check_coverage(model, weights)
            _draw_all(model, weights, draw)
        for weight in weights.values():
            if weight.ndim == 2:
                weight.mul_(scale)
        for name, value in biases.items():
            weights[name].fill_(value)


def _draw_all(model: Model, weights: Mapping[str, Tensor], draw: Draw) -> None:
    if model.embedding is not None:
        draw(model.embedding.weight, model.embedding.num_embeddings)
    fan_in = model.decoder.in_features + model.input_size
    for weight in weights.values():
        if weight.ndim < 2:
            weight.zero_()
        else:
            draw(weight, fan_in)
    draw(model.decoder.weight, model.decoder.in_features)
    model.decoder.bias.zero_()


def _check_biases(biases: Mapping[str, float], weights: Mapping[str, Tensor]) -> None:
    vectors = [name for name, weight in weights.items() if weight.ndim == 1]
    for name in biases:
        if name not in vectors:
            raise ConfigError(f"biases: the layer has no vector {name!r}{_nearest(name, vectors)}")


def _check_coverage(model: Model, weights: Mapping[str, Tensor]) -> None:
    named = sum(weight.numel() for weight in weights.values())
    own = sum(p.numel() for p in model.layer.parameters() if p.requires_grad)
    unnamed = own - named
    if unnamed:
        raise TrainingError(
            f"the layer has {unnamed:,} weights besides the {named:,} of equation_parameters(), and this "
            "initialization sets those alone: use one layer in one direction, or the initialization 'torch'"
        )


def _nearest(name: str, known: Mapping[str, object] | list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" (nearest: {close[0]!r})" if close else ""
    return f"{hint}; there are: {', '.join(known) or 'none'}"
