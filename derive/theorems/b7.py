"""B7: when two runs of an LSTM under the same input come together: a 2 × 2 matrix, and one test too many."""

from __future__ import annotations

from typing import Any

import sympy

from derive.bounds import Bound, bound
from derive.bounds.condition import block_matrix, positive_minors
from derive.bounds.symbolic import SymbolicBounds
from derive.bounds.symbols import norm_symbol
from derive.claim import Claim
from derive.symbols import Activated
from derive.theorems.theorem import Theorem
from derive.theorems.tools.attacks import contraction
from derive.theorems.tools.facts import disproved
from derive.theorems.tools.implication import Domain, Polynomial, ends_domain, implies, through, upper_end
from derive.theorems.tools.trials import Trial

W, W_i, W_o, W_f = (norm_symbol(name) for name in ("W", "W_i", "W_o", "W_f"))


def subject(norm: Any = "inf") -> Bound:
    return bound("lstm", norm, inputs=1)


def matrix(found: Bound) -> sympy.Matrix:
    """A = [[f̄, α], [ōf̄, ōα + D]], over (c, h).

    α = ¼‖U_f‖ īφ̄/(1 - f̄) + ī‖U_c‖ + ¼‖U_i‖φ̄ and D = ¼ tanh(īφ̄/(1 - f̄))‖U_o‖; theirs are U_f, U_i, U_o,
    U_c and φ̄, ours W_f, W_i, W_o, W and the upper end of the candidate c̃.
    """
    f, i, o, candidate = (upper_end(found, name) for name in ("f", "i", "o", "c_tilde"))
    h = found.cell.equations[found.cell.symbols["h"]]
    (shown,) = h.atoms(Activated)  # tanh(c), whose upper end tanh(īφ̄/(1 - f̄)) has a symbol of its own
    top = found.setting.ranges(shown).high
    most = i * candidate / (1 - f)
    alpha = W_f * most / 4 + i * W + W_i * candidate / 4
    squashed = sympy.tanh(most).xreplace({found.gates[top]: top})
    return sympy.Matrix([[f, alpha], [o * f, o * alpha + squashed * W_o / 4]])


def pair(a: sympy.Matrix) -> Any:
    """The published test: trace < 1 + det, det < 1."""
    return sympy.And(a.trace() < 1 + a.det(), a.det() < 1)


def prove() -> list[Claim]:
    return [*_contraction(), *_tests()]


def _contraction() -> list[Claim]:
    """By way of the entries over (c, h): N has those of A in the ∞-norm, and smaller ones in the 2-norm."""
    found, two = subject(), subject(2)
    a, n = (
        sympy.symbols(f"{letter}_cc {letter}_ch {letter}_hc {letter}_hh", nonnegative=True) for letter in "AN"
    )
    squares = {x: (x, ">=", 0) for x in (*a, *n)}
    below = [(x, "<=", y) for x, y in zip(n, a, strict=True)]
    theirs, ours = pair(sympy.Matrix(2, 2, a)), _minors(n)

    def by(
        name: str, statement: str, one: Bound, given: Any, conclusion: Any, order: list[Polynomial]
    ) -> Claim:
        entries = [*matrix(one), *blocks(one)]
        return through(
            name,
            statement,
            conclusion,
            ends_domain(one, *entries).given(*given.args),
            where=dict(zip((*a, *n), entries, strict=True)),
            facts=[*squares.values(), *order, (a[0], "<", 1)],
            assumptions=one.assumptions,
        )

    above = [(y, "<=", x) for x, _, y in below]
    return [
        by("contraction-inf", "B7 in the ∞-norm ⇒ the engine's condition", found, theirs, ours, below),
        by("converse", "the engine's condition in the ∞-norm ⇒ B7", found, ours, theirs, above),
        by("contraction-2", "B7 in the 2-norm ⇒ the engine's condition", two, theirs, ours, below),
    ]


def _minors(n: tuple[sympy.Symbol, ...]) -> Any:
    """The engine's condition in the entries of N over (c, h); its own order of the states is (h, c)."""
    return positive_minors(sympy.Matrix([[n[3], n[2]], [n[1], n[0]]]))


def blocks(found: Bound) -> tuple[sympy.Expr, ...]:
    """The entries of N over (c, h), of which the engine's condition is made."""
    symbolic = SymbolicBounds(found.cell, found.setting.ranges, closed=True)
    own = block_matrix(found.cell, found.norm, symbolic)
    if positive_minors(own) != found.condition_in_gates or found.cell.states != ("h", "c"):
        raise ValueError("the engine's condition is not made of the blocks of (h, c)")
    return own[1, 1], own[1, 0], own[0, 1], own[0, 0]


def _tests() -> list[Claim]:
    """Which tests say that A ≥ 0 has a spectral radius below 1, once and for all."""
    a, b, c, d = sympy.symbols("a b c d", nonnegative=True)
    radius = sympy.Symbol("radius", nonnegative=True)
    block = sympy.Matrix([[a, b], [c, d]])
    trace, determinant = (a + d < 1 + block.det(), block.det() < 1)
    minors = sympy.And(a < 1, (sympy.eye(2) - block).det() > 0)
    on = Domain(dict.fromkeys((a, b, c, d), (sympy.S.Zero, sympy.oo)))
    # the greater eigenvalue: real, since trace² - 4 det = (a - d)² + 4bc ≥ 0, and not the smaller in size
    eigen = on.joined({radius: (0, sympy.oo)}).given(
        (radius**2 - (a + d) * radius + block.det(), "==", 0), (2 * radius, ">=", a + d)
    )
    assuming = ("A = [[a, b], [c, d]] ≥ 0, radius its spectral radius",)
    both = sympy.And(trace, determinant)
    known = "all leading principal minors of I - A are positive"
    said: list[tuple[str, str, Any, Domain]] = [
        ("minors", f"{known} ⇒ ρ(A) < 1", radius < 1, eigen.given(*minors.args)),
        ("minors-converse", f"ρ(A) < 1 ⇒ {known}", minors, eigen.given(radius < 1)),
        ("pair", "trace < 1 + det and det < 1 ⇒ ρ(A) < 1", radius < 1, eigen.given(*both.args)),
        ("pair-converse", "ρ(A) < 1 ⇒ trace < 1 + det and det < 1", both, eigen.given(radius < 1)),
        ("redundant", "a < 1 and trace < 1 + det ⇒ det < 1", determinant, on.given(a < 1, trace)),
    ]
    claims = [
        implies(name, statement, goal, where, assumptions=assuming) for name, statement, goal, where in said
    ]
    refuted = [
        ("second", "trace < 1 + det ⇒ det < 1", determinant, trace, "det < 1 is not redundant without a < 1"),
        ("first", "det < 1 ⇒ trace < 1 + det", trace, determinant, "trace < 1 + det is not redundant"),
    ]
    return claims + [
        disproved(implies(name, statement, goal, on.given(given), assumptions=assuming), told)
        for name, statement, goal, given, told in refuted
    ]


TRIAL = Trial(subject, lambda found: pair(matrix(found)), contraction)

THEOREM = Theorem(
    name="B7",
    title="Incremental stability of the LSTM",
    statement=(
        "A = [[f̄, α], [ōf̄, ōα + D]] has spectral radius below 1 ⇒ incrementally stable, with "
        "α = ¼‖W_f‖īφ̄/(1 - f̄) + ī‖W‖ + ¼‖W_i‖φ̄ and D = ¼ tanh(īφ̄/(1 - f̄))‖W_o‖"
    ),
    latex=(
        r"\rho \begin{pmatrix} \bar f & \alpha \\ \bar o \bar f & \bar o \alpha + D \end{pmatrix} < 1"
        r" \implies |\Delta (c, h)_t| \to 0"
    ),
    source=(
        "Terzi, Bonassi, Farina and Scattolini, Learning model predictive control with long short-term "
        "memory networks, 2021 (form recalled)"
    ),
    cells=("lstm",),
    assumptions=("∞-norm or 2-norm", "|u| ≤ 1", "x̄ = σ(‖[W U b]‖) of every gate, or any upper bounds"),
    prove=prove,
    compare=TRIAL.compare,
    attack=TRIAL.attack,
)
