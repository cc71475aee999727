"""Problems that several tests share."""

import sympy
from sympy import Rational, oo

from derive.decide import Problem

z, w, s, t, r = sympy.symbols("z w s t r")
a, b, c, d = sympy.symbols("a b c d")

PEAK = Rational(4, 27)  # of z²(1 − z), at z = 2/3
NORMS = dict.fromkeys((a, b, c, d), (0, oo))
DETERMINANT = a * d - b * c
MINOR = (1 - a) * (1 - d) - b * c
MINORS_QUESTIONS = [1 - a > 0, MINOR > 0]


def peak(bound: sympy.Expr) -> Problem:
    """z²(1 − z) ≤ bound."""
    return Problem.of({z: (0, 1)}, (bound, ">=", z**2 * (1 - z)))


def gru_row(bound: sympy.Expr) -> Problem:
    """Like one row of the GRU's Jacobian with norms one: z + (s − t)z(1 − z) + (1 − z)(1 − t²)."""
    row = z + (s - t) * z * (1 - z) + (1 - z) * (1 - t**2)
    return Problem.of({z: (0, 1), s: (-1, 1), t: (-1, 1)}, row <= bound)


def gru_norms(condition: sympy.Expr) -> Problem:
    """A row of the GRU's Jacobian with norms a, b, c stays below 1 where ``condition`` ≤ 1."""
    row = z + z * (1 - z) * (s - t) * b + (1 - z) * (1 - t**2) * (r * a + s * r * (1 - r) * c)
    box = {z: (0, 1), s: (-1, 1), t: (-1, 1), r: (0, 1), a: (0, oo), b: (0, oo), c: (0, oo)}
    return Problem.of(box, row <= 1, [condition <= 1])


def hopeless() -> Problem:
    """True and far beyond what the solvers do in seconds: eight variables, degree six, two power sums."""
    x = sympy.symbols("x0:8")
    left = sum(v**4 for v in x) * sum(v**2 for v in x)
    right = sum(x[i] ** 3 * x[(i + 1) % 8] for i in range(8)) * sum(x[i] * x[(i + 3) % 8] for i in range(8))
    return Problem.of(dict.fromkeys(x, (0, oo)), (left, ">=", right))
