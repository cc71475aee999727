"""The pseudo LSTM with diffs 2 and 3: gates and output are read through the read gate."""

from derive.activations import sigmoid, tanh
from derive.catalogue import Published
from derive.cell import Cell
from derive.symbols import Input, State, Vector, affine_parameters

s, x = State("s"), Input("x")
i, o, f, s_tilde, y = Vector("i"), Vector("o"), Vector("f"), Vector("s_tilde"), Vector("y")
W_i, U_i, b_i = affine_parameters("i")
W_o, U_o, b_o = affine_parameters("o")
W_f, U_f, b_f = affine_parameters("f")
W, U, b = affine_parameters()

PUBLISHED = Published(
    Cell(
        "pseudo-lstm-d23",
        {
            o: sigmoid(W_o @ tanh(s.prev) + U_o @ x + b_o),
            i: sigmoid(W_i @ (o * tanh(s.prev)) + U_i @ x + b_i),
            f: sigmoid(W_f @ (o * tanh(s.prev)) + U_f @ x + b_f),
            s_tilde: tanh(W @ (o * tanh(s.prev)) + U @ x + b),
            s: f * s.prev + i * s_tilde,
            y: o * tanh(s),
        },
        output=y,
        title="Pseudo LSTM with diffs 2 and 3",
        reference="r2rt, Written Memories (2016)",
    ),
    parent="pseudo-lstm-d2",
    rules=(("gate-output", {}),),
)
