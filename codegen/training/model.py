"""Models around any recurrent layer; the language model: embedding, layer, softmax."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codegen.errors import CheckpointError
from codegen.training.cross_entropy import linear_cross_entropy

State: TypeAlias = Tensor | tuple[Tensor, ...]


class Layer(Protocol):
    """What the model needs of a layer; `codegen.build` gives one. It must also be an `nn.Module`."""

    def __call__(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map inputs (T, B, m) and a state of tensors (layers, B, n) to outputs (T, B, n) and a state."""
        ...

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """As of an `nn.Module`."""
        ...

    def equation_parameters(self) -> dict[str, Tensor]:
        """Views of the weights under the names in the cell's equations: (n, n), (n, m) or (n,)."""
        ...

    def reset_parameters(self) -> None:
        """Draw the weights anew from torch's defaults."""
        ...


class Model(nn.Module):
    """A recurrent layer between what is read and what is asked.

    Attributes:
        layer: the recurrent layer.
        input_size: the size m of what the layer reads.
        embedding: the vectors of the words that are read; None where the inputs are vectors already.
        decoder: the linear map of the layer's outputs.
    """

    layer: Layer
    input_size: int
    embedding: nn.Embedding | None
    decoder: nn.Linear

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        if not isinstance(layer, nn.Module):
            raise TypeError(f"layer is a {type(layer).__name__}; expected an nn.Module")
        self.layer = layer

    def embed(self, inputs: Tensor) -> Tensor:
        """What the layer reads, shape (T, B, m)."""
        raise NotImplementedError

    def criterion(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of what is asked, shape ().

        Args:
            outputs: of the layer, shape (T, B, n).
            targets: time first, of the same T and B.
        """
        raise NotImplementedError

    def loss(self, inputs: Tensor, targets: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The mean loss, shape (), and the state after the last step.

        Args:
            state: what the call on the batch just before returned; zeros if None.
        """
        output, state = self.layer(self.embed(inputs), state)
        return self.criterion(output, targets), state

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.decoder.weight.device


class LanguageModel(Model):
    """Predict the next word of each row of a batch.

    Args:
        layer: a recurrent layer of `embedding_size` inputs and `hidden_size` outputs.
        vocabulary_size: the number V of types.
        embedding_size: the layer's input size m.
        hidden_size: the layer's state size n.
    """

    embedding: nn.Embedding

    def __init__(self, layer: Layer, vocabulary_size: int, embedding_size: int, hidden_size: int) -> None:
        super().__init__(layer)
        self.input_size = embedding_size
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        self.decoder = nn.Linear(hidden_size, vocabulary_size)

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The logits of the next word.

        Args:
            tokens: int64, shape (T, B).
            state: what the call on the text just before returned; zeros if None.

        Returns:
            Logits, shape (T, B, V), and the state after the last step.
        """
        output, state = self.layer(self.embedding(tokens), state)
        return self.decoder(output), state

    def embed(self, inputs: Tensor) -> Tensor:
        """The vectors of the words."""
        return self.embedding(inputs)

    def criterion(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean cross-entropy of `targets`, in nats.

        On a CPU the logits are never there all at once (`cross_entropy.linear_cross_entropy`); on an
        accelerator they are, since the check of the targets would make the host wait for it.

        Args:
            outputs: of the layer, shape (T, B, n).
            targets: int64, shape (T, B).

        Raises:
            DataError: a target is outside the vocabulary (on a CPU; an accelerator raises in its own way).
        """
        features, expected = outputs.flatten(0, 1), targets.flatten()
        weight, bias = self.decoder.weight, self.decoder.bias
        if features.device.type == "cpu":
            return linear_cross_entropy(features, weight, bias, expected)
        return F.cross_entropy(F.linear(features, weight, bias), expected)


def tensors_of(state: State) -> tuple[Tensor, ...]:
    """The tensors of a state, also where it is a single one."""
    return (state,) if isinstance(state, Tensor) else tuple(state)


def detach(state: State) -> State:
    """The same numbers, cut off from the graph: where truncated backpropagation truncates."""
    return state.detach() if isinstance(state, Tensor) else tuple(tensor.detach() for tensor in state)


def largest(state: State) -> Tensor:
    """The largest absolute value in a state, shape ()."""
    return torch.stack([tensor.detach().abs().amax() for tensor in tensors_of(state)]).amax()


def copy_weights(model: nn.Module, weights: dict[str, Tensor], source: object) -> None:
    """Copy `weights` into the model's own storage.

    Copying, rather than adopting, keeps each tensor aligned as the allocator aligned it; what is mapped
    from a file may not be, and unaligned sums can round otherwise.

    Args:
        source: where the weights are from, for the message.

    Raises:
        CheckpointError: the names or shapes are not the model's.
    """
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"the weights in {source} are of another model: {error}") from error
