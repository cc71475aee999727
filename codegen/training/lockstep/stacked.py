"""Language models of one architecture as one model, every weight with an axis more."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, vmap

from codegen.errors import TrainingError
from codegen.training.data import batches
from codegen.training.evaluation import Loss
from codegen.training.model import LanguageModel, State, tensors_of


class StackedModel:
    """K language models that read the same text, with matrix products of all of them at once.

    The models stay in use: each of their weights becomes a view of its row in the stack, so that what is
    written into one of them, by its optimizer or from a checkpoint, is written into the stack.

    The layer is called through `torch.vmap`. One written in torch's operations (`backend="eager"`) is thereby
    batched; the kernels of the other backends give the same numbers, one model after the other.

    Attributes:
        weights: by the names in `LanguageModel`, (K, …) each, such as `embedding.weight`: (K, V, m).
    """

    def __init__(self, models: Sequence[LanguageModel]) -> None:
        """Stack the models, which must be alike in all but the values of their weights.

        Raises:
            TrainingError: a layer has buffers, which could change unseen.
        """
        buffers = [name for name, _ in models[0].named_buffers()]
        if buffers:
            raise TrainingError(
                f"the layer has buffers ({', '.join(buffers)}), and models are stacked by their parameters "
                "alone: train these one at a time"
            )
        self.size = len(models)
        self.vocabulary_size = models[0].embedding.num_embeddings
        self._layer = models[0].layer
        named = [dict(model.named_parameters()) for model in models]
        self.weights = {
            name: torch.stack([weights[name].detach() for weights in named]).requires_grad_(
                first.requires_grad
            )
            for name, first in named[0].items()
        }
        for row, weights in enumerate(named):
            for name, weight in weights.items():
                weight.data = self.weights[name].detach()[row]

    def loss(self, tokens: Tensor, targets: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The mean cross-entropy of `targets` in each model, in nats, and the states after the last step.

        Args:
            tokens, targets: int64, shape (T, B), the same for all.
            state: what the call on the text just before returned; each model's own start if None.

        Returns:
            The losses, shape (K,), and a state of tensors (K, layers, B, n).
        """
        output, state = self._run(self._embed(tokens), state)
        weight, bias = self.weights["decoder.weight"], self.weights["decoder.bias"]
        logits = torch.baddbmm(bias.unsqueeze(1), output.flatten(1, 2), weight.mT)  # (K, T·B, V)
        expected = targets.flatten().repeat(self.size)
        losses = F.cross_entropy(logits.flatten(0, 1), expected, reduction="none")
        return losses.view(self.size, -1).mean(1), state

    def _embed(self, tokens: Tensor) -> Tensor:
        """The tokens' vectors in each model, shape (K, T, B, m), from one table of all K·V rows."""
        first_rows = torch.arange(self.size, device=tokens.device) * self.vocabulary_size
        return F.embedding(tokens + first_rows.view(-1, 1, 1), self.weights["embedding.weight"].flatten(0, 1))

    def _run(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """The layers on inputs (K, T, B, m): outputs (K, T, B, n) and the last states."""
        prefix = "layer."
        weights = {
            name.removeprefix(prefix): weight
            for name, weight in self.weights.items()
            if name.startswith(prefix)
        }
        # Without a state, None takes the place of the axis to go along, too.
        found: tuple[Tensor, State] = vmap(self._run_one, (0, 0, None if state is None else 0))(
            weights, x, state
        )
        return found

    def _run_one(self, weights: dict[str, Tensor], x: Tensor, state: State | None) -> tuple[Tensor, State]:
        assert isinstance(self._layer, nn.Module)  # LanguageModel made sure
        found: tuple[Tensor, State] = functional_call(self._layer, weights, (x, state))
        return found


def split(state: State) -> list[State]:
    """A state of tensors (K, …) as K states of tensors (…), views of it."""
    if isinstance(state, Tensor):
        return list(state.unbind())
    return list(zip(*(tensor.unbind() for tensor in state), strict=True))


def join(states: Sequence[State]) -> State:
    """The inverse of `split`."""
    joined = tuple(torch.stack(tensors) for tensors in zip(*map(tensors_of, states), strict=True))
    return joined[0] if isinstance(states[0], Tensor) else joined


def largest(state: State) -> Tensor:
    """The largest absolute value in each model's state, shape (K,)."""
    peaks = [tensor.detach().abs().flatten(1).amax(1) for tensor in tensors_of(state)]
    return torch.stack(peaks).amax(0)


def evaluate(
    model: StackedModel, tokens: Tensor, batch_size: int, bptt: int, *, on_batch: Callable[[], None]
) -> list[Loss]:
    """`codegen.training.evaluate` of each model, in the order of the stack."""
    state: State | None = None
    losses = []
    with torch.no_grad():
        for inputs, targets in batches(tokens, batch_size, bptt):
            loss, state = model.loss(inputs, targets, state)
            losses.append(loss)
            on_batch()
    by_model = torch.stack(losses, 1).tolist()
    return [Loss(math.fsum(of_batches), len(of_batches)) for of_batches in by_model]
