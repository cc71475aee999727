"""What the methods that differ in truncation share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from torch import Tensor

from codegen.errors import ConfigError
from codegen.training.model import Layer, State

# Inputs (T, B, m) and a state to outputs and a state: a layer as it is called, however it is run.
Unroll: TypeAlias = Callable[[Tensor, State | None], tuple[Tensor, State]]


def state_from(tensors: Sequence[Tensor]) -> State | None:
    """The state that `tensors_of` took apart; None, the start of a text, where there are none."""
    if not tensors:
        return None
    return tensors[0] if len(tensors) == 1 else tuple(tensors)


def require_steps(layer: Layer, what: str) -> None:
    """Refuse a layer that cannot go on from a state step by step.

    Raises:
        ConfigError: it is bidirectional.
    """
    if getattr(layer, "bidirectional", False):
        raise ConfigError(
            f"{what} needs a layer that reads a text step by step, and this one is bidirectional, so that "
            "its outputs depend on steps still to come; use one direction, or full blocks without it"
        )
