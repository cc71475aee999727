"""Exact rational points of a problem's box that are worth a try before, and after, a prover is asked."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from derive.decide.problem import Problem, Variable

Point = dict[str, Fraction]

_MOST_CORNERS = 64
_INNER = 16
_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
_DENOMINATORS = (4, 16, 100, 10**4, 10**8, 10**16, 10**30)


def somewhere(variable: Variable) -> Fraction:
    """A point of the variable's interval."""
    _, low, high = variable
    return low if low is not None else high if high is not None else Fraction(0)


def clip(x: Fraction, variable: Variable) -> Fraction:
    """The point of the interval that is nearest to x."""
    _, low, high = variable
    return low if low is not None and x < low else high if high is not None and x > high else x


def within(t: Fraction, variable: Variable) -> Fraction:
    """The point of the interval at 0 < t < 1; infinite intervals are stretched."""
    _, low, high = variable
    if low is not None and high is not None:
        return low + (high - low) * t
    if low is not None:
        return low + t / (1 - t)
    if high is not None:
        return high - t / (1 - t)
    return (2 * t - 1) / (t * (1 - t))


def candidates(problem: Problem) -> Iterator[Point]:
    """Corners (in an infinite interval: its end, or 0, and one step further), the centre, inner points."""
    ends = []
    for variable in problem.variables:
        first, (_, low, high) = somewhere(variable), variable
        if low is not None and high is not None:
            ends.append((low, high))
        else:
            ends.append((first, first + 1 if high is None else first - 1))
    for corner in itertools.islice(itertools.product(*ends), _MOST_CORNERS):
        yield dict(zip(problem.names, corner, strict=True))
    for n in range(1, _INNER + 1):
        yield {
            variable[0]: within(halton(n, _PRIMES[i % len(_PRIMES)]), variable)
            for i, variable in enumerate(problem.variables)
        }
        if n == 1:
            yield {variable[0]: within(Fraction(1, 2), variable) for variable in problem.variables}


def halton(n: int, base: int) -> Fraction:
    """The n-th number of the van der Corput sequence: the digits of n behind the point, in reverse."""
    digits, value, unit = n, Fraction(0), Fraction(1)
    while digits:
        unit /= base
        value += unit * (digits % base)
        digits //= base
    return value


def near(problem: Problem, model: Mapping[str, Sequence[str]]) -> Iterator[Point]:
    """Rational points near a solver's model (by the names of the SMT-LIB script), the simplest first."""
    middles = []
    for smt_name, variable in zip(problem.smt_names(), problem.variables, strict=True):
        low, high = (Fraction(end) for end in model.get(smt_name, (str(somewhere(variable)),) * 2))
        middles.append((low + high) / 2)
    for most in _DENOMINATORS:
        yield {
            v[0]: clip(x.limit_denominator(most), v) for x, v in zip(middles, problem.variables, strict=True)
        }
    yield {v[0]: clip(x, v) for x, v in zip(middles, problem.variables, strict=True)}


def refuting(problem: Problem, points: Iterator[Point]) -> Point | None:
    """The first of the points that is an exact counterexample."""
    return next((point for point in points if not problem.holds_at(point)), None)
