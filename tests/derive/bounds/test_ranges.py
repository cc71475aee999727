"""Ranges of vectors: exact ends, whatever the argument is."""

import pytest
import sympy
from sympy import Rational, S, oo

import derive
from derive import ACTIVATIONS, Activation, Cell, Input, Parameter, State, Vector, mean, tanh, variance
from derive.bounds.ranges import EVERYTHING, Range, Ranges, symmetric
from derive.bounds.symbols import norm_symbol
from derive.symbols import Quantity

s, c, x = State("s"), State("c"), Input("x")
W, U, b, p = Parameter("W", "n", "n"), Parameter("U", "n", "m"), Parameter("b", "n"), Parameter("p", "n")
VANILLA = derive.cell("vanilla")
GRU = derive.cell("gru")
BOUND = sympy.Symbol("A", nonnegative=True)


def value(phi: Activation, at: sympy.Expr) -> sympy.Expr:
    return phi.formula.subs(derive.activations.a, at)


def of(phi: Activation, argument: Range) -> tuple[Range, Ranges]:
    """The range of φ(s) for s in an interval."""
    ranges = Ranges(VANILLA, {s.prev: argument})
    return ranges(phi(s.prev)), ranges


@pytest.mark.parametrize("phi", ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_an_activation_of_numbers_of_all_and_of_a_half_line(phi: Activation) -> None:
    low, high = Rational(-1, 3), Rational(7, 2)
    assert phi.monotone  # all of the table are: the ends go to the ends
    assert of(phi, Range(low, high))[0] == Range(value(phi, low), value(phi, high))
    assert of(phi, EVERYTHING)[0] == Range(phi.range.inf, phi.range.sup)
    assert of(phi, Range(low, oo))[0] == Range(value(phi, low), phi.range.sup)
    assert of(phi, Range(-oo, high))[0] == Range(phi.range.inf, value(phi, high))


@pytest.mark.parametrize(
    ("name", "low", "high", "least"),
    [
        ("sigmoid", lambda z: 1 - z, lambda A: 1 / (1 + sympy.exp(-A)), Rational(1, 2)),
        ("tanh", lambda z: -z, sympy.tanh, S.Zero),
        ("softsign", lambda z: -z, lambda A: A / (1 + A), S.Zero),
        (
            "hard_sigmoid",
            lambda z: 1 - z,
            lambda A: sympy.Min(1, sympy.Max(0, A / 6 + Rational(1, 2))),
            Rational(1, 2),
        ),
    ],
)
def test_an_activation_of_a_symbol_is_named(name: str, low: object, high: object, least: object) -> None:
    found, ranges = of(ACTIVATIONS[name], symmetric(BOUND))
    (top,) = ranges.gate_bounds
    assert (found.low, found.high) == (low(top), top)  # type: ignore[operator]
    assert ranges.gate_bounds[top] == high(BOUND)  # type: ignore[operator]
    assert ranges.tops == {top: least}
    assert found.is_positive == (name in ("sigmoid", "hard_sigmoid"))
    assert found.magnitude == top
    assert ranges.attained == ({top} if name == "hard_sigmoid" else set())  # σ does not reach 1, hard σ does


def test_an_activation_of_a_symbol_without_a_reflection() -> None:
    assert of(ACTIVATIONS["relu"], symmetric(BOUND))[0] == Range(S.Zero, BOUND)
    assert of(ACTIVATIONS["identity"], symmetric(BOUND))[0] == symmetric(BOUND)
    softplus = of(ACTIVATIONS["softplus"], symmetric(BOUND))[0]
    assert softplus == Range(S.Zero, sympy.log(2) + BOUND)


def test_ends_within_larger_ranges_are_not_taken_for_numbers_below_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """LeCun's 1.7159 tanh(2a/3) reaches past 1."""
    a = derive.activations.a
    wide = derive.activations.Definition(
        latex="l",
        formula=Rational(17159, 10000) * sympy.tanh(2 * a / 3),
        numpy=lambda v: v,
        torch="l({})",
        range=sympy.Interval.open(-Rational(17159, 10000), Rational(17159, 10000)),
        derivative=None,
        lipschitz=Rational(6, 5),
        monotone=True,
        reflection=S.Zero,
    )
    monkeypatch.setitem(derive.activations._DEFINITIONS, "wide", wide)
    found, ranges = of(Activation("wide"), symmetric(BOUND))
    assert found.low == -found.high
    assert found.high in ranges.gate_bounds
    assert ranges.tops == {}


def test_gates_of_the_gru_from_norms() -> None:
    ranges = Ranges(GRU, {s.prev: symmetric(1), x: symmetric(2)})
    z = ranges(GRU.symbols["z"])
    A = norm_symbol("W_z") + 2 * norm_symbol("U_z") + norm_symbol("b_z")
    (top,) = ranges.gate_bounds
    assert str(top) == "z_bar"
    assert z == Range(1 - top, top, positive=True)
    assert ranges.gate_bounds[top] == 1 / (1 + sympy.exp(-A))
    # the reset gate has a symbol of its own, the candidate is within what both leave
    candidate = ranges(GRU.symbols["s_tilde"]).high
    assert {str(g) for g in ranges.gate_bounds} == {"z_bar", "r_bar", "s_tilde_bar"}
    r = sympy.Symbol("r_bar", positive=True)
    inner = norm_symbol("W") * r + 2 * norm_symbol("U") + norm_symbol("b")
    assert ranges.gate_bounds[candidate] == sympy.tanh(inner)


def test_a_linear_map_in_either_norm() -> None:
    for norm, spread in ((oo, S.One), (2, sympy.sqrt(sympy.Symbol("n", positive=True)))):
        ranges = Ranges(VANILLA, {s.prev: symmetric(3)}, norm=norm)
        assert ranges(W @ s.prev) == symmetric(3 * norm_symbol("W") * spread)
        assert ranges(mean(s.prev)) == symmetric(3)
        assert ranges(p * s.prev) == symmetric(3 * norm_symbol("p"))
    unknown = Ranges(VANILLA, {s.prev: symmetric(3)}, norm=None)
    assert unknown(W @ s.prev) == EVERYTHING
    assert unknown(W @ (0 * s.prev)) == Range(S.Zero, S.Zero)


def test_sums_products_and_powers() -> None:
    ranges = Ranges(VANILLA, {s.prev: Range(S(-1), S(2)), c.prev: Range(S(3), S(4))})
    assert ranges(s.prev + c.prev) == Range(S(2), S(6))
    assert ranges(s.prev - c.prev) == Range(S(-5), S(-1))
    assert ranges(s.prev * c.prev) == Range(S(-4), S(8))
    assert ranges(s.prev**2) == Range(S.Zero, S(4))
    assert ranges(s.prev**3) == Range(S(-1), S(8))
    assert ranges(c.prev ** Rational(-1, 2)) == Range(Rational(1, 2), 1 / sympy.sqrt(3))
    assert ranges(s.prev ** Rational(1, 2)) == EVERYTHING  # may be below 0
    assert ranges(x * (0 * s.prev)) == Range(S.Zero, S.Zero)  # 0 · ∞ is 0


def test_normalization_divides_by_at_least_one() -> None:
    """q = 1/√(Var + 1) lies in (0, 1] whatever the vector is, and above 0 where that is bounded."""
    q = 1 / sympy.sqrt(variance(s.prev) + 1)
    assert Ranges(VANILLA, {})(q) == Range(S.Zero, S.One)
    # |s - mean(s)| ≤ 2 for |s| ≤ 1, so Var ≤ 4
    assert Ranges(VANILLA, {s.prev: symmetric(1)})(q) == Range(1 / sympy.sqrt(5), S.One)
    third = 1 / sympy.sqrt(variance(s.prev) + 9)
    assert Ranges(VANILLA, {})(third) == Range(S.Zero, Rational(1, 3))


def test_an_activation_that_is_not_monotone_is_bounded_by_its_lipschitz_constant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a = derive.activations.a
    bump = derive.activations.Definition(
        latex="bump",
        formula=1 / (1 + a**2),
        numpy=lambda v: 1 / (1 + v**2),
        torch="bump({})",
        range=sympy.Interval.Lopen(0, 1),
        derivative=None,
        lipschitz=S.One,
        monotone=False,
    )
    monkeypatch.setitem(derive.activations._DEFINITIONS, "bump", bump)
    phi = Activation("bump")
    # its ends are not those of the interval: φ(-1) = φ(1) = 1/2, but φ(0) = 1
    assert of(phi, symmetric(1))[0] == Range(S.Zero, S.One)
    assert of(phi, EVERYTHING)[0] == Range(S.Zero, S.One)
    assert of(phi, Range(S.Zero, oo))[0] == Range(S.Zero, S.One)


def test_an_inductive_state_stays_where_it_is() -> None:
    """h = tanh(c) reads the new c; within an invariant box that has the range of the old one."""
    h = State("h")
    z = Vector("z")
    cell = Cell(
        "two",
        {z: ACTIVATIONS["sigmoid"](W @ h.prev), c: z * c.prev + (1 - z) * tanh(p * c.prev), h: tanh(c)},
        states=["h", "c"],
    )
    box: dict[Quantity, Range] = {c.prev: symmetric(1), h.prev: symmetric(1)}
    assert Ranges(cell, box, norm=None, inductive=frozenset({"c"}))(h) == symmetric(sympy.tanh(1))
    assert Ranges(cell, box, norm=None)(h) == symmetric(sympy.tanh(2))  # z c + (1 - z) c̃ by intervals


def test_what_is_not_finite() -> None:
    assert not Range(-oo, S.Zero).is_finite  # SymPy's -oo does not "have" oo
    assert not Range(S.Zero, oo).is_finite
    assert not symmetric(oo * norm_symbol("W")).is_finite
    assert symmetric(norm_symbol("W")).is_finite
