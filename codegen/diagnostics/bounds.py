"""What is proved of the step's Jacobian at these weights, and that what is measured keeps to it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from codegen.certify import certify
from codegen.errors import CodegenError
from derive.bounds import bound
from derive.cell import Cell
from derive.show.text import typeset

Array = np.ndarray[Any, Any]

TOLERANCE = 1e-9
"""Relative: how far rounding may take a measured number above a bound in float64."""


class BrokenBound(CodegenError):
    """A measured number is above one that was proved: a fault of the proof, not of the user."""


@dataclass(frozen=True)
class Bounds:
    """Bounds of the norm of one step's Jacobian, infinite where nothing is proved.

    Attributes:
        certified: for every state that a run from zero can reach, and every input within the limits.
        rate: the certified factor by which a step brings two states closer (`codegen.certify.Certificate`).
        visited: for every state and input that is, unit by unit, no larger than the largest visited: finite
            also where nothing bounds the state, and then it grows with the state.
        states: the certified largest |s| of every state.
    """

    certified: float
    rate: float
    visited: float
    states: Mapping[str, float]

    def check(self, cell: Cell, jacobian: float, states: Mapping[str, float]) -> None:
        """Raise BrokenBound where the largest measured norm, or the largest |s|, is above what is proved."""
        for what, found, limit in (
            ("the Jacobian's norm, over all states and inputs,", jacobian, self.certified),
            ("the Jacobian's norm, over the states and inputs visited,", jacobian, self.visited),
            *((f"|{typeset(name)}|", found, self.states[name]) for name, found in states.items()),
        ):
            if exceeds(found, limit):
                raise BrokenBound(
                    f"{cell.name}: {what} is proved to be at most {limit!r}, but {found!r} was measured; "
                    "the proof is wrong, please report it with these weights"
                )


def find_bounds(
    cell: Cell,
    params: Mapping[str, Array],
    norm: Any,
    limits: float | Array,
    states: Mapping[str, Array],
    inputs: Array,
) -> Bounds:
    """The bounds at these weights, in float64.

    Args:
        norm: 2 or ∞, as `derive.bounds.symbols.read_norm` gives it.
        limits: of |x|, for what is certified: a number, or (m,).
        states: the largest |s| of each state before a step that was visited, (n,) by name.
        inputs: the largest |x| visited, (m,).
    """
    found = certify(cell, params, norm=norm, inputs=limits, rigorous=False)
    visited = math.inf
    if all(np.isfinite(limit).all() for limit in states.values()):
        visited = bound(cell, norm).evaluate(params, states, inputs if cell.inputs else None)
    return Bounds(found.jacobian, found.rate, visited, found.boxes)


def exceeds(found: float, limit: float) -> bool:
    """Whether a number, finite or not, is above a finite bound by more than rounding."""
    return math.isfinite(limit) and not found <= limit * (1 + TOLERANCE)
