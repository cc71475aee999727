"""Malformed declarations, each with the message that its author gets to read.

Where an equation is at fault, the message shows it behind an arrow, with its neighbours, and says what was
expected.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
from sympy import Float

from derive import (
    Activated,
    Input,
    Linear,
    MeanMap,
    Parameter,
    Previous,
    State,
    Vector,
    mean,
    sigmoid,
    tanh,
)
from derive.symbols import LinearMap, Quantity, affine_parameters

s, h, c, x = State("s"), State("h"), State("c"), Input("x")
f, g, y = Vector("f"), Vector("g"), Vector("y")
W, U, b = affine_parameters()
V, B = Parameter("V", "n", "n"), Parameter("B", "n", "n", "n")
gate = sigmoid(V @ s.prev)
write = tanh(W @ s.prev + U @ x + b)
RING = (
    "sums, elementwise products, rational powers, matrix @ vector, and activations; "
    "for another function, add an entry to derive.activations"
)
SHAPES = "equal axes in sums and products; W (to, from) @ v"
NAME = "a cell's name is lower-case words joined by hyphens, such as 'pseudo-lstm', not "


@dataclass
class Bad:
    """A declaration and its message: the problem, the equation and its neighbours, the remedy."""

    id: str
    equations: Any
    problem: str
    shown: tuple[str, ...] = ()
    expected: str = ""
    options: Any = None
    name: Any = "bad"

    @property
    def message(self) -> str:
        if not self.expected:
            return self.problem
        return "\n".join(
            [f"bad: {self.problem}", *(f"  {line}" for line in self.shown), f"  expected: {self.expected}"]
        )


def right(id: str, expr: Any, problem: str, line: str, expected: str) -> Bad:
    """One equation, s = expr, at fault."""
    return Bad(id, {s: expr}, problem, (f"→ sₜ = {line}",), expected)


def foreign(id: str, expr: Any, kind: str) -> Bad:
    return right(id, expr, f"{expr} ({kind}) is not in the ring of the cell's vectors", str(expr), RING)


WRITE = "sₜ = tanh(W sₜ₋₁ + U xₜ + b)"

# fmt: off
BAD = [
    # names that are bound to nothing
    right("free name", tanh(W @ s.prev + sympy.Symbol("u")), "u is a free name", "tanh(W sₜ₋₁ + u)",
        "a Vector, State, Input or Parameter"),
    Bad("free name, nearly a vector", {f: gate, s: f * s.prev + sympy.Symbol("ff")},
        "ff is a free name; did you mean 'f'?", ("  fₜ = σ(V sₜ₋₁)", "→ sₜ = fₜ ⊙ sₜ₋₁ + ff"),
        "a Vector, State, Input or Parameter"),
    right("a plain symbol of the same name", s.prev + W @ sympy.Symbol("s"),
        "s is a plain SymPy symbol, not the State of that name", "sₜ₋₁ + W s", "State('s', ...)"),
    Bad("used before it is written", {s: f * s.prev, f: gate}, "f is used before it is written",
        ("→ sₜ = fₜ ⊙ sₜ₋₁", "  fₜ = σ(V sₜ₋₁)"), "its equation above"),
    Bad("state used before it is written", {f: sigmoid(V @ s), s: f * s.prev},
        "s is used before it is written", ("→ fₜ = σ(V sₜ)", "  sₜ = fₜ ⊙ sₜ₋₁"),
        "its equation above, or s.prev"),
    right("read, never written", f * s.prev + write, "f is read but never written",
        "fₜ ⊙ sₜ₋₁ + tanh(W sₜ₋₁ + U xₜ + b)", "an equation for f"),
    Bad("read, never written, but nearly", {Vector("gate"): gate, s: Vector("gat") * s.prev},
        "gat is read but never written; did you mean 'gate'?", ("  gateₜ = σ(V sₜ₋₁)",
        "→ sₜ = gatₜ ⊙ sₜ₋₁"), "an equation for gat"),
    right("the past of a state that is never written", s.prev + W @ c.prev,
        "c[t-1] is read but c is never written", "sₜ₋₁ + W cₜ₋₁", "an equation for c"),
    Bad("the past of a vector", {f: gate, s: s.prev + Previous("f")},
        "f[t-1] is read but Vector(f, n) is no state, so it has no past", ("  fₜ = σ(V sₜ₋₁)",
        "→ sₜ = fₜ₋₁ + sₜ₋₁"), "State(f, n)"),
    Bad("written twice", [(s, write), (y, tanh(s)), (s, s.prev)], "s is written twice", ("  yₜ = tanh(sₜ)",
        "→ sₜ = sₜ₋₁"), "one equation for each vector"),
    Bad("written as a vector and as a state", [(Vector("s"), write), (s, s.prev)], "s is written twice",
        (f"  {WRITE}", "→ sₜ = sₜ₋₁"), "one equation for each vector"),
    Bad("a vector defined by itself", {f: f * gate, s: f * s.prev}, "f is defined by itself",
        ("→ fₜ = fₜ ⊙ σ(V sₜ₋₁)", "  sₜ = fₜ ⊙ sₜ₋₁"), "vectors written above"),
    right("a state defined by itself", s.prev + W @ s, "s is defined by itself", "sₜ₋₁ + W sₜ",
        "s.prev, its last value"),
    # axes
    right("axes of a sum", tanh(W @ s.prev + x),
        "axes disagree: a sum of xₜ with axes (m) and W sₜ₋₁ with axes (n)", "tanh(W sₜ₋₁ + xₜ)", SHAPES),
    right("axes of a product", x * s.prev,
        "axes disagree: an elementwise product of xₜ with axes (m) and sₜ₋₁ with axes (n)", "sₜ₋₁ ⊙ xₜ",
        SHAPES),
    right("axes of a linear map", tanh(U @ s.prev),
        "axes disagree: U takes axis m but is applied to sₜ₋₁ with axes (n)", "tanh(U sₜ₋₁)", SHAPES),
    right("a linear map of a number", s.prev + W @ 1,
        "axes disagree: W takes axis n but is applied to 1 with no axes", "sₜ₋₁ + W 1", SHAPES),
    Bad("axes of a left side", {Vector("y", "m"): s.prev, s: write},
        "yₜ with axes (m) stands for sₜ₋₁ with axes (n)", ("→ yₜ = sₜ₋₁", f"  {WRITE}"),
        "a right side with axes (m)"),
    Bad("a constant", {g: 1, s: g * write + s.prev}, "gₜ with axes (n) stands for 1 with no axes",
        ("→ gₜ = 1", "  sₜ = sₜ₋₁ + gₜ ⊙ tanh(W sₜ₋₁ + U xₜ + b)"), "a right side with axes (n)"),
    right("nothing left", s.prev - s.prev, "sₜ with axes (n) stands for 0 with no axes", "0",
        "a right side with axes (n)"),
    right("a matrix used elementwise", tanh(W * s.prev),
        "axes disagree: an elementwise product of W with axes (n, n) and sₜ₋₁ with axes (n)",
        "tanh(W ⊙ sₜ₋₁)", SHAPES),
    right("a matrix added", tanh(W @ s.prev + V),
        "axes disagree: a sum of W sₜ₋₁ with axes (n) and V with axes (n, n)", "tanh(W sₜ₋₁ + V)", SHAPES),
    right("a vector used as a matrix", Linear(s.prev, s.prev), "s[t-1] is applied with @ but is no matrix",
        "sₜ₋₁ sₜ₋₁", "a Parameter with two axes (to, from) left of @"),
    right("a bias used as a matrix", s.prev + b @ s.prev, "b is applied with @ but is no matrix",
        "sₜ₋₁ + b sₜ₋₁", "a Parameter with two axes (to, from) left of @"),
    right("a cube used as a matrix", s.prev + B @ s.prev, "B is applied with @ but is no matrix",
        "sₜ₋₁ + B sₜ₋₁", "a Parameter with two axes (to, from) left of @"),
    right("a mean of the wrong axis", s.prev + tanh(mean(x)),
        "axes disagree: mean takes axis n but is applied to xₜ with axes (m)", "sₜ₋₁ + tanh(mean(xₜ))",
        SHAPES),
    right("a mean that changes the axis", s.prev + Linear(MeanMap("mean", "n", "m"), x),
        "a mean over axis m at axis n", "sₜ₋₁ + mean(xₜ)", "the same axis twice, as in mean(v)"),
    right("a parameter without axes", s.prev + Parameter("b"), "b has no axes", "sₜ₋₁ + b",
        "one or two, such as Parameter('b', 'n')"),
    right("an axis twice", Previous("s", "n", "n"), "Previous(s, n, n) has an axis twice", "sₜ₋₁",
        "different axes, else a linear map does not know its own"),
    # functions and numbers that are not in the ring
    foreign("sin", sympy.sin(W @ s.prev), "sin"),
    foreign("SymPy's tanh", sympy.tanh(W @ s.prev), "tanh"),
    foreign("Max", sympy.Max(s.prev, 0), "Max"),
    foreign("Abs", abs(s.prev), "Abs"),
    foreign("an even root of a square", sympy.sqrt(s.prev**2), "Abs"),
    foreign("exp", sympy.exp(s.prev), "exp"),
    foreign("Piecewise", sympy.Piecewise((s.prev, s.prev > 0), (0, True)), "Piecewise"),
    foreign("an undefined function", sympy.Function("phi")(s.prev), "phi"),
    foreign("a derivative", sympy.Derivative(tanh(s.prev), s.prev), "Derivative"),
    foreign("a SymPy matrix", sympy.ImmutableMatrix([1]), "ImmutableDenseMatrix"),
    Bad("foreign, deep inside", {f: gate, s: f * s.prev + tanh(W @ sympy.sin(s.prev) + b)},
        "sin(s[t-1]) (sin) is not in the ring of the cell's vectors", ("  fₜ = σ(V sₜ₋₁)",
        "→ sₜ = fₜ ⊙ sₜ₋₁ + tanh(W sin(s[t-1]) + b)"), RING),
    right("an irrational exponent", s.prev**sympy.pi, "the exponent pi is no rational number", "sₜ₋₁^pi",
        "powers such as v**2 or v**Rational(-1, 2)"),
    right("a float exponent", s.prev**0.5, "the exponent 0.500000000000000 is no rational number",
        "sₜ₋₁^0.5", "powers such as v**2 or v**Rational(-1, 2)"),
    right("a vector as exponent", 2**s.prev, "the exponent s[t-1] is no rational number", "2^sₜ₋₁",
        "powers such as v**2 or v**Rational(-1, 2)"),
    right("an imaginary coefficient", sympy.I * s.prev, "I is no finite real number", "I sₜ₋₁",
        "a finite real coefficient"),
    right("a complex coefficient", (1 + 2j) * s.prev, "I is no finite real number", "(2.0 I + 1.0) sₜ₋₁",
        "a finite real coefficient"),
    right("an infinite coefficient", sympy.oo * s.prev, "oo is no finite real number", "oo sₜ₋₁",
        "a finite real coefficient"),
    right("an infinite float", float("inf") * s.prev, "oo is no finite real number", "oo sₜ₋₁",
        "a finite real coefficient"),
    right("a float beyond float64", Float("1e400", 15) * s.prev,
        "1.00000000000000E+400 is no finite real number", "inf sₜ₋₁",
        "a finite real coefficient"),
    right("a division by zero", s.prev / (s.prev - s.prev), "zoo is no finite real number", "zoo sₜ₋₁",
        "a finite real coefficient"),
    right("NaN", float("nan"), "nan is no finite real number", "nan", "a finite real coefficient"),
    right("pi", sympy.pi * s.prev, "pi is no rational number or float", "pi sₜ₋₁",
        "its value, 3.141592653589793"),
    # right sides that are no expressions
    right("None", None, "the right side is a NoneType", "None", "a SymPy expression"),
    right("a string", "tanh(s)", "the right side is a str", "tanh(s)", "a SymPy expression"),
    right("an array", np.zeros(2), "the right side is a ndarray", "[0. 0.]", "a SymPy expression"),
    right("an array of expressions", np.array([s.prev]), "the right side is a ndarray", "[s[t-1]]",
        "a SymPy expression"),
    right("a bool", True, "True is a BooleanTrue", "True", "a SymPy expression of vectors"),
    right("a comparison", s.prev > 0, "s[t-1] > 0 is a StrictGreaterThan", "s[t-1] > 0",
        "a SymPy expression of vectors"),
    right("an equation", sympy.Eq(s.prev, x), "Eq(s[t-1], x) is a Equality", "Eq(s[t-1], x)",
        "a SymPy expression of vectors"),
    right("a tuple", (s.prev, s.prev), "(s[t-1], s[t-1]) is a Tuple", "(s[t-1], s[t-1])",
        "a SymPy expression of vectors"),
    right("an activation of nothing", tanh, "the activation tanh is applied to nothing", "tanh", "tanh(v)"),
    right("activated by a vector", Activated(W, s.prev), "W is no activation", "W(s[t-1])",
        "an entry of derive.ACTIVATIONS, such as tanh"),
    right("a bare quantity", s.prev + Quantity("q", "n"), "q is a bare Quantity", "sₜ₋₁ + qₜ",
        "a Vector, State, Input or Parameter"),
    right("a bare linear map", s.prev + LinearMap("L", "n", "n") @ s.prev, "L is a bare LinearMap",
        "sₜ₋₁ + Lₜ sₜ₋₁", "a Vector, State, Input or Parameter"),
    # left sides
    Bad("the past on a left side", {s.prev: write}, "s[t-1] is in the past and cannot be written",
        ("→ sₜ₋₁ = tanh(W sₜ₋₁ + U xₜ + b)",), "s, its value now"),
    Bad("an input on a left side", [(s, write), (x, s.prev)], "xₜ (Input) stands on a left side",
        (f"  {WRITE}", "→ xₜ = sₜ₋₁"), "a Vector or a State"),
    Bad("a parameter on a left side", {W: write, s: write}, "W (Parameter) stands on a left side",
        ("→ W = tanh(W sₜ₋₁ + U xₜ + b)", f"  {WRITE}"), "a Vector or a State"),
    Bad("a string on a left side", {"s": write}, "s (str) stands on a left side",
        (f"→ {WRITE.replace('sₜ =', 's =')}",), "a Vector or a State"),
    Bad("an expression on a left side", {2 * s: s.prev}, "2 sₜ (Mul) stands on a left side",
        ("→ 2 sₜ = sₜ₋₁",), "a Vector or a State"),
    Bad("None on a left side", {None: s.prev}, "None (NoneType) stands on a left side", ("→ None = sₜ₋₁",),
        "a Vector or a State"),
    Bad("an unhashable left side", [([s], s.prev)], "[s] (list) stands on a left side", ("→ [s] = sₜ₋₁",),
        "a Vector or a State"),
    # states, output, what leads nowhere
    Bad("no state", {g: sigmoid(U @ x)}, "no state is written", (),
        "at least one State, else nothing recurs"),
    right("the past is never read", tanh(U @ x), "the past of state s is never read", "tanh(U xₜ)",
        "a use of s.prev, or Vector('s')"),
    Bad("the past of one state is never read", {s: write, c: tanh(V @ s)},
        "the past of state c is never read", (f"  {WRITE}", "→ cₜ = tanh(V sₜ)"),
        "a use of c.prev, or Vector('c')", {"output": c}),
    Bad("a dead vector", {f: gate, s: write}, "f is dead: nothing on the way to any state reads it",
        ("→ fₜ = σ(V sₜ₋₁)", f"  {WRITE}"), "a reader, or no equation"),
    Bad("a dead state", {s: write, c: c.prev + s, y: tanh(s)},
        "c is dead: nothing on the way to the output y reads it", (f"  {WRITE}", "→ cₜ = cₜ₋₁ + sₜ",
        "  yₜ = tanh(sₜ)"), "a reader, or no equation", {"output": y}),
    Bad("vectors that read each other alone", {s: write, f: gate, g: f * gate},
        "f is dead: nothing on the way to the output s reads it", (f"  {WRITE}", "→ fₜ = σ(V sₜ₋₁)",
        "  gₜ = fₜ ⊙ σ(V sₜ₋₁)"), "a reader, or no equation", {"output": s}),
    Bad("several inputs", {s: write + V @ s.prev * 0 + tanh(U @ Input("u"))}, "several inputs: u, x", (),
        "at most one input; concatenate them outside the cell"),
    Bad("an unknown output", {s: write}, "the output y is not written", (), "one of s, or None",
        {"output": y}),
    Bad("nearly an output", {Vector("gate"): gate, s: Vector("gate") * s.prev},
        "the output gat is not written; did you mean 'gate'?", (), "one of gate, s, or None",
        {"output": "gat"}),
    Bad("the past as output", {s: write}, "the output s[t-1] is not written", (), "one of s, or None",
        {"output": s.prev}),
    Bad("a wrong order", {s: write}, "states=('h',) does not list the states", (), "some order of s",
        {"states": [h]}),
    Bad("an order that lacks a state", {h: tanh(W @ c.prev), c: tanh(W @ h.prev)},
        "states=('h',) does not list the states", (), "some order of h, c", {"states": ("h",)}),
    Bad("an order with a state twice", {h: tanh(W @ c.prev), c: tanh(W @ h.prev)},
        "states=('h', 'c', 'h') does not list the states", (), "some order of h, c", {"states": (h, c, h)}),
    Bad("an empty order", {s: write}, "states=() does not list the states", (), "some order of s",
        {"states": ()}),
    Bad("a string as order", {h: tanh(W @ c.prev), c: tanh(W @ h.prev)},
        "bad: states='hc' is no sequence; expected states=('hc',) or the like", options={"states": "hc"}),
    Bad("a state as order", {s: write}, "bad: states=s is no sequence; expected states=(s,) or the like",
        options={"states": s}),
    Bad("a number as order", {s: write}, "bad: states=1 is no sequence; expected states=(1,) or the like",
        options={"states": 1}),
    # names
    Bad("a keyword", {Vector("lambda"): gate, s: Vector("lambda") * s.prev}, "'lambda' is no name",
        ("→ lambdaₜ = σ(V sₜ₋₁)", "  sₜ = lambdaₜ ⊙ sₜ₋₁"),
        "a Python identifier, since code is emitted with it"),
    right("no identifier", tanh(Parameter("W-1", "n", "n") @ s.prev), "'W-1' is no name", "tanh(W-1 sₜ₋₁)",
        "a Python identifier, since code is emitted with it"),
    Bad("an empty name", {Vector(""): gate, s: Vector("") * s.prev}, "'' is no name", ("→ ₜ = σ(V sₜ₋₁)",
        "  sₜ = ₜ ⊙ sₜ₋₁"), "a Python identifier, since code is emitted with it"),
    right("one name, two kinds", tanh(W @ s.prev + Parameter("s", "n")),
        "the name s stands for two things: State(s, n) and Parameter(s, n)", "tanh(W sₜ₋₁ + s)",
        "one name, one kind, one tuple of axes"),
    Bad("one name, two axes", {f: gate, s: f * s.prev + Parameter("V", "n", "m") @ x},
        "the name V stands for two things: Parameter(V, n, n) and Parameter(V, n, m)", ("  fₜ = σ(V sₜ₋₁)",
        "→ sₜ = fₜ ⊙ sₜ₋₁ + V xₜ"), "one name, one kind, one tuple of axes"),
    right("a state with the past of other axes", s.prev + U @ Previous("s", "m"),
        "the name s stands for two things: State(s, n) and State(s, m)", "sₜ₋₁ + U sₜ₋₁",
        "one name, one kind, one tuple of axes"),
    *(Bad(f"cell name {name!r}", {s: write}, f"{NAME}{name!r}", name=name) for name in ("GRU", "",
        "my cell", "a_b", "-a", "a-", "a--b", "a\n", None, 3)),
    # containers
    Bad("no equations", {}, "bad: no equations; expected at least one that writes a state"),
    Bad("no pairs", [], "bad: no equations; expected at least one that writes a state"),
    Bad("no container", None,
        "bad: the equations are of type NoneType; expected a mapping from vectors to expressions"),
    Bad("a string for equations", "s",
        "bad: the equations are of type str; expected a mapping from vectors to expressions"),
    Bad("a triple", [(s, s.prev, s)],
        "bad: an equation is a pair (vector, expression), not (s, s[t-1], s)"),
    Bad("a left side alone", [s], "bad: an equation is a pair (vector, expression), not s"),
    Bad("two letters", ["sc"], "bad: an equation is a pair (vector, expression), not 'sc'"),
    Bad("SymPy equations", [sympy.Eq(s, s.prev)],
        "bad: an equation is a pair (vector, expression), not Eq(s, s[t-1])"),
    Bad("a title that is no text", {s: write}, "bad: title=None is no text; expected a string",
        options={"title": None}),
    Bad("a reference that is no text", {s: write}, "bad: reference=1997 is no text; expected a string",
        options={"reference": 1997}),
]
# fmt: on
