"""A polynomial of degree one in each variable is extreme over a box at vertices: look at all of them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction

from derive.decide.points import somewhere
from derive.decide.problem import Problem

_MOST_VARIABLES = 12


@dataclass(frozen=True)
class Vertices:
    """The least value of the conclusion's polynomial (for ``==``: the farthest from 0), and where it is."""

    value: Fraction
    at: tuple[Fraction, ...]
    count: int


def vertices(problem: Problem) -> Vertices | None:
    """The extreme value over all vertices, ignoring the hypotheses.

    None where vertices do not decide: degree two or more, an infinite interval, or more than 12 variables.
    Variables that do not occur in the conclusion stay anywhere in their intervals.
    """
    used = problem.used()
    if len(used) > _MOST_VARIABLES or any(problem.conclusion.degree(i) > 1 for i in used):
        return None
    ends: list[tuple[Fraction, ...]] = [(somewhere(variable),) for variable in problem.variables]
    for i in used:
        _, low, high = problem.variables[i]
        if low is None or high is None:
            return None
        ends[i] = (low, high)
    values = [(problem.conclusion.value(vertex), vertex) for vertex in itertools.product(*ends)]
    if problem.conclusion.op == "==":
        value, at = max(values, key=lambda pair: abs(pair[0]))
    else:
        value, at = min(values)
    return Vertices(value, at, len(values))
