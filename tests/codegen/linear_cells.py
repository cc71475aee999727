"""Cells whose recurrence is linear in the states, unit by unit, in every shape that a scan must bear."""

from derive import Cell, Input, Parameter, State, Vector, affine_parameters, mean, sigmoid, tanh

s, c, h, x = State("s"), State("c"), State("h"), Input("x")
f, g, i, o, y, s_tilde = (Vector(name) for name in ("f", "g", "i", "o", "y", "s_tilde"))
W, U, b = affine_parameters()
_, U_f, b_f = affine_parameters("f")
_, U_g, b_g = affine_parameters("g")
W_o, U_o, b_o = affine_parameters("o")
p, q = Parameter("p", "n"), Parameter("q", "n")

MINIMAL = Cell(
    "linear-minimal-gated-unit",
    {f: sigmoid(U_f @ x + b_f), s_tilde: tanh(U @ x + b), s: (1 - f) * s.prev + f * s_tilde},
    output=s,
)
LINEAR = (
    MINIMAL,
    Cell("running-mean", {s: s.prev / 2 + U @ x}, output=s),
    Cell("sum", {s: s.prev + tanh(U @ x + b)}, output=s),
    Cell("diagonal", {s: p * s.prev + tanh(U @ x + b)}, output=s),
    Cell("negative", {f: tanh(U_f @ x + b_f), s: f * s.prev + p * tanh(U @ x)}, output=s),
    Cell("no-input", {s: p * s.prev + b}, output=s),
    Cell("constant-gate", {f: sigmoid(b_f), s: f * s.prev + (1 - f) * tanh(U @ x + b)}, output=s),
    Cell(
        "rotation",
        {
            f: sigmoid(U_f @ x + b_f),
            g: tanh(U_g @ x),
            c: f * c.prev - g * s.prev + U @ x,
            s: g * c.prev + f * s.prev + p,
        },
        output=s,
    ),
    Cell("swap", {c: s.prev / 2 + U @ x, s: p * c.prev}, output=s),
    Cell(
        "three-coupled",
        {
            f: sigmoid(U_f @ x + b_f),
            c: f * c.prev + s.prev / 4 + tanh(U @ x),
            s: s.prev / 2 + f * h.prev,
            h: p * c.prev + q * s,
        },
        output=h,
    ),
    Cell(
        "cascade",
        {f: sigmoid(U_f @ x + b_f), c: f * c.prev + tanh(U @ x), s: p * s.prev + f * c + c.prev},
        output=s,
    ),
    Cell(
        "shadow",
        {
            f: sigmoid(U_f @ x + b_f),
            c: f * c.prev + tanh(U @ x + b),
            h: sigmoid(U_o @ x) * c,
            y: h - p * h.prev,
        },
        output=y,
        states=("h", "c"),
    ),
    Cell(
        "delayed-input",
        {h: tanh(U @ x + b), f: sigmoid(U_f @ x + b_f), s: f * s.prev + h.prev * p},
        output=s,
    ),
    Cell(
        "read-out",
        {
            f: sigmoid(U_f @ x + b_f),
            s: f * s.prev + tanh(U @ x),
            o: sigmoid(W_o @ s.prev + U_o @ x + b_o),
            y: o * tanh(p * s + s.prev),
        },
        output=y,
    ),
    Cell(
        "means",
        {
            g: U_f @ x,
            f: sigmoid(g - mean(g)),
            s: f * s.prev + mean(tanh(U @ x)) * p,
            y: (s - mean(s)) * q + mean(s.prev),
        },
        output=y,
    ),
    Cell("no-output", {f: sigmoid(U_f @ x), s: f * s.prev + U @ x}),
    Cell("two-of-one", {f: sigmoid(U_f @ x), s: f * s.prev + U @ x, h: 1 * s, y: h + tanh(h.prev)}, output=y),
    Cell("kept", {s: 1 * s.prev, y: s + U @ x}, output=y),
)
