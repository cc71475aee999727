"""Points to try: inside the box, exact, simple ones first."""

from fractions import Fraction
from itertools import islice

import sympy
from sympy import oo

from derive.decide import Problem
from derive.decide.points import candidates, clip, halton, near, refuting, somewhere, within

a, b, c = sympy.symbols("a b c")
PROBLEM = Problem.of({a: (0, 1), b: (2, oo), c: (-oo, oo)}, (a, ">=", 0))


def test_candidates_lie_in_the_box() -> None:
    points = list(candidates(PROBLEM))
    assert all(PROBLEM.applies_at(point) for point in points)
    assert {"a": 0, "b": 2, "c": 0} in points
    assert {"a": 1, "b": 3, "c": 1} in points
    assert any(point["c"] < 0 for point in points)


def test_no_interval_is_left() -> None:
    for variable in (*PROBLEM.variables, ("d", None, Fraction(-3))):
        for x in (somewhere(variable), within(Fraction(1, 3), variable), clip(Fraction(-100), variable)):
            assert clip(x, variable) == x


def test_halton() -> None:
    assert [halton(n, 2) for n in (1, 2, 3, 4)] == [
        Fraction(1, k) * j for k, j in ((2, 1), (4, 1), (4, 3), (8, 1))
    ]


def test_near_starts_simple_and_ends_exact() -> None:
    exact = Fraction(1_000_003, 2_000_001)
    points = list(near(PROBLEM, {"a": (str(exact),) * 2, "b": ("5/2", "5/2")}))
    assert points[0] == {"a": Fraction(1, 2), "b": Fraction(5, 2), "c": 0}
    assert points[-1]["a"] == exact


def test_refuting_takes_the_first_counterexample() -> None:
    half = Problem.of({a: (0, 1)}, 2 * a <= 1)
    assert refuting(half, candidates(half)) == {"a": 1}
    assert refuting(half, islice(candidates(half), 1)) is None
