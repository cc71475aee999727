"""What to measure of a model after every epoch: the callables that ``train(…, measure=…)`` takes.

All is measured in float64, whatever the model computes in, of the model's first layer, on the same inputs
every time.  The model is only read, and no random number is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from codegen.diagnostics.measure import measure
from codegen.diagnostics.sensitivity import check_lags
from codegen.errors import ConfigError, DataError
from derive.bounds.symbols import read_norm
from derive.cell import Cell
from derive.evaluate import evaluate

if TYPE_CHECKING:
    from codegen.training.model import Model

Array = np.ndarray[Any, Any]
Diagnostics: TypeAlias = "Callable[[Model], dict[str, float]]"


def diagnostics(
    cell: Cell,
    tokens: Tensor,
    *,
    rows: int = 1,
    steps: int = 64,
    warm_up: int = 20,
    norm: Any = 2,
    lags: Iterable[int] | None = None,
) -> Diagnostics:
    """The numbers of `Measurements.as_dict` for a language model, on a text.

    Bounds are certified for all words of the vocabulary.

    Args:
        cell: that the layer computes, without its biases if the layer has none.
        tokens: int64, shape (tokens,): a text, such as the validation split.
        rows: the number of pieces that the text is cut into; the beginning of each is measured.
        steps, warm_up: how many steps of each row are measured, and how many from zero come before.
        norm, lags: as for `measure`.

    Raises:
        DataError: a row of the text is shorter than warm-up and steps.
        ConfigError: rows or steps below 1, a negative warm-up, a lag that is not from 1 to ``steps``.
        DeriveError: another norm.
    """
    if rows < 1:
        raise ConfigError(f"{rows=}; expected 1 or more")
    length, needed = len(tokens) // rows, warm_up + steps
    if length < needed:
        raise DataError(
            f"{len(tokens)} tokens in {rows} rows are {length} a row; expected at least {needed}: "
            f"a warm-up of {warm_up} steps and {steps} that are measured"
        )
    text = tokens[: rows * length].view(rows, length)[:, :needed].t()
    return sequence_diagnostics(cell, text, warm_up=warm_up, norm=norm, lags=lags)


def sequence_diagnostics(
    cell: Cell, inputs: Tensor, *, warm_up: int = 0, norm: Any = 2, lags: Iterable[int] | None = None
) -> Diagnostics:
    """The numbers of `Measurements.as_dict` for a model, on sequences.

    Args:
        cell: that the layer computes, without its biases if the layer has none.
        inputs: what the model reads, time first: words (T, B), or vectors (T, B, m), for which bounds are
            certified as far as these vectors reach, unit by unit.
        warm_up: how many steps from zero come before those that are measured.
        norm, lags: as for `measure`, of the T - ``warm_up`` steps measured.

    Raises:
        ConfigError: a warm-up that is negative or leaves no step, a lag that is not from 1 to the number
            of steps measured.
        DeriveError: another norm.
    """
    if not 0 <= warm_up < len(inputs):
        raise ConfigError(f"a warm-up of {warm_up} in {len(inputs)} steps; expected 0 to {len(inputs) - 1}")
    read_norm(norm)
    return partial(_measured, cell, inputs.cpu(), warm_up, norm, check_lags(lags, len(inputs) - warm_up))


def _measured(
    cell: Cell, read: Tensor, warm_up: int, norm: Any, lags: tuple[int, ...], model: Model
) -> dict[str, float]:
    """The numbers for one model; ``read`` is what it reads at all steps, words or vectors."""
    params = {name: _float64(tensor) for name, tensor in model.layer.equation_parameters().items()}
    if model.embedding is None:
        inputs = _float64(read)
        vectors = inputs.reshape(-1, inputs.shape[-1])
    else:
        vectors = _float64(model.embedding.weight)
        inputs = vectors[read.numpy()]
    _, state = evaluate(cell, params, inputs[:warm_up])
    limits = np.abs(vectors).max(axis=0)
    found = measure(cell, params, inputs[warm_up:], state=state, limits=limits, norm=norm, lags=lags)
    return found.as_dict()


def _float64(tensor: Tensor) -> Array:
    return tensor.detach().to("cpu", torch.float64).numpy()
