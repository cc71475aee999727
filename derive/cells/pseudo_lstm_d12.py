"""The pseudo LSTM with diffs 1 and 2: candidate and gates read the shadow state."""

from derive.activations import sigmoid, tanh
from derive.catalogue import Published
from derive.cell import Cell
from derive.symbols import Input, State, Vector, affine_parameters

h, c, x = State("h"), State("c"), Input("x")
i, o, f, c_tilde, y = Vector("i"), Vector("o"), Vector("f"), Vector("c_tilde"), Vector("y")
W_i, U_i, b_i = affine_parameters("i")
W_o, U_o, b_o = affine_parameters("o")
W_f, U_f, b_f = affine_parameters("f")
W, U, b = affine_parameters()

PUBLISHED = Published(
    Cell(
        "pseudo-lstm-d12",
        {
            i: sigmoid(W_i @ h.prev + U_i @ x + b_i),
            o: sigmoid(W_o @ h.prev + U_o @ x + b_o),
            f: sigmoid(W_f @ h.prev + U_f @ x + b_f),
            c_tilde: tanh(W @ h.prev + U @ x + b),
            c: f * c.prev + i * c_tilde,
            h: o * tanh(c),
            y: tanh(c),
        },
        output=y,
        states=("h", "c"),
        title="Pseudo LSTM with diffs 1 and 2",
        reference="r2rt, Written Memories (2016)",
    ),
    parent="pseudo-lstm-d1",
    rules=(("gate-gate-reads", {}),),
)
