"""``RecurrentLayer``: generated layers, stacked, in both directions, used like ``torch.nn.LSTM``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self, overload

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from codegen import reference
from codegen.arguments import check_input, check_state
from codegen.backends import AUTO, backend, choose, refusal
from codegen.errors import UnknownName, Unsupported
from codegen.generated import Computing, alike, become, computes_in, generate, use
from codegen.init import Memory, Start
from codegen.packed import PackedRunner, Runner, State, call, run_padded
from derive.cell import Cell


@dataclass(frozen=True)
class Options:
    """What :func:`codegen.build` was asked for, besides the cell and its sizes.

    ``asked`` is the backend asked for, perhaps ``"auto"``; ``backend`` the one that runs, and ``why``.
    """

    num_layers: int = 1
    bias: bool = True
    batch_first: bool = False
    dropout: float = 0.0
    bidirectional: bool = False
    asked: str = AUTO
    backend: str = "eager"
    why: str = ""
    trainable_state: bool = False
    biases: Mapping[str, Any] = field(default_factory=dict)
    init: str = "torch"
    memory: Memory = None


class RecurrentLayer(nn.Module):
    """A recurrent layer of any cell, used like ``torch.nn.LSTM``; made by :func:`codegen.build`.

    ``output, state = layer(x, state=None)``: x is (T, B, m), (B, T, m) with ``batch_first``, (T, m) for one
    sequence, or a ``PackedSequence``.  The state is one tensor for a cell with one state, else a tuple in
    ``cell.states`` order, each (layers · directions, B, n).  Parameters have the equations' names:
    ``l0.cell.W_i``, ``l1_reverse.cell.U``.

    Attributes with the meaning they have in torch: ``input_size``, ``hidden_size``, ``num_layers``, ``bias``,
    ``batch_first``, ``dropout``, ``bidirectional``.  ``cell`` is the cell as it runs (without its biases if
    ``bias=False``), ``source`` the text of the generated file.
    """

    cell: Cell
    source: str

    def __init__(
        self,
        cell: Cell,
        layers: Mapping[str, nn.Module],
        sizes: Mapping[str, int],
        options: Options,
        source: str,
        names: Mapping[str, str],
        like: Tensor,
    ) -> None:
        super().__init__()
        self.cell = cell
        self.source = source
        self.options = options
        self.sizes = dict(sizes)
        self._names = dict(names)
        self._layer_names = tuple(layers)  # a user may attach further modules
        for name, layer in layers.items():
            self.add_module(name, layer)
        if options.trainable_state:
            for state, axis in self._state_axes():
                shape = (len(layers), sizes[axis])
                self.register_parameter(f"initial_{state}", nn.Parameter(like.new_empty(shape)))
        self._served = self._serves(computes_in(like))
        self.reset_parameters()

    # what torch.nn.LSTM has under the same names

    @property
    def input_size(self) -> int:
        return self.sizes["m"]

    @property
    def hidden_size(self) -> int:
        return self.sizes["n"]

    @property
    def num_layers(self) -> int:
        return self.options.num_layers

    @property
    def bias(self) -> bool:
        return self.options.bias

    @property
    def batch_first(self) -> bool:
        return self.options.batch_first

    @property
    def dropout(self) -> float:
        return self.options.dropout

    @property
    def bidirectional(self) -> bool:
        return self.options.bidirectional

    def reset_parameters(self) -> None:
        """Draw anew, by the ``init``, ``memory`` and ``biases`` of ``build``; initial states are zero."""
        start = Start(self.cell, self.options.init, self.options.memory, self.options.biases)
        for layer in self._layers():
            start.apply(layer.cell)
        if self.options.trainable_state:
            for state in self.cell.states:
                nn.init.zeros_(getattr(self, f"initial_{state}"))

    def flatten_parameters(self) -> None:
        """Nothing to do: weights are stacked once a call.  It is here so that code written for torch runs."""

    def forward(self, x: Tensor | PackedSequence, state: Any = None) -> tuple[Any, Any]:
        """Run over whole sequences: the outputs in the layout of x, and the last state."""
        if isinstance(x, PackedSequence):
            return self._forward_packed(x, state)
        data, batched = self._time_first(x)
        output, last = self._stack(run_padded, data, self._initial(data, data.shape[1], state, batched))
        return self._like_input(output, batched), self._state_out(last, batched)

    def step(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """One step through all layers: x (B, m) or (m,) → output (B, n) or (n,), new state."""
        if self.bidirectional:
            raise Unsupported(
                "a bidirectional layer has no single step: the backward direction starts at the end"
            )
        self._check(x, (1, 2))
        batched = x.dim() == 2
        data = x if batched else x.unsqueeze(0)
        states = self._initial(data, data.shape[0], state, batched)
        lasts = []
        for index, layer in enumerate(self._layers()):
            data, last = call(layer.cell, data, tuple(s[index] for s in states))
            lasts.append(last)
            data = self._drop(data, index)
        stacked = tuple(torch.stack(values) for values in zip(*lasts, strict=True))
        return data if batched else data.squeeze(0), self._state_out(stacked, batched)

    def trace(
        self, x: Tensor, state: Any = None, *, layer: int = 0, reverse: bool = False
    ) -> dict[str, Tensor]:
        """Every vector of one layer at every step, by its name in the equations, in the layout of x."""
        if isinstance(x, PackedSequence):
            raise Unsupported("trace takes a tensor: pad the sequences, or trace them one at a time")
        if not 0 <= layer < self.num_layers or reverse > self.bidirectional:
            raise UnknownName(f"no layer {layer}{' in reverse' if reverse else ''} in {self}")
        data, batched = self._time_first(x)
        states = self._initial(data, data.shape[1], state, batched)
        for index in range(layer):
            data, _ = self._one_layer(run_padded, data, states, index)
        index = layer * self._directions + reverse
        module = list(self._layers())[index]
        at = tuple(s[index] for s in states)
        found = module.trace(data.flip(0) if reverse else data, at[0] if len(at) == 1 else at)
        values = {name: found[self._names[name]] for name in self._names}
        return {name: self._like_input(v.flip(0) if reverse else v, batched) for name, v in values.items()}

    @overload
    def equation_parameters(self, grad: Literal[False] = False) -> dict[str, Tensor]: ...

    @overload
    def equation_parameters(self, grad: bool) -> dict[str, Tensor | None]: ...

    def equation_parameters(self, grad: bool = False) -> Any:
        """The parameters of layer 0, forward, by their names in the equations, as views that can be written
        in place.

        With ``grad=True`` their gradients, None where there is none.
        """
        named = self._parameters_of(next(self._layers()))
        return {name: p.grad if grad else p.detach() for name, p in named.items()}

    def from_torch(self, module: nn.RNNBase) -> Self:
        """Take over the weights of a ``torch.nn.RNN``, ``LSTM`` or ``GRU`` that computes the same; returns
        self.

        Raises :class:`~codegen.errors.Unsupported` where the cells, sizes or numbers of layers differ.
        """
        values = reference.read(module, self)
        with torch.no_grad():
            for layer, found in zip(self._layers(), values, strict=True):
                for name, parameter in self._parameters_of(layer).items():
                    parameter.copy_(torch.as_tensor(found[name]))
        return self

    def to_torch(self) -> nn.RNNBase:
        """A new ``torch.nn`` module that computes the same; Unsupported where torch has none."""
        return reference.write(self, [self._parameters_of(layer) for layer in self._layers()])

    def extra_repr(self) -> str:
        sizes = [f"{axis}={size}" for axis, size in self.sizes.items() if axis not in ("n", "m")]
        default = Options()
        shown = (
            *("num_layers", "bias", "batch_first", "dropout", "bidirectional"),
            *("trainable_state", "init", "memory", "biases"),
        )
        given = ((name, getattr(self.options, name)) for name in shown)
        changed = [f"{name}={value}" for name, value in given if value != getattr(default, name)]
        backend = f"backend={self.options.backend} ({self.options.why})"
        return ", ".join(
            [self.cell.name, str(self.input_size), str(self.hidden_size), *sizes, *changed, backend]
        )

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        """What ``to``, ``double``, ``cuda``, … call: with ``backend="auto"`` the choice is made anew."""
        moved = super()._apply(fn, recurse)
        if self.options.asked == AUTO and (first := next(self.parameters(), None)) is not None:
            self._follow(computes_in(first))
        return moved

    def _follow(self, wanted: Computing) -> None:
        """Let the backend be one that can compute so; a backend asked for by name stays, or raises."""
        options = self.options
        if options.asked != AUTO:
            if (reason := self._refusal(wanted)) is not None:
                raise Unsupported(reason)
        else:
            found = generate(AUTO, self.cell, use(wanted, self.hidden_size))
            for layer in self._layers():
                become(layer, found)
            self.source = found.source
            self.options = replace(options, backend=found.backend, why=found.why)
        self._served = self._serves(wanted)

    def _serves(self, wanted: Computing) -> frozenset[Computing]:
        """Of what the layer may come to compute in without being moved, that for which the backend stays."""
        asked, name = self.options.asked, self.options.backend
        possible = list(alike(wanted))
        if asked == AUTO:
            stays = [choose(AUTO, self.cell, use(c, self.hidden_size))[0].name == name for c in possible]
        else:
            stays = [self._refusal(c) is None for c in possible]
        return frozenset(c for c, same in zip(possible, stays, strict=True) if same)

    def _refusal(self, wanted: Computing) -> str | None:
        return refusal(backend(self.options.asked), self.cell, use(wanted, self.hidden_size))

    @property
    def _directions(self) -> int:
        return 1 + self.bidirectional

    def _check(self, x: Tensor, dims: tuple[int, ...]) -> None:
        """An input with so many axes is what this layer takes, and its backend can run it."""
        first = next(self.parameters(), None)
        check_input(x, dims, self.input_size, None if first is None else first.dtype, self.cell.name)
        computing = computes_in(x if first is None else first)
        if computing not in self._served:
            self._follow(computing)

    def _layers(self) -> Iterator[Any]:
        """The generated layers: l0, l0_reverse, l1, …"""
        return (getattr(self, name) for name in self._layer_names)

    def _parameters_of(self, layer: Any) -> dict[str, nn.Parameter]:
        return {name: getattr(layer.cell, name) for name in self.cell.parameters}

    def _state_axes(self) -> list[tuple[str, str]]:
        return [(state, self.cell.axes(state)[0]) for state in self.cell.states]

    def _forward_packed(self, x: PackedSequence, state: Any) -> tuple[PackedSequence, Any]:
        self._check(x.data, (2,))
        batch = int(x.batch_sizes[0])
        states = self._initial(x.data, batch, state, batched=True)
        if x.sorted_indices is not None:
            states = tuple(s.index_select(1, x.sorted_indices) for s in states)
        output, last = self._stack(PackedRunner(x.batch_sizes), x.data, states)
        if x.unsorted_indices is not None:
            last = tuple(s.index_select(1, x.unsorted_indices) for s in last)
        packed = PackedSequence(output, x.batch_sizes, x.sorted_indices, x.unsorted_indices)
        return packed, self._state_out(last, batched=True)

    def _time_first(self, x: Tensor) -> tuple[Tensor, bool]:
        """x as (T, B, m), and whether it had a batch axis."""
        self._check(x, (2, 3))
        batched = x.dim() == 3
        data = x.unsqueeze(1) if not batched else x.transpose(0, 1) if self.batch_first else x
        if data.shape[0] == 0:
            raise RuntimeError("Expected sequence length to be larger than 0")
        return data, batched

    def _like_input(self, output: Tensor, batched: bool) -> Tensor:
        if not batched:
            return output.squeeze(1)
        return output.transpose(0, 1) if self.batch_first else output

    def _initial(self, data: Tensor, batch: int, state: Any, batched: bool) -> State:
        """The initial states as (layers · directions, B, n) each: those given, the trained ones, or zeros."""
        rows = self.num_layers * self._directions
        if state is not None:
            shapes = [
                (rows, *([batch] if batched else []), self.sizes[axis]) for _, axis in self._state_axes()
            ]
            given = check_state(state, self.cell.states, shapes)
            return given if batched else tuple(s.unsqueeze(1) for s in given)
        if self.options.trainable_state:
            learned = (getattr(self, f"initial_{name}") for name in self.cell.states)
            return tuple(s.unsqueeze(1).expand(-1, batch, -1) for s in learned)
        return tuple(data.new_zeros(rows, batch, self.sizes[axis]) for _, axis in self._state_axes())

    def _state_out(self, state: State, batched: bool) -> Any:
        found = state if batched else tuple(s.squeeze(1) for s in state)
        return found[0] if len(found) == 1 else found

    def _stack(self, run: Runner, data: Tensor, states: State) -> tuple[Tensor, State]:
        """All layers, one after the other; their last states stacked."""
        lasts: list[State] = []
        for index in range(self.num_layers):
            data, last = self._one_layer(run, data, states, index)
            lasts += last
        return data, tuple(torch.stack(values) for values in zip(*lasts, strict=True))

    def _one_layer(self, run: Runner, data: Tensor, states: State, index: int) -> tuple[Tensor, list[State]]:
        first = index * self._directions
        modules = list(self._layers())[first : first + self._directions]
        results = [
            run(module, data, tuple(s[first + back] for s in states), bool(back))
            for back, module in enumerate(modules)
        ]
        output = torch.cat([out for out, _ in results], -1) if len(results) > 1 else results[0][0]
        return self._drop(output, index), [last for _, last in results]

    def _drop(self, output: Tensor, index: int) -> Tensor:
        """Dropout between layers, while training."""
        if not self.dropout or index == self.num_layers - 1:
            return output
        return F.dropout(output, self.dropout, self.training)
