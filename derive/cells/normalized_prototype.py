"""The normalized prototype: the state divided by the square root of its variance plus one."""

from sympy import Rational

from derive.activations import sigmoid, tanh
from derive.catalogue import Published
from derive.cell import Cell
from derive.symbols import Input, State, Vector, affine_parameters, variance

s, x = State("s"), Input("x")
i, o, f, s_tilde, a = Vector("i"), Vector("o"), Vector("f"), Vector("s_tilde"), Vector("a")
W_i, U_i, b_i = affine_parameters("i")
W_o, U_o, b_o = affine_parameters("o")
W_f, U_f, b_f = affine_parameters("f")
W, U, b = affine_parameters()

PUBLISHED = Published(
    Cell(
        "normalized-prototype",
        {
            i: sigmoid(W_i @ s.prev + U_i @ x + b_i),
            o: sigmoid(W_o @ s.prev + U_o @ x + b_o),
            f: sigmoid(W_f @ s.prev + U_f @ x + b_f),
            s_tilde: tanh(W @ (o * s.prev) + U @ x + b),
            a: f * s.prev + i * s_tilde,
            s: a / (variance(a) + 1) ** Rational(1, 2),
        },
        output=s,
        title="Normalized prototype LSTM",
        reference="r2rt, Written Memories (2016)",
    ),
    parent="prototype",
    rules=(("normalize-state", {}),),
)
