"""The vanilla recurrent network: one layer, whose output is the state."""

from derive.activations import tanh
from derive.catalogue import Published
from derive.cell import Cell
from derive.symbols import Input, State, affine_parameters

s, x = State("s"), Input("x")
W, U, b = affine_parameters()

PUBLISHED = Published(
    Cell(
        "vanilla",
        {
            s: tanh(W @ s.prev + U @ x + b),
        },
        output=s,
        title="Vanilla RNN",
        reference=(
            "Elman, Finding structure in time, Cognitive Science 14 (1990); r2rt, Written Memories (2016)"
        ),
    ),
)
