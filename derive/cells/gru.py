"""The gated recurrent unit; z is the fraction of the state that is kept."""

from derive.activations import sigmoid, tanh
from derive.catalogue import Published
from derive.cell import Cell
from derive.symbols import Input, State, Vector, affine_parameters

s, x = State("s"), Input("x")
r, z, s_tilde = Vector("r"), Vector("z"), Vector("s_tilde")
W_r, U_r, b_r = affine_parameters("r")
W_z, U_z, b_z = affine_parameters("z")
W, U, b = affine_parameters()

PUBLISHED = Published(
    Cell(
        "gru",
        {
            r: sigmoid(W_r @ s.prev + U_r @ x + b_r),
            z: sigmoid(W_z @ s.prev + U_z @ x + b_z),
            s_tilde: tanh(W @ (r * s.prev) + U @ x + b),
            s: z * s.prev + (1 - z) * s_tilde,
        },
        output=s,
        title="Gated recurrent unit (GRU)",
        reference=(
            "Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, EMNLP 2014; "
            "r2rt, Written Memories (2016)"
        ),
    ),
    parent="prototype",
    rules=(
        ("couple-forget-to-write", {}),
        ("rename", {"names": {"o": "r", "f": "z"}}),
    ),
)
