"""Bernstein form: a polynomial over a box lies between its least and its greatest Bernstein coefficient.

Most functions work in any number type that NumPy carries: float64, and object arrays of
``fractions.Fraction`` or ``flint.arb``.  Axis 0 is the batch; axis 1 + i belongs to variable i, and its
length is its degree plus one.  Corners of the array are values of the polynomial at the corners of the box.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import sympy

from derive.errors import DeriveError

Array: TypeAlias = npt.NDArray[Any]
Path: TypeAlias = tuple[
    tuple[int, int], ...
]  # (axis, 0 for the lower half or 1 for the upper), from the whole box


class BadBox(DeriveError, ValueError):
    """A box that Bernstein form cannot use: infinite, empty, or of the wrong dimension."""


def fraction(number: Any) -> Fraction:
    """An exact rational of Python out of an int, a Fraction, "p/q", or a SymPy Rational."""
    if isinstance(number, sympy.Basic):
        if not isinstance(number, sympy.Rational):
            raise BadBox(f"{number} is not a rational number; give a variable w with w**2 == … for a root")
        return Fraction(int(number.p), int(number.q))
    return Fraction(number)


def tensor(poly: sympy.Poly, box: Sequence[tuple[Any, Any]]) -> Array:
    """The exact Bernstein coefficients of ``poly`` over ``box`` (a pair of rationals for each generator)."""
    if len(box) != len(poly.gens):
        raise BadBox(f"{len(poly.gens)} variables {poly.gens}, but a box of {len(box)} intervals")
    for symbol, (low, high) in zip(poly.gens, box, strict=True):
        if (
            sympy.sympify(low).is_infinite
            or sympy.sympify(high).is_infinite
            or fraction(low) > fraction(high)
        ):
            raise BadBox(
                f"{symbol} in [{low}, {high}]: Bernstein form needs finite bounds, the lower one first"
            )
    terms = [(exponents, fraction(coefficient)) for exponents, coefficient in poly.terms()]
    return from_terms(terms, [(fraction(low), fraction(high)) for low, high in box])


def from_terms(
    terms: Iterable[tuple[Sequence[int], Fraction]], box: Sequence[tuple[Fraction, Fraction]]
) -> Array:
    """:func:`tensor` of a polynomial given as exponents and coefficients."""
    terms = list(terms)
    shape = tuple(max((exponents[i] for exponents, _ in terms), default=0) + 1 for i in range(len(box)))
    coefficients = np.full((1, *shape), Fraction(0), dtype=object)
    for exponents, coefficient in terms:
        coefficients[(0, *exponents)] = coefficient
    ends = np.array(box, dtype=object).reshape(1, len(box), 2)
    whole: Array = from_monomials(coefficients, ends[..., 0], ends[..., 1])[0]
    return np.asarray(whole, dtype=object)


def from_monomials(coefficients: Array, lows: Array, highs: Array) -> Array:
    """The Bernstein coefficients over [low, high] of polynomials given in the power basis.

    ``coefficients`` has shape (batch, d1 + 1, …, dk + 1); ``lows`` and ``highs`` have shape (batch, k).
    """
    result = coefficients
    for axis in range(coefficients.ndim - 1):
        result = _one_axis(result, axis, lows[:, axis], highs[:, axis])
    return result


def _one_axis(coefficients: Array, axis: int, low: Array, high: Array) -> Array:
    """Change of basis along one axis: coefficient i is the blossom at (n - i) times low and i times high."""
    source = np.moveaxis(coefficients, axis + 1, 0)
    degree = len(source) - 1
    wide = (len(low),) + (1,) * (source.ndim - 2)
    low_powers, high_powers = (_powers(end.reshape(wide), degree) for end in (low, high))
    result = np.empty_like(source)
    for i in range(degree + 1):
        total = source[0]
        for j in range(1, degree + 1):
            weight = sum(
                low_powers[j - k] * high_powers[k] * (math.comb(degree - i, j - k) * math.comb(i, k))
                for k in range(max(0, i + j - degree), min(i, j) + 1)
            )
            total = total + source[j] * weight / math.comb(degree, j)
        result[i] = total
    return np.moveaxis(result, 0, axis + 1)


def _powers(base: Array, most: int) -> list[Any]:
    powers: list[Any] = [1]
    while len(powers) <= most:
        powers.append(powers[-1] * base)
    return powers


def halves(coefficients: Array, axis: int) -> tuple[Array, Array]:
    """The Bernstein coefficients over the two halves of the box along variable ``axis`` (de Casteljau)."""
    left = np.moveaxis(coefficients.copy(), axis + 1, 0)
    right = np.moveaxis(coefficients.copy(), axis + 1, 0)
    current = right[:]
    for i in range(1, len(left)):
        current = (current[:-1] + current[1:]) / 2
        left[i] = current[0]
        right[len(left) - 1 - i] = current[-1]
    return np.moveaxis(left, 0, axis + 1), np.moveaxis(right, 0, axis + 1)


def corners(coefficients: Array) -> Array:
    """The values at the corners of the box, one row for each item of the batch."""
    picked = coefficients[(slice(None), *(slice(None, None, max(n - 1, 1)) for n in coefficients.shape[1:]))]
    return picked.reshape(len(coefficients), -1)


def _bends(coefficients: Array) -> Array:
    """For every item and variable how far the form is from affine in it: the greatest second difference."""
    flat = np.zeros((len(coefficients), coefficients.ndim - 1), dtype=coefficients.dtype)
    for axis in range(coefficients.ndim - 1):
        if coefficients.shape[axis + 1] > 2:
            bend = abs(np.diff(coefficients, 2, axis=axis + 1))
            flat[:, axis] = bend.reshape(len(bend), -1).max(axis=1)
    return flat


def maximize(
    coefficients: Array, *, tolerance: float, most_boxes: int = 4000
) -> tuple[Array, Array, npt.NDArray[np.int64]]:
    """Enclose the maximum over the box for every item of a batch: (lower, upper, number of leaves).

    ``lower`` is attained at a corner of some subbox; ``upper`` bounds the maximum.  They differ by at most
    ``tolerance * max(1, |upper|)``, unless an item needed more than ``most_boxes`` boxes; ``upper`` is valid
    in any case.  In floats the bounds hold up to rounding, in Fractions exactly.  In arb they hold with all
    rounding inside: the search runs in floats, and what averaging and conversion can have lost is added.
    """
    if not len(coefficients):
        return coefficients.reshape(0), coefficients.reshape(0), np.zeros(0, dtype=np.int64)
    if coefficients.dtype == object and not _exact(coefficients):
        return _maximize_arb(coefficients, tolerance, most_boxes)
    lower, upper, leaves, _ = _search(coefficients, tolerance, most_boxes)
    return lower, upper, leaves


def _exact(coefficients: Array) -> bool:
    return isinstance(coefficients.flat[0], Fraction | int)


def _search(coefficients: Array, tolerance: float, most_boxes: int) -> tuple[Array, Array, Array, int]:
    """Branch and bound of all items in lockstep; the last result is the number of rounds of halving."""
    batch, rounds = len(coefficients), 0
    width = tolerance if coefficients.dtype != object else Fraction(tolerance)
    lower = corners(coefficients).max(axis=1)
    upper = lower.copy()
    leaves, spent = np.zeros(batch, dtype=np.int64), np.ones(batch, dtype=np.int64)
    boxes, item = coefficients, np.arange(batch)
    while len(boxes):
        tops = boxes.reshape(len(boxes), -1).max(axis=1)
        np.maximum.at(lower, item, corners(boxes).max(axis=1))
        np.maximum.at(upper, item, lower[item])
        gaps = tops - lower[item]
        promising = (gaps > 0) & (gaps > width * np.maximum(abs(tops), 1)) & (spent[item] <= most_boxes)
        closed = ~promising.astype(bool)  # NaN closes a box and stays in the bound
        np.maximum.at(upper, item[closed], tops[closed])
        np.add.at(leaves, item[closed], 1)
        boxes, item = boxes[~closed], item[~closed]
        if not len(boxes):
            break
        rounds += 1
        np.add.at(spent, item, 2)
        axes = np.argmax(_bends(boxes), axis=1)
        children: list[Array] = []
        owners: list[Array] = []
        for axis in np.unique(axes):
            chosen = axes == axis
            children.extend(halves(boxes[chosen], int(axis)))
            owners.extend([item[chosen]] * 2)
        boxes, item = np.concatenate(children), np.concatenate(owners)
    return lower, upper, leaves, rounds


def _maximize_arb(coefficients: Array, tolerance: float, most_boxes: int) -> tuple[Array, Array, Array]:
    """Floats search; arb closes the account.

    Each level of de Casteljau replaces numbers by (a + b) / 2, which float64 does with an error of at most
    2⁻⁵³·M where M bounds all the numbers (adding denormals: 2⁻¹⁰⁷⁴ more), and averages the old errors.  So
    after ``rounds`` halvings along axes of degree d or less, no coefficient is off by more than
    rounds·d·(2⁻⁵³·M + 2⁻¹⁰⁷⁴) plus what the conversion to floats lost.
    """
    from flint import arb

    flat = coefficients.reshape(len(coefficients), -1)
    middle = np.vectorize(lambda x: float(x.mid()), otypes=[float])(flat)
    if not (abs(middle) < 1e300).all():  # no room to add two of them
        unknown = np.full(len(flat), arb("+inf"), dtype=object)
        return -unknown, unknown, np.zeros(len(flat), dtype=np.int64)
    lower, upper, leaves, rounds = _search(middle.reshape(coefficients.shape), tolerance, most_boxes)
    degree = max((n - 1 for n in coefficients.shape[1:]), default=0)
    lows, highs = np.empty(len(flat), dtype=object), np.empty(len(flat), dtype=object)
    for i, (row, floats) in enumerate(zip(flat, middle, strict=True)):
        loss = max(
            (float(abs(x - m).upper()) for x, m in zip(row, floats.tolist(), strict=True)), default=0.0
        )
        # float() may round down, and M is the greatest number of the search: one part in 2⁴⁰ covers both
        slack = arb(loss) + rounds * degree * (arb(2) ** -53 * float(abs(floats).max()) + arb(2) ** -1074)
        slack = slack * (1 + arb(2) ** -40) + arb(2) ** -1074
        lows[i] = (arb(float(lower[i])) - slack).lower()
        highs[i] = (arb(float(upper[i])) + slack).upper()
    return lows, highs, leaves


@dataclass(frozen=True)
class Cover:
    """Why a polynomial is not negative: subboxes that cover the box, each with no negative coefficient."""

    leaves: tuple[Path, ...]


@dataclass(frozen=True)
class Below:
    """A point of [0, 1]^k (scaled to the box) at which the polynomial is negative, and its value there."""

    point: tuple[Fraction, ...]
    value: Fraction


def nonnegative(
    coefficients: Array, *, strict: bool = False, most_boxes: int = 4000, most_halvings: int = 64
) -> Cover | Below | None:
    """Decide P ≥ 0 (``strict``: P > 0) on the box from exact Bernstein coefficients, without a batch axis.

    None where the budget of boxes or of halvings in a row ended, as for a zero that halving does not reach.
    """
    scale = math.lcm(*(Fraction(c).denominator for c in coefficients.flat)) or 1
    k = coefficients.ndim
    level: list[tuple[Array, Path, tuple[tuple[Fraction, Fraction], ...], int]]
    level = [(_integers(coefficients, scale), (), ((Fraction(0), Fraction(1)),) * k, scale)]
    leaves: list[Path] = []
    seen = 1
    while level:  # breadth first: a counterexample in a large box is found before small boxes are proved
        following = []
        for box, path, place, unit in level:
            corner = np.asarray(corners(box[None])[0])
            worst = int(np.argmin(corner))
            if corner[worst] < 0 or (strict and corner[worst] == 0):
                return Below(_corner(box.shape, worst, place), Fraction(corner[worst], unit))
            least = box.min()
            if least > 0 or (least == 0 and not strict):
                leaves.append(path)
                continue
            axis = int(np.argmax(_bends(box[None])[0]))
            seen += 2
            for side, half in enumerate(_integer_halves(box, axis)):
                low, high = place[axis]
                cut = (low, (low + high) / 2) if side == 0 else ((low + high) / 2, high)
                here = (*place[:axis], cut, *place[axis + 1 :])
                following.append((half, (*path, (axis, side)), here, unit << (box.shape[axis] - 1)))
        if following and (seen > most_boxes or len(following[0][1]) > most_halvings):
            return None
        level = following
    return Cover(tuple(sorted(leaves)))


def _integers(coefficients: Array, scale: int) -> Array:
    result = np.empty(coefficients.shape, dtype=object)
    result.flat[:] = [int(Fraction(c) * scale) for c in coefficients.flat]
    return result


def _integer_halves(box: Array, axis: int) -> tuple[Array, Array]:
    """:func:`halves` without a division: integers, times two to the power of the degree."""
    degree = box.shape[axis] - 1
    doubled = box * (1 << degree)
    left, right = np.moveaxis(doubled.copy(), axis, 0), np.moveaxis(doubled, axis, 0)
    current = right[:]
    for i in range(1, degree + 1):
        current = (current[:-1] + current[1:]) // 2
        left[i], right[degree - i] = current[0], current[-1]
    return np.moveaxis(left, 0, axis), np.moveaxis(right, 0, axis)


def _corner(
    shape: tuple[int, ...], index: int, place: tuple[tuple[Fraction, Fraction], ...]
) -> tuple[Fraction, ...]:
    sides = np.unravel_index(index, tuple(min(n, 2) for n in shape))
    return tuple(ends[int(side)] for ends, side in zip(place, sides, strict=True))
