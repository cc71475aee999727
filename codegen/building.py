"""``build``: from a cell to a layer that runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from codegen import arguments
from codegen.backends import AUTO
from codegen.generated import computes_in, generate, lowered, use
from codegen.init import SCHEMES, Memory
from codegen.layer import Options, RecurrentLayer
from codegen.plan import Plan
from codegen.writing.names import Identifiers
from codegen.writing.phase import size_name
from derive.catalogue import cell as catalogued
from derive.cell import Cell
from derive.symbols import INPUT_AXIS, STATE_AXIS


def build(
    cell: Cell | str,
    input_size: int,
    hidden_size: int,
    *,
    num_layers: int = 1,
    bias: bool = True,
    batch_first: bool = False,
    dropout: float = 0.0,
    bidirectional: bool = False,
    backend: str = AUTO,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    biases: Mapping[str, Any] | None = None,
    init: str = "torch",
    memory: Memory = None,
    activations: Mapping[str, Any] | None = None,
    trainable_state: bool = False,
    sizes: Mapping[str, int] | None = None,
) -> RecurrentLayer:
    """A layer of the cell, used like ``torch.nn.LSTM``.

    The arguments of ``torch.nn.LSTM`` mean what they mean there.  Besides them:

    * ``backend``: a name among :func:`codegen.backends`, or ``"auto"``: the fastest that can run the cell on
      the device in the dtype, chosen anew when the layer is moved (``layer.to("cuda")``, ``layer.double()``)
      or runs under autocast.  ``print(layer)`` says which one it is and why.  A backend asked for by name is
      never replaced: where it cannot run, the call raises.
    * ``init``: a name among :data:`codegen.init.SCHEMES`.  ``"torch"`` draws everything uniformly from ±1/√n;
      ``"uniform"``, ``"gaussian"`` and ``"orthogonal"`` scale the recurrent matrices such that the step
      Jacobian starts with spectral radius 1 (for the vanilla cell ‖γW‖ = 1), and start biases at 0.
    * ``memory``: how many steps the gates keep a state at first, a number T > 1 (their biases become
      ±ln(T - 1) for σ), or a pair from which every unit draws its own.
    * ``biases``: initial values by name, ``{"b_f": 1.0}``, for every layer and direction; they outdo
      ``memory``.
    * ``activations``: exchanges the outermost activation of an equation, ``{"s_tilde": "relu"}``.
    * ``trainable_state``: the initial state is a parameter (zero at first), used where none is passed.
    * ``sizes``: the sizes of axes other than n and m, for cells that have such.

    Raises TypeError and ValueError for arguments that torch would refuse,
    :class:`~codegen.errors.UnknownBackend`, :class:`~codegen.errors.UnknownName` for a bias that the cell
    lacks or an unknown ``init``, :class:`~derive.errors.DeriveError` for a ``memory`` that the cell's gates
    cannot give it, and :class:`~codegen.errors.Unsupported`.

    >>> layer = build("gru", 10, 20, biases={"b_z": 1.0})
    >>> output, state = layer(torch.randn(5, 3, 10))
    >>> output.shape
    torch.Size([5, 3, 20])
    """
    chosen = catalogued(cell)
    chosen = chosen.with_activations(activations) if activations else chosen
    flags = {
        "bias": bias,
        "batch_first": batch_first,
        "bidirectional": bidirectional,
        "trainable_state": trainable_state,
    }
    arguments.check_sizes(chosen, input_size, hidden_size, num_layers, flags)
    arguments.check_dropout(dropout, num_layers)
    arguments.check_init(init, SCHEMES)
    if memory is not None:
        arguments.check_memory(memory)
    chosen = chosen if bias else chosen.without_biases()
    arguments.check_biases(chosen, biases or {})
    axes = arguments.axis_sizes(chosen, input_size, hidden_size, sizes or {})

    like = torch.empty((), device=device, dtype=dtype)  # a cell may have no parameter to take this from
    found = generate(backend, chosen, use(computes_in(like), hidden_size))
    extra = {size_name(axis): size for axis, size in axes.items() if axis not in (STATE_AXIS, INPUT_AXIS)}
    layers = {
        f"l{index}{direction}": found.layer(features, hidden_size, **extra, device=device, dtype=dtype)
        for index, features in enumerate(_features(chosen, axes, num_layers, bidirectional))
        for direction in (("", "_reverse") if bidirectional else ("",))
    }
    options = Options(
        num_layers=num_layers,
        bias=bias,
        batch_first=batch_first,
        dropout=float(dropout),
        bidirectional=bidirectional,
        asked=backend,
        backend=found.backend,
        why=found.why,
        trainable_state=trainable_state,
        biases=dict(biases or {}),
        init=init,
        memory=memory,
    )
    return RecurrentLayer(chosen, layers, axes, options, found.source, _trace_names(lowered(chosen)), like)


def _features(cell: Cell, sizes: Mapping[str, int], num_layers: int, bidirectional: bool) -> list[int]:
    """The input size of each layer: above the first it is the size of the output below."""
    first = sizes[INPUT_AXIS]
    if num_layers == 1:
        return [first]
    assert cell.output is not None
    above = sizes[cell.axes(cell.output)[0]] * (1 + bidirectional)
    if cell.axes(cell.inputs[0]) != (INPUT_AXIS,) and above != first:
        raise ValueError(
            f"the input of {cell.name} has a fixed size, so the {above} output features of a layer "
            "cannot be the next layer's input"
        )
    return [first, *[above] * (num_layers - 1)]


def _trace_names(plan: Plan) -> dict[str, str]:
    """The equations' names → the names that generated code gives them."""
    names = Identifiers(plan)
    return {symbol.name: names[symbol] for symbol in plan.cell.equations}
