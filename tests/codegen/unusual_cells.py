"""Cells with a structure that no catalogue cell has, for tests of code generation."""

from sympy import Rational

from derive import (
    Cell,
    Input,
    Parameter,
    State,
    Vector,
    affine_parameters,
    hard_sigmoid,
    identity,
    mean,
    relu,
    sigmoid,
    softsign,
    tanh,
    variance,
)

s, h, c, x = State("s"), State("h"), State("c"), Input("x")
i, f, o, g, y, a = (Vector(name) for name in "ifogya")
W, U, b = affine_parameters()
W_i, U_i, b_i = affine_parameters("i")
W_f, U_f, b_f = affine_parameters("f")
W_o, U_o, b_o = affine_parameters("o")
V = Parameter("V", "n", "n")
p = Parameter("p", "n")

UNUSUAL = (
    Cell("no-input", {s: tanh(W @ s.prev + b)}, output=s),
    Cell("no-input-no-bias", {s: tanh(W @ s.prev) + s.prev / 2}, output=s),
    Cell("no-output", {s: tanh(W @ s.prev + U @ x + b)}),
    Cell("no-parameters", {s: tanh(s.prev) / 2 + Input("u", "n")}, output=s),
    Cell(
        "diagonal-peephole",
        {i: sigmoid(W_i @ h.prev + U_i @ x + p * c.prev + b_i), c: c.prev + i * tanh(U @ x), h: tanh(c)},
        output=h,
        states=("h", "c"),
    ),
    Cell("rectified", {s: relu(W @ s.prev + U @ x + b)}, output=s),
    Cell("nested", {s: tanh(V @ tanh(W @ s.prev + b) + U @ x)}, output=s),
    Cell("blind-gate", {i: sigmoid(U_i @ x + b_i), s: i * s.prev + (1 - i) * tanh(W @ s.prev + b)}, output=s),
    Cell("two-matrices", {s: tanh(W @ s.prev + V @ s.prev + U @ x + b)}, output=s),
    Cell(
        "one-operand-in-two-forms", {s: tanh(W @ (s.prev / 2) + U @ x) + V @ (identity(s.prev) / 2)}, output=s
    ),
    Cell("bias-before-a-product", {o: W_o @ s.prev + b_o, s: tanh(W @ o + b)}, output=s),
    Cell("shared-matrix", {s: tanh(W @ s.prev + U @ x), c: c.prev / 2 + W @ s + W @ c.prev}, output=c),
    Cell("two-biases", {s: tanh(W @ s.prev + U @ x + b + b_i)}, output=s),
    Cell("constant-gate", {f: sigmoid(b_f), s: f * s.prev + (1 - f) * tanh(W @ s.prev + U @ x)}, output=s),
    Cell(
        "late-output-gate",
        {s: tanh(W @ s.prev + U @ x + b), o: sigmoid(W_o @ s.prev + U_o @ x + b_o), g: o * s, y: g + s.prev},
        output=y,
    ),
    Cell("input-in-output", {s: tanh(W @ s.prev), y: s + U @ x + tanh(U_i @ x)}, output=y),
    Cell("means", {a: tanh(mean(s.prev)), s: tanh(W @ mean(s.prev) + U @ x) + a}, output=s),
    Cell(
        "layer-normalized",
        {
            a: W @ s.prev + U @ x,
            s: tanh(p * (a - mean(a)) / (variance(a) + Rational(1, 10)) ** Rational(1, 2)),
        },
        output=s,
    ),
    Cell("powers", {s: (tanh(W @ s.prev + U @ x) ** 2 + 1) ** Rational(-1, 2) + tanh(s.prev) ** 3}, output=s),
    Cell("hard", {f: hard_sigmoid(W @ s.prev + b), s: f * s.prev + softsign(identity(U @ x))}, output=s),
    Cell("same-twice", {o: tanh(c.prev), h: o * tanh(W @ h.prev), c: tanh(c.prev) + U @ x}, output=h),
    Cell("state-before", {h: tanh(U @ x + b), c: h.prev * tanh(W @ c.prev)}, output=c),
    Cell(
        "other-axes",
        {
            Vector("k", "w"): tanh(Parameter("A", "w", "n") @ s.prev + Parameter("B", "w", "m") @ x),
            s: tanh(Parameter("C", "n", "w") @ Vector("k", "w") + W @ s.prev + U @ x + b),
        },
        output=s,
    ),
    Cell(
        "awkward-names",
        {Vector("F"): sigmoid(W @ s.prev), Vector("_v"): 1 - Vector("F"), s: Vector("_v")},
        output=s,
    ),
    Cell(
        "constants",
        {s: Rational(2) ** Rational(1, 2) * tanh(W @ s.prev + U @ x) * tanh(1) + s.prev / 7},
        output=s,
    ),
)
"""Each of them well-formed, and each a way in which a code generator might trip."""
