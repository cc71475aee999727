"""The basic LSTM, as in torch.nn.LSTM and TensorFlow's BasicLSTMCell."""

from derive.activations import sigmoid, tanh
from derive.catalogue import Published
from derive.cell import Cell
from derive.symbols import Input, State, Vector, affine_parameters

h, c, x = State("h"), State("c"), Input("x")
i, o, f, c_tilde = Vector("i"), Vector("o"), Vector("f"), Vector("c_tilde")
W_i, U_i, b_i = affine_parameters("i")
W_o, U_o, b_o = affine_parameters("o")
W_f, U_f, b_f = affine_parameters("f")
W, U, b = affine_parameters()

PUBLISHED = Published(
    Cell(
        "lstm",
        {
            i: sigmoid(W_i @ h.prev + U_i @ x + b_i),
            o: sigmoid(W_o @ h.prev + U_o @ x + b_o),
            f: sigmoid(W_f @ h.prev + U_f @ x + b_f),
            c_tilde: tanh(W @ h.prev + U @ x + b),
            c: f * c.prev + i * c_tilde,
            h: o * tanh(c),
        },
        output=h,
        states=("h", "c"),
        title="Basic LSTM",
        reference=(
            "Hochreiter and Schmidhuber, Long short-term memory, Neural Computation 9 (1997); "
            "Gers, Schmidhuber and Cummins, Learning to forget, Neural Computation 12 (2000); "
            "r2rt, Written Memories (2016)"
        ),
    ),
    parent="pseudo-lstm-d12",
    rules=(("gate-output", {}),),
)
