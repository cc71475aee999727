"""The LSTM with peepholes: the gates see the cell state, the read gate the one just written."""

from derive.activations import sigmoid, tanh
from derive.catalogue import Published
from derive.cell import Cell
from derive.symbols import Input, Parameter, State, Vector, affine_parameters

h, c, x = State("h"), State("c"), Input("x")
i, o, f, c_tilde = Vector("i"), Vector("o"), Vector("f"), Vector("c_tilde")
W_i, U_i, b_i = affine_parameters("i")
W_o, U_o, b_o = affine_parameters("o")
W_f, U_f, b_f = affine_parameters("f")
W, U, b = affine_parameters()
P_i, P_o, P_f = Parameter("P_i", "n", "n"), Parameter("P_o", "n", "n"), Parameter("P_f", "n", "n")

PUBLISHED = Published(
    Cell(
        "peephole-lstm",
        {
            i: sigmoid(W_i @ h.prev + U_i @ x + P_i @ c.prev + b_i),
            f: sigmoid(W_f @ h.prev + U_f @ x + P_f @ c.prev + b_f),
            c_tilde: tanh(W @ h.prev + U @ x + b),
            c: f * c.prev + i * c_tilde,
            o: sigmoid(W_o @ h.prev + U_o @ x + P_o @ c + b_o),
            h: o * tanh(c),
        },
        output=h,
        states=("h", "c"),
        title="LSTM with peepholes",
        reference=(
            "Gers and Schmidhuber, Recurrent nets that time and count, IJCNN 2000; "
            "Graves, Generating sequences with recurrent neural networks, 2013 (full matrices); "
            "r2rt, Written Memories (2016)"
        ),
    ),
    parent="lstm",
    rules=(("add-peepholes", {}),),
)
